// The daemon's history: temperatures and rates over hours, days and weeks.

import { each, make, number, put, UNKNOWN } from "./dom.js";
import { drawTimes, makeTimes } from "./times.js";

const SPANS = { "1 h": 3600, "6 h": 6 * 3600, "24 h": 86400, "7 days": 7 * 86400, "30 days": 30 * 86400 };
const FIRST = "24 h";
const ALMOST = 1.1;
const AGAIN_MS = 60000;
const COLOURS = 8;
const HEAT = { title: "Temperature, highest of each interval", unit: "°C", value: 3, kinds: ["temperature", "air"], digits: 1 };
const RATE = { title: "Rate", unit: "/s", value: 2, kinds: ["camera", "intake", "asked", "capacity"], digits: 1 };

export class Past {
  /** `section`: hidden while there is no history. It is asked for once a minute while it can be seen. */
  constructor(section) {
    this.section = section;
    this.limit = null;
    this.span = FIRST;
    this.chosen = false;
    this.askedMs = -Infinity;
    this.inView = false;
    this.charts = [HEAT, RATE].map((about) => makePanel(section.querySelector(".past-charts"), about, () => this.limit));
    each(section.querySelector(".spans"), Object.keys(SPANS), (name) => name, (name) => {
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => this.choose(name));
      return { node: button };
    }, (button, name) => button.node.setAttribute("aria-pressed", String(name === this.span)));
    new IntersectionObserver(([seen]) => {
      this.inView = seen.isIntersecting;
      this.tick();
    }).observe(section);
    new ResizeObserver(() => this.draw()).observe(section);
  }

  choose(name) {
    this.chosen = true;
    this.span = name;
    for (const button of this.section.querySelectorAll(".spans button")) button.setAttribute("aria-pressed", String(button.textContent === name));
    this.ask();
  }

  /** Called with every status. */
  tick(limit = this.limit) {
    const moved = limit !== this.limit;
    this.limit = limit;
    if (this.inView && !document.hidden && performance.now() - this.askedMs > AGAIN_MS) this.ask();
    else if (moved) this.draw();
  }

  async ask() {
    this.askedMs = performance.now();
    const { span } = this;
    const response = await fetch(`api/history?seconds=${SPANS[span]}`).catch(() => null);
    if (span !== this.span) return;
    const found = await response?.json().catch(() => null);
    put(this.section.querySelector(".past-note"), response?.ok ? "" : (found?.error ?? "The history cannot be read at present."));
    if (!response?.ok) return;
    if (!found.series.length) put(this.section.querySelector(".past-note"), found.why ?? "Nothing was recorded in this time; the first figures come a minute after the daemon's start.");
    const fitting = this.chosen ? span : fittingSpan(found, span);
    this.chosen ||= found.series.length > 0;
    if (fitting !== span) {
      this.choose(fitting);
      return;
    }
    this.found = found;
    this.draw();
  }

  draw() {
    if (!this.found) return;
    for (const chart of this.charts) chart.draw(this.found);
    showEvents(this.section.querySelector(".past-events"), this.found.events);
  }
}

/** The shortest span that shows all that was found, at most the one that was asked for. */
function fittingSpan({ series, until }, asked) {
  const first = Math.min(...series.map(({ points }) => points[0]?.[0] ?? Infinity));
  return Object.keys(SPANS).find((name) => name === asked || until - first <= SPANS[name] * ALMOST);
}

/** Warnings and errors of the span, newest first. */
function showEvents(box, events) {
  box.hidden = !events.length;
  put(box.querySelector("summary"), `${events.length} ${events.length === 1 ? "warning or error" : "warnings and errors"}, the newest first`);
  each(box.querySelector("ol"), [...events].reverse(), ({ id }) => id, ({ at, level, who, name, text }) => ({
    node: make("li", { "data-level": level }, make("time", {}, new Date(at * 1000).toLocaleString()), make("span", {}, make("b", {}, name ?? who), ` ${text}`)),
  }), () => {});
}

function makePanel(parent, about, limitOf) {
  const times = makeTimes();
  const legend = make("ul", { class: "legend" });
  const figure = make("figure", { "data-chart": about.unit, hidden: "" }, make("h3", {}, about.title), times.node, legend);
  parent.append(figure);
  let lines = [];
  let at = null;

  const values = () => each(legend, lines, (line) => line.name, ({ name, colour }) => {
    const value = make("strong");
    return { node: make("li", { class: `series-${colour}` }, make("span", { class: "swatch" }), `${name} `, value), value };
  }, (item, line) => {
    const point = at === null ? line.points.at(-1) : line.points.find(([from]) => from === at);
    put(item.value, point ? number(point[1], about.digits, about.unit) : UNKNOWN);
  });
  times.onTime = (time) => {
    at = time;
    values();
  };

  return {
    draw(found) {
      const wanted = found.series.filter(({ kind }) => about.kinds.includes(kind));
      figure.hidden = !wanted.length;
      lines = wanted.map(({ kind, name, points }, index) => ({
        name: kind === "intake" ? `${name} (program)` : name || kind, colour: index % COLOURS, points: points.map((point) => [point[0], point[about.value]]),
      }));
      drawTimes(times, lines, { ...found, unit: about.unit, limit: about === HEAT ? limitOf() : null });
      values();
    },
  };
}
