// Every slice of training over time, a row for each contender around its median.

const SLICE_ROW = 52;
const HALF_ROW = 0.42;

chart("slices", () => {
  const timeline = data.slices[state.ranking];
  const tracks = new Map(
    current().contenders.map((contender, place) => [contender, timeline.tracks[place]]),
  );
  const drawn = comparable()
    .filter((contender) => tracks.get(contender).dots.length)
    .slice(0, MOST_ROWS);
  const traces = drawn.map((contender, row) =>
    sliceDots(contender, row, tracks.get(contender), timeline),
  );
  const last = timeline.spans.at(-1)[2];
  const layout = {
    xaxis: { title: "minutes of rounds", range: [-0.01 * last, 1.01 * last], zeroline: false },
    yaxis: {
      range: [drawn.length - 0.5, -0.5],
      tickvals: drawn.map((_, row) => row),
      ticktext: drawn.map(name),
      tickfont: { color: ink("ink"), size: 13 },
      ticklabelstandoff: 6,
      zeroline: false,
    },
    ...(timeline.spans.length > 1 ? spanMarks(timeline.spans) : {}),
  };
  return { traces, layout, height: drawn.length * SLICE_ROW + 90 };
});

function sliceDots(contender, row, { middle, dots }, { reach, spans, flags }) {
  const share = ([, rate]) => rate / middle;
  const place = (dot) => Math.max(-1, Math.min(1, (share(dot) - 1) / reach));
  const hover = (dot) => {
    const [, rate, span, round, flag] = dot;
    const disturbed = flags[flag] ? `<br>disturbed: ${verbatim(flags[flag])}` : "";
    return (
      `<b>${name(contender)}</b><br>${significant(rate, 4)} images/s, ` +
      `${fixed(100 * share(dot), 1)} % of the median` +
      `<br>${verbatim(spans[span][0])}, round ${round}${disturbed}`
    );
  };
  return {
    type: "scatter",
    mode: "markers",
    name: name(contender),
    x: dots.map(([minutes]) => minutes),
    y: dots.map((dot) => row - HALF_ROW * place(dot)),
    marker: {
      size: 6,
      color: dots.map(([, , , , flag]) => (flags[flag] ? ink("surface") : contender.colour)),
      line: { color: contender.colour, width: 1.2 },
    },
    hovertext: dots.map(hover),
    hovertemplate: "%{hovertext}<extra></extra>",
    cliponaxis: false,
  };
}

// A line between repeats, and the name of each one above.
function spanMarks(spans) {
  const isNarrow = window.innerWidth < 640;
  const between = spans.slice(1).map(([, start], place) => (spans[place][2] + start) / 2);
  return {
    shapes: between.map((minutes) => ({
      type: "line",
      yref: "paper",
      x0: minutes,
      x1: minutes,
      y0: 0,
      y1: 1,
      layer: "below",
      line: { color: ink("muted"), width: 1 },
    })),
    annotations: spans.map(([, start, , label]) => ({
      text: verbatim(isNarrow ? label.replace("repeat ", "") : label),
      x: start,
      y: 1,
      yref: "paper",
      xanchor: "left",
      yanchor: "bottom",
      showarrow: false,
      font: { color: ink("muted"), size: 12 },
    })),
    margin: { l: 8, r: 24, t: 26, b: 8 },
  };
}
