// Charts of horizontal bars, one row per contender: any metric, memory in parts, phases end to end.

const ROW = 30;
const MOST_ROWS = 40;

function rowsLayout(contenders, own) {
  return {
    bargap: 0.35,
    barmode: "overlay",
    ...own,
    yaxis: {
      autorange: "reversed",
      tickfont: { color: ink("ink"), size: 13 },
      showgrid: false,
      type: "category",
      ticklabelstandoff: 6,
    },
    xaxis: { rangemode: "tozero", ...own.xaxis },
  };
}

function barHover(contender, metric) {
  const [middle, low, high] = contender.values[metric.key];
  const range = low !== high ? `<br>${shown(metric, low)} to ${shown(metric, high)}` : "";
  const known = contender.known[metric.key];
  const trials = `${contender.repeats} ${contender.repeats === 1 ? "trial" : "trials"}`;
  return (
    `<b>${name(contender)}</b><br>${verbatim(quoted(metric, middle))}${range}` +
    `<br>${known ? `known in ${known} of ${trials}` : trials}`
  );
}

// Best first, in the selected metric.
function inOrder(key) {
  const metric = metrics.get(key);
  const known = comparable().filter((contender) => contender.values[key]);
  const sign = metric.direction === "lower" ? 1 : -1;
  return known.sort((a, b) => sign * (median(a, key) - median(b, key))).slice(0, MOST_ROWS);
}

chart("ranking", () => {
  const metric = metrics.get(state.bar);
  const drawn = inOrder(state.bar);
  const value = (contender, place) => contender.values[state.bar][place] * metric.scale;
  const middles = drawn.map((contender) => value(contender, 0));
  const bars = {
    type: "bar",
    orientation: "h",
    x: middles,
    y: drawn.map(name),
    marker: { color: drawn.map((contender) => contender.colour) },
    error_x: {
      type: "data",
      symmetric: false,
      array: drawn.map((c, place) => value(c, 2) - middles[place]),
      arrayminus: drawn.map((c, place) => middles[place] - value(c, 1)),
      color: ink("ink"),
      thickness: 1.3,
      width: 4,
    },
    hovertext: drawn.map((contender) => barHover(contender, metric)),
    hovertemplate: "%{hovertext}<extra></extra>",
  };
  const values = {
    type: "scatter",
    mode: "text",
    x: drawn.map((contender) => value(contender, 2)),
    y: bars.y,
    text: drawn.map((contender) => `  ${verbatim(shown(metric, median(contender, state.bar)))}`),
    textposition: "middle right",
    textfont: { size: 12, color: ink("ink") },
    hoverinfo: "skip",
    cliponaxis: false,
  };
  const room = window.innerWidth < 640 ? 1.35 : 1.14; // for the values to the right of the bars
  const reach = Math.max(0, ...values.x) * room || 1;
  const layout = rowsLayout(drawn, {
    xaxis: { title: verbatim(heading(metric)), range: [0, reach] },
  });
  const traces = state.bar === THROUGHPUT ? [bars, dots(drawn, metric), values] : [bars, values];
  return { traces, layout, height: drawn.length * ROW + 70 };
});

function dots(drawn, metric) {
  const points = drawn.flatMap((c) => c.trials.map((value) => [value * metric.scale, name(c)]));
  return {
    type: "scatter",
    mode: "markers",
    x: points.map(([x]) => x),
    y: points.map(([, y]) => y),
    marker: { color: ink("ink"), size: 6, line: { color: ink("surface"), width: 1 } },
    hovertemplate: "one trial: %{x:,.4~r}<extra></extra>",
  };
}

function stacked(parts, drawn, title) {
  const traces = parts.map(({ key, colour, pale }) => {
    const metric = metrics.get(key);
    const texts = drawn.map((c) => quoted(metric, median(c, key)));
    return {
      type: "bar",
      orientation: "h",
      name: metric.title,
      x: drawn.map((c) => (median(c, key) === null ? null : median(c, key) * metric.scale)),
      y: drawn.map(name),
      marker: { color: colour ?? drawn.map((c) => c.colour), opacity: pale ? 0.45 : 1 },
      hovertext: drawn.map(
        (c, place) => `<b>${name(c)}</b><br>${metric.title}: ${verbatim(texts[place])}`,
      ),
      hovertemplate: "%{hovertext}<extra></extra>",
    };
  });
  const layout = rowsLayout(drawn, { xaxis: { title }, showlegend: true });
  layout.barmode = "stack";
  layout.legend = { orientation: "h", x: 0, y: 1, yanchor: "bottom", traceorder: "normal" };
  return { traces, layout, height: drawn.length * ROW + 110 };
}

chart("memory", () => {
  const drawn = inOrder(MEMORY).filter((c) => c.values.memory_above_baseline_bytes);
  const parts = [{ key: "baseline_memory_bytes", pale: true }, { key: "memory_above_baseline_bytes" }];
  const made = stacked(parts, drawn, "MiB: pale after the import, full what the work added");
  made.layout.showlegend = false; // the parts have each contender's own colour
  return made;
});

const PHASE_COLOURS = ["#8a929c", "#c3c9d0", "#a7aeb7", "#e69f00", "#0072b2", "#56b4e9"];

chart("phases", () => {
  const drawn = inOrder("first_step_seconds");
  const parts = data.phases.map((key, place) => ({
    key,
    colour: PHASE_COLOURS[place % PHASE_COLOURS.length],
  }));
  return stacked(parts, drawn, "seconds");
});
