// Code shared by all charts. A chart is drawn when it scrolls near the window.

const makers = new Map();
const near = new Set();
let library = null;
const DASHES = ["solid", "dash", "dot", "dashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star"];

function chart(name, make) {
  makers.set(name, make);
}

// Paper is white, and the print style sheet is not active yet when a chart is drawn for printing.
const PRINTED = { ink: "#000000", muted: "#444444", grid: "#cccccc", surface: "#ffffff" };
let isPrinting = false;

function ink(name) {
  if (isPrinting) return PRINTED[name];
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Plotly interprets some tags in texts: escape them.
function verbatim(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function shortened(text, length = 34) {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

function name(contender) {
  return verbatim(shortened(contender.label));
}

// Return a text that is stored in the page as base64 of gzip.
async function unpacked(id) {
  const packed = atob(document.getElementById(id).textContent.trim());
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function loadLibrary() {
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly");
  document.head.append(script);
  return window.Plotly;
}

async function startCharts() {
  const places = [...document.querySelectorAll("[data-chart]")];
  if (!places.length) return;
  try {
    library = await loadLibrary();
  } catch {
    for (const place of places) {
      place.replaceChildren("This browser cannot draw the chart; its numbers are in the table.");
    }
    return;
  }
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) near.add(target), draw(target);
        else near.delete(target);
      }
    },
    { rootMargin: "600px" },
  );
  for (const place of places) watch.observe(place);
  onChange(drawNear);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawNear);
  const print = (isOn) => {
    isPrinting = isOn;
    if (isOn) places.forEach(draw);
    else drawNear();
  };
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
}

function drawNear() {
  for (const place of near) draw(place);
}

function isHidden(place) {
  return place.closest("[hidden]") !== null;
}

function draw(place) {
  const made = isHidden(place) ? null : makers.get(place.dataset.chart)?.(place);
  if (!made) return;
  const { traces, layout, height } = made;
  place.style.minHeight = `${height}px`;
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  library.react(place, traces, composed(layout, height), config).then(() => {
    place.dataset.drawn = String(traces.length);
    offerPicture(place);
  });
}

function axis(own = {}) {
  return {
    gridcolor: ink("grid"),
    linecolor: ink("grid"),
    zerolinecolor: ink("grid"),
    tickfont: { color: ink("muted"), size: 12 },
    automargin: true,
    ticks: "",
    // this report does not write 200k
    exponentformat: "none",
    separatethousands: true,
    ...own,
    title: { text: own.title ?? "", font: { color: ink("muted"), size: 12 }, standoff: 12 },
  };
}

function composed(own, height) {
  const family = getComputedStyle(document.body).fontFamily;
  return {
    height,
    autosize: true,
    margin: { l: 8, r: 24, t: own.showlegend ? 8 : 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family, size: 12, color: ink("ink") },
    hoverlabel: {
      bgcolor: ink("surface"),
      bordercolor: ink("grid"),
      font: { family, size: 12, color: ink("ink") },
      align: "left",
    },
    legend: {
      orientation: "h",
      x: 0,
      xanchor: "left",
      y: 1.02,
      yanchor: "bottom",
      font: { size: 12 },
      itemwidth: 30,
    },
    showlegend: false,
    dragmode: "zoom",
    ...own,
    xaxis: axis(own.xaxis),
    yaxis: axis(own.yaxis),
  };
}

function isWide(values, times = 15) {
  const known = values.filter((value) => value > 0);
  return known.length > 1 && Math.max(...known) / Math.min(...known) > times;
}

// Logarithmic axes with ticks at 1, 2 and 5 of each decade, so that no label is an exponent.
function scaleOf(values, times) {
  return isWide(values, times) ? { type: "log", dtick: "D2" } : { rangemode: "tozero" };
}

function lineOf(contender) {
  return { color: contender.colour, dash: DASHES[contender.turn], width: 2 };
}

function offerPicture(place) {
  const figure = place.closest("figure");
  if (figure.querySelector("button.save")) return;
  const options = { format: "svg", width: 1000, height: place.clientHeight, filename: place.dataset.chart };
  const save = () => library.downloadImage(place, options);
  figure
    .querySelector("figcaption")
    .append(" ", element("button", { type: "button", class: "quiet save", onclick: save }, "Save as SVG"));
}
