// Elements are created from text only: no part of a record is ever parsed as HTML.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

let controls = 0;

function labelled(text, control) {
  control.id ||= `control-${++controls}`;
  return element("div", { class: "field" }, element("label", { for: control.id }, text), control);
}

// A select element with [value, text] options.
function choice(text, options, chosen, change) {
  const control = element("select", { onchange: (event) => change(event.target.value) });
  for (const [value, name] of options) {
    control.append(element("option", { value, selected: value === chosen }, name));
  }
  return labelled(text, control);
}

// Columns are [title, isNumber]; rows are arrays of text, or of elements.
function table(caption, columns, rows) {
  const head = columns.map(([title, number]) =>
    element("th", { scope: "col", class: number ? "number" : null }, title),
  );
  const body = rows.map((cells) =>
    element(
      "tr",
      {},
      ...cells.map((cell, place) =>
        place === 0
          ? element("th", { scope: "row" }, cell)
          : element("td", { class: columns[place][1] ? "number" : null }, cell),
      ),
    ),
  );
  return element(
    "div",
    { class: "table", role: "region", "aria-label": caption, tabindex: "0" },
    element(
      "table",
      {},
      element("caption", {}, caption),
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...body),
    ),
  );
}
