// A chart of lines over hours or days, with a clock below and the values at the pointer.

import { make, makeSvg, put } from "./dom.js";

const HEIGHT = 190;
const LEFT = 34;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;
const TICK_WIDTH = 90; // pixels that a time of the clock needs
const STEPS_S = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 2 * 86400, 7 * 86400];

export function makeTimes() {
  const svg = makeSvg("svg", { height: HEIGHT, role: "img" });
  const pointer = make("p", { class: "pointer soft", "aria-hidden": "true" });
  const times = { node: make("div", { class: "times" }, svg, pointer), svg, pointer, onTime: () => {}, scale: null };
  svg.addEventListener("pointermove", (event) => point(times, event.offsetX));
  svg.addEventListener("pointerleave", () => point(times, null));
  return times;
}

/** `lines`: [{name, colour, points: [[unix time, value]]}]; `spanS`: seconds of a point; `limit`: a dashed line, or null. */
export function drawTimes(times, lines, { since, until, span_s: spanS, unit, limit }) {
  const width = times.node.clientWidth || 600;
  const values = lines.flatMap(({ points }) => points.map(([, value]) => value));
  const top = Math.max(1, ...values, limit ?? 0) * 1.06;
  const x = (at) => LEFT + ((width - LEFT - RIGHT) * (at - since)) / (until - since);
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * value) / top;
  times.scale = { since, until, spanS, width, x };
  const parts = [];
  for (const value of steps(top)) {
    parts.push(makeSvg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    parts.push(makeSvg("text", { class: "tick", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, String(value)));
  }
  for (const [at, text] of clock(since, until, (width - LEFT - RIGHT) / TICK_WIDTH)) {
    parts.push(makeSvg("text", { class: "tick", x: x(at), y: HEIGHT - 5, "text-anchor": "middle" }, text));
  }
  if (limit !== null) parts.push(makeSvg("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: y(limit), y2: y(limit) }));
  for (const { colour, points } of lines) parts.push(makeSvg("path", { class: `past-line series-${colour}`, d: path(points, x, y, spanS) }));
  times.cursor = makeSvg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  times.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  times.svg.setAttribute("width", width);
  times.svg.setAttribute("aria-label", `${lines.map(({ name }) => name).join(", ")} in ${unit}, ${moment(since)} to ${moment(until)}`);
  times.svg.replaceChildren(...parts, times.cursor);
}

/** A line with a gap where nothing was recorded; a lone point is a dot. */
function path(points, x, y, spanS) {
  let d = "";
  let before = -Infinity;
  for (const [at, value] of points) {
    const place = `${x(at + spanS / 2).toFixed(1)},${y(value).toFixed(1)}`;
    d += at - before <= 2.5 * spanS ? `L${place}` : `M${place}h.01`;
    before = at;
  }
  return d;
}

/** Values for the grid: 1, 2 or 5 times a power of ten apart, at most five. */
function steps(top) {
  const power = 10 ** Math.floor(Math.log10(top / 5));
  const step = [1, 2, 5, 10, 20].map((factor) => factor * power).find((each) => top / each <= 5);
  return Array.from({ length: Math.floor(top / step) + 1 }, (_, at) => Number((at * step).toPrecision(6)));
}

/** [unix time, text] at round times of the local clock, at most `most`. */
function clock(since, until, most) {
  const stepS = STEPS_S.find((each) => (until - since) / each <= most) ?? STEPS_S.at(-1);
  const zoneS = new Date(since * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let at = Math.ceil((since - zoneS) / stepS) * stepS + zoneS; at <= until; at += stepS) {
    const date = new Date(at * 1000);
    const days = stepS >= 86400;
    found.push([at, days ? date.toLocaleDateString("en", { day: "numeric", month: "short" }) : date.toTimeString().slice(0, 5)]);
  }
  return found;
}

function moment(at) {
  const date = new Date(at * 1000);
  return `${date.toLocaleDateString("en", { day: "numeric", month: "short" })} ${date.toTimeString().slice(0, 5)}`;
}

function point(times, offset) {
  const { scale, cursor, pointer } = times;
  if (!scale) return;
  const share = offset === null ? -1 : (offset - LEFT) / (scale.width - LEFT - RIGHT);
  const outside = share < 0 || share > 1;
  cursor.setAttribute("visibility", outside ? "hidden" : "visible");
  if (outside) {
    put(pointer, "");
    times.onTime(null);
    return;
  }
  const at = scale.since + Math.floor((share * (scale.until - scale.since)) / scale.spanS) * scale.spanS;
  const px = scale.x(at + scale.spanS / 2);
  cursor.setAttribute("x1", px);
  cursor.setAttribute("x2", px);
  put(pointer, moment(at));
  times.onTime(at);
}
