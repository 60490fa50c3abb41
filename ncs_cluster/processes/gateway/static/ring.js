// Clusters on a circle in the order of their turns. The active cluster is lit; the time to the next switch counts down inside.

import { duration, make, makeSvg, number, put } from "./dom.js";

const CENTRE = 120;
const OUTER = 104;
const INNER = 83;
const LABELS = 10; // with more clusters, or longer names, no names are shown
const LETTERS = 6;

export class Ring {
  constructor(parent) {
    this.parts = makeSvg("g");
    this.rest = makeSvg("circle", { class: "rest", cx: CENTRE, cy: CENTRE, r: INNER, pathLength: 1, transform: `rotate(-90 ${CENTRE} ${CENTRE})` });
    this.big = make("strong");
    this.small = make("span");
    this.groups = [];
    this.shape = "";
    this.intervalS = 0;
    const back = makeSvg("circle", { class: "rest-back", cx: CENTRE, cy: CENTRE, r: INNER });
    const svg = makeSvg("svg", { viewBox: "0 0 240 240", "aria-hidden": "true" }, this.parts, back, this.rest);
    this.spoken = make("p", { class: "visually-hidden" });
    parent.append(svg, make("div", { class: "ring-centre", "aria-hidden": "true" }, this.big, this.small), this.spoken);
  }

  update(status) {
    const { clusters, daemon, sticks } = status;
    const ring = clusters.ring.length ? clusters.ring : [sticks.map((stick) => stick.id)];
    const shape = JSON.stringify(ring);
    if (shape !== this.shape) this.build(ring, shape);
    const active = new Set(clusters.active);
    const hot = new Set(sticks.filter((stick) => stick.state === "resting").map((stick) => stick.id));
    const away = new Set(sticks.filter((stick) => ["absent", "parked", "backoff", "quarantined", "starting"].includes(stick.state)).map((stick) => stick.id));
    const lit = ring.findIndex((names) => names.length === active.size && names.every((name) => active.has(name)));
    this.groups.forEach((group, at) => {
      const names = ring[at];
      const working = lit >= 0 ? at === lit : active.size > 0 && names.some((name) => active.has(name));
      const state = working ? "lit" : names.some((name) => hot.has(name)) ? "hot" : names.some((name) => away.has(name)) ? "away" : "";
      group.setAttribute("class", `cluster ${state}`);
    });
    this.count(clusters, daemon, ring.length);
    put(this.spoken, active.size ? `Active: ${clusters.active.join(", ")}` : "No stick is active");
  }

  count(clusters, daemon, size) {
    const next = clusters.next_switch_s;
    if (clusters.switches !== this.switches || next === null || next > this.intervalS) this.intervalS = next ?? 0;
    this.switches = clusters.switches;
    const share = next !== null && this.intervalS > 0 ? Math.min(1, next / this.intervalS) : 0;
    this.rest.style.strokeDasharray = `${share} 1`;
    this.rest.classList.toggle("none", share === 0);
    if (clusters.shedding) {
      put(this.big, "all hot");
      put(this.small, "no frames until cool");
    } else if (next !== null) {
      put(this.big, next < 100 ? number(next, 1, "s") : duration(next));
      put(this.small, "to the next switch");
    } else if (size > 1 && daemon.switch_interval_s > 0 && clusters.active.length) {
      put(this.big, "on hold");
      put(this.small, "other clusters are hot");
    } else {
      put(this.big, size > 1 ? "by heat" : clusters.active.length ? "all" : "none");
      put(this.small, size > 1 ? "no timer is set" : clusters.active.length ? "sticks active" : "active");
    }
  }

  build(ring, shape) {
    this.shape = shape;
    const gap = ring.length > 1 ? Math.min(0.07, 0.8 / ring.length) : 0;
    const turn = (2 * Math.PI) / ring.length;
    const shorten = shortNames(ring.flat());
    const arcs = ring.map((_, at) => makeSvg("path", { d: arc(at * turn + gap / 2, (at + 1) * turn - gap / 2) }));
    const texts = ring.map((names) => names.map(shorten).join("·"));
    const fits = ring.length > 1 && ring.length <= LABELS && texts.every((text) => text.length <= LETTERS);
    this.groups = arcs.map((arc, at) => makeSvg("g", {}, arc, ...(fits ? [label(texts[at], (at + 0.5) * turn)] : [])));
    this.parts.replaceChildren(...this.groups);
  }
}

function point(angle, radius) {
  return [(CENTRE + radius * Math.sin(angle)).toFixed(2), (CENTRE - radius * Math.cos(angle)).toFixed(2)];
}

function arc(from, to) {
  const middle = (from + to) / 2; // two halves, because an SVG arc cannot be a full circle
  const [a, b, c] = [from, middle, to].map((angle) => point(angle, OUTER).join(" "));
  return `M${a}A${OUTER} ${OUTER} 0 0 1 ${b}A${OUTER} ${OUTER} 0 0 1 ${c}`;
}

function label(text, angle) {
  const [x, y] = point(angle, OUTER);
  return makeSvg("text", { x, y, "text-anchor": "middle", "dominant-baseline": "central" }, text);
}

/** A function that cuts the prefix all names share: "sim-1", "sim-2" -> "1", "2". */
function shortNames(names) {
  let common = names[0] ?? "";
  for (const name of names) while (!name.startsWith(common)) common = common.slice(0, -1);
  const cut = Math.max(common.lastIndexOf("-"), common.lastIndexOf(".")) + 1;
  return names.every((name) => name.length > cut) ? (name) => name.slice(cut) : (name) => name;
}
