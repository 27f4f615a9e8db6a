// The reader's selections. They are stored in the address, so that a view can be linked.

const data = JSON.parse(document.getElementById("data").textContent);
const metrics = new Map(data.metrics.map((metric) => [metric.key, metric]));
const THROUGHPUT = "throughput_images_per_second";
const MEMORY = "peak_memory_bytes";
const STANDARD = { bar: THROUGHPUT, x: MEMORY, y: THROUGHPUT, against: "seconds", curve: "accuracy" };

const state = { ranking: 0, hidden: { backend: new Set(), mode: new Set() }, sort: "", at: "" };
const watchers = [];

function onChange(watcher) {
  watchers.push(watcher);
}

// Change the state, store it in the address, and redraw everything.
function change(made) {
  Object.assign(state, made);
  history.replaceState(null, "", address() || location.pathname + location.search);
  for (const watcher of watchers) watcher();
}

function address() {
  const kept = new URLSearchParams();
  const ranking = data.rankings[state.ranking];
  if (state.at) kept.set("at", state.at);
  if (state.ranking !== 0) {
    for (const { key, values } of data.choices) {
      if (values.length > 1) kept.set(key, ranking.choices[key]);
    }
  }
  for (const name of ["backend", "mode"]) {
    const hidden = [...state.hidden[name]];
    if (hidden.length) kept.set(`hide.${name}`, JSON.stringify(hidden));
  }
  for (const [name, standard] of Object.entries(STANDARD)) {
    if (state[name] !== standard) kept.set(name, state[name]);
  }
  for (const [key, weight] of state.weights) {
    if (weight !== standardWeight(key)) kept.set(`weight.${key}`, weight);
  }
  for (const [key, limit] of state.limits) kept.set(`limit.${key}`, limit);
  if (state.sort) kept.set("sort", state.sort);
  const text = kept.toString();
  return text && `#${text}`;
}

function standardWeight(key) {
  return key === THROUGHPUT || key === MEMORY ? 1 : 0;
}

// Read the state from the address; values that are not in the data are replaced by the defaults.
function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  state.ranking = nearest(Object.fromEntries(given));
  for (const name of ["backend", "mode"]) {
    state.hidden[name] = new Set(strings(given.get(`hide.${name}`)));
  }
  for (const [name, standard] of Object.entries(STANDARD)) {
    const value = given.get(name) ?? standard;
    const allowed = { against: ["seconds", "epochs"], curve: ["accuracy", "loss"] }[name];
    state[name] = (allowed ? allowed.includes(value) : metrics.has(value)) ? value : standard;
  }
  state.weights = new Map(weighed().map((key) => [key, standardWeight(key)]));
  state.limits = new Map();
  for (const key of state.weights.keys()) {
    const weight = Number(given.get(`weight.${key}`) ?? standardWeight(key));
    state.weights.set(key, weight >= 0 && weight <= 10 ? weight : standardWeight(key));
    const limit = given.get(`limit.${key}`);
    if (limit !== null && limit !== "" && Number.isFinite(Number(limit))) {
      state.limits.set(key, Number(limit));
    }
  }
  state.sort = given.get("sort") ?? "";
  state.at = given.get("at") ?? "";
}

function strings(text) {
  try {
    const value = JSON.parse(text ?? "[]");
    return Array.isArray(value) ? value.map(String) : [];
  } catch {
    return [];
  }
}

// Metrics that can have a weight: those with a direction and at least one known value.
function weighed() {
  return data.ranked.filter((key) => metrics.get(key).direction && isKnown(key));
}

function isKnown(key) {
  return data.rankings.some(({ contenders }) => contenders.some((c) => c.values[key]));
}

// The ranking with the requested value of `first`, and as many of the other requested values as possible.
function nearest(wanted, first = null) {
  const score = ({ choices }) =>
    data.choices.reduce((sum, { key }) => {
      const matches = choices[key] === wanted[key];
      return sum + (matches ? (key === first ? 100 : 1) : 0);
    }, 0);
  const scores = data.rankings.map(score);
  return scores.length ? scores.indexOf(Math.max(...scores)) : 0;
}

function current() {
  return data.rankings[state.ranking];
}

function isShown(contender) {
  return !state.hidden.backend.has(contender.backend) && !state.hidden.mode.has(contender.mode);
}

// The contenders that match the filters; those with a failed certificate are last.
function shownContenders() {
  return (current()?.contenders ?? []).filter(isShown);
}

function comparable() {
  return shownContenders().filter((contender) => contender.comparable);
}

function median(contender, key) {
  return contender.values[key]?.[0] ?? null;
}
