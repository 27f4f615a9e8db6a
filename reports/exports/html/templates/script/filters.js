// The filter bar, and the rows that it hides.

function buildFilters() {
  const bar = document.getElementById("filters");
  if (!data.rankings.length) return;
  onChange(() => refreshFilters(bar));
  refreshFilters(bar);
  bar.hidden = false;
}

function refreshFilters(bar) {
  const focused = document.activeElement?.dataset?.filter;
  const fields = data.choices
    .filter(({ values }) => values.length > 1)
    .map(({ key, title, values }) => {
      const pick = (value) => {
        const wanted = { ...current().choices, [key]: value };
        change({ ranking: nearest(wanted, key) });
      };
      const made = choice(title, values.map((v) => [v, v]), current().choices[key], pick);
      made.querySelector("select").dataset.filter = key;
      return made;
    });
  const groups = ["backend", "mode"].map(toggles).filter(Boolean);
  const reset = element(
    "button",
    { type: "button", class: "quiet", "data-filter": "reset", onclick: resetFilters },
    "Show all",
  );
  bar.replaceChildren(...fields, ...groups, ...(isFiltered() ? [reset] : []));
  // The elements are new: restore the keyboard focus.
  if (focused) bar.querySelector(`[data-filter="${CSS.escape(focused)}"]`)?.focus();
}

function isFiltered() {
  return state.hidden.backend.size + state.hidden.mode.size > 0;
}

function resetFilters() {
  change({ hidden: { backend: new Set(), mode: new Set() } });
}

// A button for each backend or mode in the ranking.
function toggles(name) {
  const values = [...new Set(current().contenders.map((contender) => contender[name]))].sort();
  if (values.length < 2) return null;
  const title = name === "backend" ? "Backends" : "Modes";
  const buttons = values.map((value) =>
    element(
      "button",
      {
        type: "button",
        class: "toggle",
        "data-filter": `${name}:${value}`,
        "aria-pressed": String(!state.hidden[name].has(value)),
        onclick: () => toggle(name, value),
      },
      ...(name === "backend" ? [swatch(value)] : []),
      value,
    ),
  );
  return element("div", { class: "toggles", role: "group", "aria-label": title }, ...buttons);
}

function swatch(backend) {
  const own = current().contenders.filter((contender) => contender.backend === backend);
  const found = own.reduce((first, other) => (other.turn < first.turn ? other : first));
  const made = element("span", { class: "swatch" });
  made.style.background = found.colour;
  return made;
}

function toggle(name, value) {
  const hidden = new Set(state.hidden[name]);
  if (!hidden.delete(value)) hidden.add(value);
  change({ hidden: { ...state.hidden, [name]: hidden } });
}

// Show only the parts of the selected ranking, and in their tables the rows that match the filters.
function applyFilters() {
  for (const part of document.querySelectorAll("[data-ranking]")) {
    const isOwn = Number(part.dataset.ranking) === state.ranking;
    if (part.closest("#answer")) {
      part.classList.toggle("chosen", isOwn && data.rankings.length > 1);
      part.querySelector("button")?.setAttribute("aria-pressed", String(isOwn));
      markOverview();
    } else {
      part.hidden = !isOwn;
      if (isOwn) filterRows(part);
    }
  }
}

function markOverview() {
  for (const row of document.querySelectorAll("tr[data-answers]")) {
    const isOwn = Number(row.dataset.answers) === state.ranking;
    row.classList.toggle("chosen", isOwn);
    row.querySelector("button").setAttribute("aria-pressed", String(isOwn));
  }
}

function filterRows(part) {
  const contenders = current().contenders;
  for (const row of part.querySelectorAll("tr[data-contender]")) {
    const contender = contenders[Number(row.dataset.contender)];
    row.hidden = contender !== undefined && !isShown(contender);
  }
}

// Each row of the overview and each card selects its ranking.
function linkCards() {
  if (data.rankings.length < 2) return;
  document.querySelectorAll("#answer .part:not([data-ranking]) tbody tr").forEach((row, ranking) => {
    const pick = () => change({ ranking });
    const button = element("button", { type: "button", class: "quiet", onclick: pick });
    button.append(...row.cells[0].childNodes);
    row.cells[0].append(button);
    row.dataset.answers = ranking;
  });
  if (data.rankings.length > 2) {
    document.getElementById("answer").classList.add("one-at-a-time");
    return;
  }
  for (const card of document.querySelectorAll("#answer [data-ranking]")) {
    const ranking = Number(card.dataset.ranking);
    const show = () => change({ ranking });
    card.append(element("button", { type: "button", class: "quiet", onclick: show }, "Show details"));
  }
}
