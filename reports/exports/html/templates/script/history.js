// Contenders over many runs, with the runs at which a level changed.

function overRuns({ title, scale, series }) {
  const shades = series.map((one) => ({ ...one, label: shortened(one.label) }));
  const lines = shades.map((one) => ({
    type: "scatter",
    mode: "lines+markers",
    name: name(one),
    x: one.points.map((point) => point.started),
    y: one.points.map((point) => point.value * scale),
    error_y: {
      type: "data",
      symmetric: false,
      array: one.points.map((point) => (point.maximum - point.value) * scale),
      arrayminus: one.points.map((point) => (point.value - point.minimum) * scale),
      thickness: 1,
      width: 2,
    },
    line: lineOf(one),
    marker: { symbol: SYMBOLS[one.turn], size: 6 },
    text: one.points.map((point) => verbatim(point.run)),
    hovertemplate: `<b>${name(one)}</b><br>%{y:,.4~r}<br>%{text}, %{x}<extra></extra>`,
  }));
  const moved = shades.flatMap((one) =>
    one.points.filter((point) => one.changes.includes(point.run)).map((point) => ({ one, point })),
  );
  const marks = {
    type: "scatter",
    mode: "markers",
    showlegend: false,
    x: moved.map(({ point }) => point.started),
    y: moved.map(({ point }) => point.value * scale),
    marker: { symbol: "diamond-open", size: 15, color: ink("ink"), line: { width: 2 } },
    hoverinfo: "skip",
  };
  const values = lines.flatMap(({ y }) => y);
  const layout = {
    showlegend: true,
    xaxis: { title: "run began", type: "date" },
    yaxis: { title: verbatim(title), ...scaleOf(values) },
  };
  return { traces: [...lines, marks], layout, height: 420 + 12 * Math.ceil(series.length / 3) };
}

(data.history ?? []).forEach((one, place) => chart(`history-${place}`, () => overRuns(one)));
