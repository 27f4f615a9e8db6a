// Numbers in the format of the rest of the report: see reports/display.py.

const EN_DASH = "\u2013";

function grouped(value, decimals) {
  return value.toLocaleString("en-US", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}

function significant(value, digits) {
  if (value === 0) return "0";
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  const decimals = digits - 1 - exponent;
  const unit = 10 ** Math.max(-decimals, 0);
  return grouped(Math.round(value / unit) * unit, Math.min(Math.max(decimals, 0), 20));
}

function fixed(value, decimals) {
  const smallest = 10 ** -decimals;
  if (value > 0 && value < smallest / 2) return `<${smallest.toFixed(decimals)}`;
  return grouped(value, decimals);
}

// Format a value in base units like the metric in the tables; a dash if it is unknown.
function shown(metric, value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return EN_DASH;
  const scaled = value * metric.scale;
  return metric.kind === "fixed"
    ? fixed(scaled, metric.digits)
    : significant(scaled, metric.digits);
}

function quoted(metric, value) {
  return `${shown(metric, value)} ${metric.unit}`.trim();
}

function heading(metric) {
  return metric.unit ? `${metric.title}, ${metric.unit}` : metric.title;
}

function listed(names) {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
