// Curves: accuracy and loss over time, the break-even point, and scaling.

chart("accuracy", () => {
  const drawn = comparable().filter((contender) => contender.curve.epochs.length);
  const percent = state.curve === "accuracy" ? 100 : 1;
  const traces = drawn.map((contender) => ({
    type: "scatter",
    mode: "lines+markers",
    name: name(contender),
    x: contender.curve[state.against],
    y: contender.curve[state.curve].map((value) => (value === null ? null : value * percent)),
    line: lineOf(contender),
    marker: { symbol: SYMBOLS[contender.turn], size: 7 },
    hovertemplate: `<b>${name(contender)}</b><br>%{y:.4~r} after %{x:.4~r} ${state.against}<extra></extra>`,
  }));
  const ends = drawn.map((contender) => contender.curve.seconds.at(-1));
  const bottom = state.against === "seconds" ? scaleOf(ends, 12) : { rangemode: "tozero" };
  const layout = {
    showlegend: true,
    xaxis: {
      title: state.against === "seconds" ? "seconds of training" : "epochs",
      ...bottom,
      ...(state.against === "epochs" ? { tickformat: "d" } : {}),
    },
    yaxis: { title: state.curve === "accuracy" ? "test accuracy, %" : "mean training loss" },
  };
  return { traces, layout, height: 420 + 12 * Math.ceil(drawn.length / 3) };
});

// Seconds until a number of steps is done: the wait for the first step, then the steps.
chart("break-even", () => {
  const batch = Number(current().choices.batch_size);
  const courses = comparable()
    .map((contender) => ({
      contender,
      wait: median(contender, "first_step_seconds"),
      step: batch / median(contender, THROUGHPUT),
    }))
    .filter(({ wait, step }) => wait !== null && Number.isFinite(step));
  const longest = Math.max(1000, ...courses.flatMap((one) => courses.map((other) => turn(one, other))));
  const end = Math.log10(longest * 5);
  const steps = Array.from({ length: 61 }, (_, place) => 10 ** (1 + ((end - 1) * place) / 60));
  const traces = courses.map(({ contender, wait, step }) => ({
    type: "scatter",
    mode: "lines",
    name: name(contender),
    x: steps,
    y: steps.map((count) => wait + count * step),
    line: lineOf(contender),
    hovertemplate: `<b>${name(contender)}</b><br>%{y:,.3~r} s for %{x:,.3~r} steps<extra></extra>`,
  }));
  const layout = {
    showlegend: true,
    xaxis: { title: "training steps", type: "log", dtick: 1 },
    yaxis: { title: "seconds since the worker began to import", type: "log", dtick: "D2" },
  };
  return { traces, layout, height: 420 + 12 * Math.ceil(courses.length / 3) };
});

// The number of steps after which the later starter overtakes; 0 if it never does.
function turn(late, early) {
  const gained = early.step - late.step;
  return late.wait > early.wait && gained > 0 ? (late.wait - early.wait) / gained : 0;
}

function scaling(sweep) {
  const known = new Map(
    sweep.rankings
      .flatMap((place) => data.rankings[place].contenders)
      .map((contender) => [contender.label, contender]),
  );
  const isNumeric = sweep.values.every((value) => /^\d+$/.test(value));
  const values = isNumeric ? sweep.values.map(Number) : sweep.values.map(verbatim);
  const drawn = Object.entries(sweep.series).filter(
    ([label]) => known.has(label) && isShown(known.get(label)),
  );
  const traces = drawn.map(([label, spreads]) => ({
    type: "scatter",
    mode: "lines+markers",
    name: name(known.get(label)),
    x: values,
    y: spreads.map((spread) => spread?.[0] ?? null),
    error_y: {
      type: "data",
      symmetric: false,
      array: spreads.map((spread) => (spread ? spread[2] - spread[0] : 0)),
      arrayminus: spreads.map((spread) => (spread ? spread[0] - spread[1] : 0)),
      thickness: 1,
      width: 3,
    },
    line: lineOf(known.get(label)),
    marker: { symbol: SYMBOLS[known.get(label).turn], size: 7 },
    hovertemplate: `<b>${name(known.get(label))}</b><br>%{y:,.4~r} images/s at %{x}<extra></extra>`,
  }));
  const found = drawn.flatMap(([, spreads]) => spreads.map((spread) => spread?.[0] ?? 0));
  const layout = {
    showlegend: true,
    xaxis: {
      title: sweep.key.replace("_", " "),
      ...(isNumeric ? { type: "log", tickvals: values, ticktext: sweep.values } : { type: "category" }),
    },
    yaxis: { title: "images/s", ...scaleOf(found) },
  };
  return { traces, layout, height: 400 + 12 * Math.ceil(drawn.length / 3) };
}

data.sweeps.forEach((sweep, place) => chart(`scaling-${place}`, () => scaling(sweep)));

function buildCurveControls() {
  const pick = (key) => (value) => change({ [key]: value });
  controlsOf("ranking", () => [
    choice("Quantity", knownMetrics(data.ranked), state.bar, pick("bar")),
  ]);
  controlsOf("accuracy", () => [
    choice("Show", [["accuracy", "Test accuracy"], ["loss", "Training loss"]], state.curve, pick("curve")),
    choice("Against", [["seconds", "Seconds"], ["epochs", "Epochs"]], state.against, pick("against")),
  ]);
}

function knownMetrics(keys) {
  return keys.filter(isKnown).map((key) => [key, metrics.get(key).title]);
}

// Controls above a section's charts, recreated when the state changes.
function controlsOf(section, make) {
  const place = document.querySelector(`#${section} .controls`);
  if (!place || !data.rankings.length) return;
  const refresh = () => {
    const focused = [...place.querySelectorAll("select")].indexOf(document.activeElement);
    place.replaceChildren(...make());
    place.querySelectorAll("select")[focused]?.focus();
  };
  onChange(refresh);
  refresh();
}
