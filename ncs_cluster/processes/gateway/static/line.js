// Chart of a stick's temperature with the switch temperature; the bar below shows when the stick was active.

import { make, makeSvg } from "./dom.js";

const WIDTH = 300;
const HEIGHT = 84;
const FLOOR = 8; // height of the bar of activity
const POINTS = 200;
let gradients = 0;

/** Temperatures of all sticks, oldest first: {id: [[performance.now() / 1000, celsius or null, active]]}. */
export class History {
  constructor() {
    this.lines = new Map();
    this.windowS = 300;
    this.lastS = -Infinity;
  }

  /** Set the history sent by the gateway: {id: [[age in seconds, celsius or null, active]]}. */
  reset(lines, nowS) {
    this.lines = new Map(Object.entries(lines).map(([id, points]) => [id, points.map(([ago, ...rest]) => [nowS - ago, ...rest])]));
  }

  /** True when a point was added. */
  add(sticks, nowS) {
    if (nowS - this.lastS < 0.45) return false;
    this.lastS = nowS;
    for (const stick of sticks) {
      const line = this.lines.get(stick.id) ?? [];
      this.lines.set(stick.id, line);
      line.push([nowS, stick.temperature_c, stick.state === "active"]);
      while (line[0][0] < nowS - 310) line.shift();
    }
    return true;
  }

  /** Time span of the charts, seconds: the age of the oldest point, 30 to windowS. */
  span(nowS) {
    let oldestS = nowS;
    for (const line of this.lines.values()) if (line.length) oldestS = Math.min(oldestS, line[0][0]);
    return Math.max(30, Math.min(this.windowS, nowS - oldestS));
  }

  /** Temperature range [low, high] of all charts; the same for all sticks, so that they can be compared. */
  range(limit) {
    let low = Math.min(30, limit - 25);
    let high = limit + 5;
    for (const line of this.lines.values()) {
      for (const [, celsius] of line) {
        if (celsius === null) continue;
        low = Math.min(low, celsius - 2);
        high = Math.max(high, celsius + 3);
      }
    }
    return [low, high];
  }
}

export function makeLine() {
  const id = `heat-${gradients++}`;
  const stops = ["hot", "hot", "calm", "calm"].map((name) => makeSvg("stop", { class: `stop-${name}`, offset: 0 }));
  const gradient = makeSvg("linearGradient", { id, gradientUnits: "userSpaceOnUse", x1: 0, x2: 0, y1: 0, y2: HEIGHT - FLOOR }, ...stops);
  const limit = makeSvg("line", { class: "limit", x1: 0, x2: WIDTH });
  const area = makeSvg("path", { class: "area", fill: `url(#${id})` });
  const path = makeSvg("path", { class: "path", stroke: `url(#${id})` });
  const work = makeSvg("path", { class: "work" });
  const label = make("span", { class: "limit-label" });
  const svg = makeSvg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    makeSvg("defs", {}, gradient), area, limit, path, work,
  );
  return { node: make("div", { class: "line" }, svg, label), stops, limit, area, path, work, label };
}

export function drawLine(line, points, { nowS, windowS, limit, range: [low, high] }) {
  const x = (atS) => Math.max(0, WIDTH * (1 - (nowS - atS) / windowS));
  const y = (celsius) => (HEIGHT - FLOOR) * (1 - (celsius - low) / (high - low));
  const at = y(limit) / (HEIGHT - FLOOR);
  line.stops.forEach((stop, index) => stop.setAttribute("offset", [0, at, at, 1][index]));
  line.limit.setAttribute("y1", y(limit));
  line.limit.setAttribute("y2", y(limit));
  line.label.style.top = `${(100 * y(limit)) / HEIGHT}%`;
  line.label.textContent = `${limit}°`;

  let path = "";
  let area = "";
  let work = "";
  let begin = null; // x where the present gapless segment begins
  let last = null;
  let worked = false;
  const close = () => {
    if (begin !== null) area += `L${last},${HEIGHT - FLOOR}L${begin},${HEIGHT - FLOOR}Z`;
    begin = null;
  };
  for (const [atS, celsius, working] of thin(points.filter(([atS]) => atS > nowS - windowS))) {
    const px = x(atS).toFixed(1);
    if (worked) work += `H${px}`;
    else if (working) work += `M${px},${HEIGHT - 2.5}`;
    worked = working;
    if (celsius === null) {
      close();
      continue;
    }
    const move = `${begin === null ? "M" : "L"}${px},${y(celsius).toFixed(1)}`;
    begin ??= px;
    path += move;
    area += move;
    last = px;
  }
  close();
  line.path.setAttribute("d", path);
  line.area.setAttribute("d", area);
  line.work.setAttribute("d", work);
}

/** Every n-th point, at most about POINTS, and always the last. */
function thin(points) {
  const step = Math.ceil(points.length / POINTS);
  return step < 2 ? points : points.filter((_, at) => at % step === 0 || at === points.length - 1);
}
