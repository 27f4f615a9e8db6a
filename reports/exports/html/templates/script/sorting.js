// Tables that can be sorted by clicking a column's title. The order is stored in the address.

function makeSortable() {
  for (const found of document.querySelectorAll("main table")) {
    if (found.tBodies[0]?.rows.length > 1) addButtons(found);
  }
  onChange(applySort);
  applySort();
}

function addButtons(found) {
  [...found.tHead.rows[0].cells].forEach((cell, column) => {
    const button = element("button", { type: "button", class: "sort" }, ...cell.childNodes);
    button.addEventListener("click", () => sortBy(found, column));
    cell.append(button);
  });
  found.dataset.sortable = "";
  for (const [place, row] of [...found.tBodies[0].rows].entries()) row.dataset.place = place;
}

// First click: numbers descending, words ascending; second click: reversed; third click: original order.
function sortBy(found, column) {
  const section = found.closest("section").id;
  const cell = found.tHead.rows[0].cells[column];
  const ways = cell.classList.contains("number") ? ["down", "up"] : ["up", "down"];
  const next = { [ways[0]]: ways[1], [ways[1]]: "" };
  const [at, sorted, way] = state.sort.split(":");
  const turned = at === section && Number(sorted) === column ? next[way] : ways[0];
  change({ sort: turned ? `${section}:${column}:${turned}` : "" });
}

function applySort() {
  const [at, column, way] = state.sort.split(":");
  for (const found of document.querySelectorAll("table[data-sortable]")) {
    const isSorted = found.closest("section").id === at;
    [...found.tHead.rows[0].cells].forEach((cell, place) => {
      const own = isSorted && place === Number(column);
      const order = way === "up" ? "ascending" : "descending";
      if (own) cell.setAttribute("aria-sort", order);
      else cell.removeAttribute("aria-sort");
    });
    order(found.tBodies[0], isSorted ? Number(column) : null, way === "up" ? 1 : -1);
  }
}

function order(body, column, sign) {
  const rows = [...body.rows];
  const place = (row) => Number(row.dataset.place);
  const compare = (a, b) => sign * compareCells(a.cells[column], b.cells[column], sign);
  rows.sort((a, b) => (column === null ? 0 : compare(a, b)) || place(a) - place(b));
  body.append(...rows);
}

function compareCells(a, b, sign) {
  const [x, y] = [a, b].map((cell) => cell?.textContent.trim() ?? "");
  if (!a?.classList.contains("number")) return x.localeCompare(y);
  const [p, q] = [x, y].map(numberOf);
  // Unknown values are last in both directions.
  if (Number.isNaN(p) || Number.isNaN(q)) return sign * (Number.isNaN(p) - Number.isNaN(q));
  return p - q;
}

function numberOf(text) {
  return Number.parseFloat(text.replace(/[,<+]/g, ""));
}
