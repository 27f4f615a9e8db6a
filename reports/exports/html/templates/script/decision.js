// Trade-offs and ranking by weights, with the rules of reports/analysis/trade_offs.py and weighing.py.

function cost(contender, metric) {
  const value = median(contender, metric.key);
  return metric.direction === "higher" ? -value : value;
}

// The Pareto front: contenders that no other contender beats in both metrics.
function front(contenders, x, y) {
  const points = contenders.map((contender) => [cost(contender, x), cost(contender, y)]);
  const beats = (a, b) => a[0] <= b[0] && a[1] <= b[1] && (a[0] < b[0] || a[1] < b[1]);
  return contenders.filter((_, place) => !points.some((other) => beats(other, points[place])));
}

chart("trade-offs", () => {
  const [x, y] = [metrics.get(state.x), metrics.get(state.y)];
  const drawn = comparable().filter((c) => c.values[x.key] && c.values[y.key]);
  const best = front(drawn, x, y).sort((a, b) => median(a, x.key) - median(b, x.key));
  const at = (contender, metric) => median(contender, metric.key) * metric.scale;
  const points = {
    type: "scatter",
    mode: "markers+text",
    x: drawn.map((c) => at(c, x)),
    y: drawn.map((c) => at(c, y)),
    text: drawn.map((c) => (drawn.length <= 14 ? name(c) : "")),
    textposition: "top center",
    textfont: { size: 11, color: ink("muted") },
    cliponaxis: false,
    marker: {
      size: drawn.map((c) => (best.includes(c) ? 13 : 9)),
      color: drawn.map((c) => c.colour),
      symbol: drawn.map((c) => SYMBOLS[c.turn]),
      line: { color: ink("surface"), width: 1 },
    },
    hovertext: drawn.map(
      (c) =>
        `<b>${name(c)}</b><br>${x.title}: ${verbatim(quoted(x, median(c, x.key)))}` +
        `<br>${y.title}: ${verbatim(quoted(y, median(c, y.key)))}`,
    ),
    hovertemplate: "%{hovertext}<extra></extra>",
  };
  const line = {
    type: "scatter",
    mode: "lines",
    x: best.map((c) => at(c, x)),
    y: best.map((c) => at(c, y)),
    line: { color: ink("muted"), width: 1.5, dash: "dot" },
    hoverinfo: "skip",
  };
  const layout = {
    xaxis: { title: towards(x), ...scaleOf(points.x, 8) },
    yaxis: { title: towards(y), ...scaleOf(points.y, 8) },
    margin: { l: 8, r: 40, t: 28, b: 8 },
  };
  return { traces: [line, points], layout, height: 440 };
});

function towards(metric) {
  const way = metric.direction ? ` (${metric.direction} is better)` : "";
  return verbatim(heading(metric) + way);
}

function buildTradeOffs() {
  const pick = (key) => (value) => change({ [key]: value });
  const options = () =>
    knownMetrics(data.metrics.filter((metric) => metric.direction).map((metric) => metric.key));
  controlsOf("trade-offs", () => [
    choice("Across", options(), state.x, pick("x")),
    choice("Up", options(), state.y, pick("y")),
  ]);
  onChange(refreshFront);
  refreshFront();
}

// The table of the chart: the two selected metrics, and whether a contender is on the Pareto front.
function refreshFront() {
  const part = document.querySelector(`#trade-offs [data-ranking="${state.ranking}"]`);
  if (!part) return;
  const [x, y] = [metrics.get(state.x), metrics.get(state.y)];
  const known = comparable().filter((c) => c.values[x.key] && c.values[y.key]);
  const best = new Set(front(known, x, y));
  const rows = known
    .sort((a, b) => cost(a, y) - cost(b, y))
    .map((c) => [
      c.label,
      shown(x, median(c, x.key)),
      shown(y, median(c, y.key)),
      best.has(c) ? "yes" : "no",
    ]);
  const columns = [["Contender"], [heading(x), true], [heading(y), true], ["On the front"]];
  const caption = `${current().title}: ${y.title.toLowerCase()} against ${x.title.toLowerCase()}`;
  part.querySelector(".table")?.replaceWith(table(caption, columns, rows));
}

// The logarithm of a metric's ratio to the best: 0 for the best, else below.
function logarithms(eligible, keys) {
  const made = new Map(eligible.map((contender) => [contender, new Map()]));
  for (const key of keys) {
    const sign = metrics.get(key).direction === "higher" ? 1 : -1;
    const best = Math.max(...eligible.map((c) => sign * Math.log(median(c, key))));
    for (const c of eligible) made.get(c).set(key, sign * Math.log(median(c, key)) - best);
  }
  return made;
}

function excluded(contender, keys) {
  if (!contender.comparable) return "not comparable";
  for (const [key, limit] of state.limits) {
    const metric = metrics.get(key);
    const value = median(contender, key);
    const kept = value !== null && (metric.direction === "higher" ? value >= limit : value <= limit);
    const sign = metric.direction === "higher" ? "at least" : "at most";
    if (!kept) {
      return `not ${metric.title.toLowerCase()} ${sign} ${quoted(metric, limit)}: ${quoted(metric, value)}`;
    }
  }
  const unknown = keys.find((key) => !(median(contender, key) > 0));
  if (!unknown) return "";
  const why = median(contender, unknown) === null ? "not known" : "not above 0";
  return `${metrics.get(unknown).title.toLowerCase()} is ${why}`;
}

// The ranking by weights, and for each weight the range in which the winner stays the same.
function decide() {
  const weights = new Map([...state.weights].filter(([, weight]) => weight > 0));
  const keys = [...weights.keys()];
  const all = shownContenders();
  const reasons = new Map(all.map((contender) => [contender, excluded(contender, keys)]));
  const eligible = all.filter((contender) => !reasons.get(contender));
  const logs = logarithms(eligible, keys);
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  const sum = (c) => keys.reduce((made, key) => made + weights.get(key) * logs.get(c).get(key), 0);
  const ranked = eligible
    .map((contender) => ({ contender, score: total ? Math.exp(sum(contender) / total) : 0 }))
    .sort((a, b) => b.score - a.score || (a.contender.label < b.contender.label ? -1 : 1));
  return {
    ranked,
    left: all.filter((c) => reasons.get(c)).map((c) => [c, reasons.get(c)]),
    room: keys.map((key) => roomOf(key, ranked.map(({ contender }) => contender), logs, weights)),
    total,
  };
}

// The winner's lead over a rival is linear in each weight, so the turning point is exact.
function roomOf(key, ordered, logs, weights) {
  const room = { key, weight: weights.get(key), lowest: 0, highest: Infinity, below: "", above: "" };
  for (const rival of ordered.slice(1)) {
    const gain = (k) => logs.get(ordered[0]).get(k) - logs.get(rival).get(k);
    const lead = [...weights].reduce((made, [k, weight]) => made + weight * gain(k), 0);
    if (gain(key) === 0) continue;
    const turned = room.weight - lead / gain(key);
    if (gain(key) > 0 && turned > room.lowest) Object.assign(room, { lowest: turned, below: rival.label });
    if (gain(key) < 0 && turned < room.highest) Object.assign(room, { highest: turned, above: rival.label });
  }
  return room;
}

function buildDecision() {
  const place = document.getElementById("decision");
  if (!place || !data.rankings.length) return;
  const rows = [...state.weights.keys()].map(weightRow);
  const result = element("div", { class: "verdict", "aria-live": "polite" });
  place.append(element("div", { class: "weights" }, ...rows), result);
  onChange(() => refreshDecision(result));
  refreshDecision(result);
}

function weightRow(key) {
  const metric = metrics.get(key);
  const unit = metric.unit ? `, ${metric.unit}` : "";
  const sign = metric.direction === "higher" ? "at least" : "at most";
  const output = element("output", {}, String(state.weights.get(key)));
  const weigh = (event) => {
    output.textContent = event.target.value;
    change({ weights: new Map(state.weights).set(key, Number(event.target.value)) });
  };
  const limit = (event) => {
    const limits = new Map(state.limits);
    const value = Number.parseFloat(event.target.value);
    if (Number.isFinite(value)) limits.set(key, value / metric.scale);
    else limits.delete(key);
    change({ limits });
  };
  const given = state.limits.get(key);
  const slider = element("input", {
    type: "range", min: "0", max: "10", step: "0.5", value: String(state.weights.get(key)), oninput: weigh,
  });
  const bound = element("input", {
    type: "number", step: "any", inputmode: "decimal", oninput: limit, placeholder: "no limit",
    value: given === undefined ? null : String(Number((given * metric.scale).toPrecision(12))),
  });
  return element(
    "div",
    { class: "weight", role: "group", "aria-label": metric.title, "data-metric": key },
    element("span", { class: "weight-name" }, metric.title),
    labelled("weight", slider),
    output,
    labelled(`${sign}${unit}`, bound),
  );
}

function refreshDecision(place) {
  const { ranked, left, room, total } = decide();
  if (!total) return place.replaceChildren(element("p", {}, "Give at least one metric a weight above 0."));
  if (!ranked.length) {
    place.replaceChildren(element("p", { class: "lead" }, "No contender is within these limits"), exclusions(left));
    return;
  }
  place.replaceChildren(
    element("p", { class: "lead" }, `${ranked[0].contender.label} wins with these weights`),
    element("p", {}, sensitivity(ranked, room)),
    scores(ranked),
    exclusions(left),
  );
}

function sensitivity(ranked, room) {
  if (ranked.length < 2) return "No other contender is left to compare it with.";
  const words = room.map(({ key, lowest, highest, below, above }) => {
    const title = metrics.get(key).title.toLowerCase();
    const ends = [
      below && lowest >= 0.005 && `below ${significant(lowest, 2)} ${below} wins`,
      above && `above ${significant(highest, 2)} ${above} wins`,
    ].filter(Boolean);
    return `${title}: ${ends.length ? listed(ends) : "any weight gives the same winner"}`;
  });
  return `How far one weight can change if the others stay the same: ${words.join("; ")}.`;
}

function scores(ranked) {
  const keys = [...state.weights].filter(([, weight]) => weight > 0).map(([key]) => key);
  const columns = [["Contender"], ["Score", true], ...keys.map((key) => [heading(metrics.get(key)), true])];
  const rows = ranked.map(({ contender, score }) => {
    const bar = element("span", { class: "score" }, score.toFixed(3));
    bar.style.setProperty("--share", `${100 * score}%`);
    return [contender.label, bar, ...keys.map((key) => shown(metrics.get(key), median(contender, key)))];
  });
  return table("Contenders by the chosen weights", columns, rows);
}

function exclusions(left) {
  if (!left.length) return "";
  const texts = left.map(([contender, reason]) => `${contender.label} (${reason})`);
  return element("p", { class: "note" }, `Excluded: ${texts.join("; ")}.`);
}
