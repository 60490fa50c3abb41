// One card for each part of the status document.

import { drawLine, makeLine } from "./line.js";
import { makeActions, showActions } from "./stick_actions.js";
import { arrange, each, figure, make, number, pair, put, UNKNOWN } from "./dom.js";

const STICK_PX = 236;
const WIDE_PX = 460; // from here on a stick's chart stands beside its figures

const STATES = {
  starting: "booting, or loading its graphs",
  active: "its cluster has the turn: it gets frames",
  standby: "ready; cools until its cluster has the turn",
  draining: "its turn is over; finishes its frames in flight",
  resting: "too hot: gets no frame until it is 3 °C below the switch temperature",
  parked: "taken out of rotation by an operator",
  backoff: "failed; restarts in 1 to 60 s",
  quarantined: "failed five times in a row; restarts once a minute",
  absent: "unplugged",
};

// -- sticks --

export function showSticks(parent, sticks, view) {
  each(parent, sticks, (stick) => stick.id, (stick) => makeStick(stick.id, view.post), (card, stick) => updateStick(card, stick, view));
  const place = () => parent.classList.toggle("wide-cards", arrange(parent, STICK_PX) > WIDE_PX);
  place();
  if (!parent.observed) (parent.observed = new ResizeObserver(place)).observe(parent);
}

function makeStick(id, post) {
  const name = make("h3");
  const port = make("p", { class: "soft port" });
  const state = make("span", { class: "pill" });
  const celsius = make("strong", { class: "celsius" });
  const headroom = make("span", { class: "soft headroom" });
  const line = makeLine();
  const [rate, latency, restarts, firmware] = [
    figure("inferences", "Per second; then how many it could keep up under the switch temperature, once that is known"), figure("latency", "p50 / p99, from sending a frame to the stick to its result"),
    figure("restarts", "Restarts of its process, and resets of the hung stick without a restart"), figure("firmware", "Firmware version, as the stick reports it"),
  ];
  const remark = make("p", { class: "remark" });
  const error = make("p", { class: "error" });
  const why = make("p", { class: "why" });
  const actions = makeActions(id, post);
  const node = make(
    "article", { class: "card stick" },
    make("div", { class: "stick-body" },
      make("div", { class: "stick-text" },
        make("div", { class: "row" }, name, state),
        port,
        make("div", { class: "row heat" }, celsius, headroom)),
      line.node,
      make("dl", { class: "figures" }, rate.node, latency.node, restarts.node, firmware.node)),
    why,
    remark,
    error,
    actions.node,
  );
  return { node, name, port, state, celsius, headroom, line, rate, latency, restarts, firmware, remark, error, why, actions };
}

function updateStick(card, stick, { history, redraw, limit, nowS, range, windowS }) {
  put(card.name, stick.id);
  put(card.port, [stick.name, stick.port, stick.device].filter(Boolean).join(" · "));
  put(card.state, stick.state);
  card.state.title = STATES[stick.state] ?? "";
  card.node.dataset.state = stick.state;
  put(card.celsius, stick.temperature_c === null ? UNKNOWN : number(stick.temperature_c, 1, "°C"));
  card.celsius.classList.toggle("hot", stick.temperature_c !== null && stick.temperature_c >= limit);
  put(card.headroom, headroom(stick, limit));
  if (redraw) drawLine(card.line, history.lines.get(stick.id) ?? [], { nowS, windowS, limit, range });
  const sustained = stick.sustainable_fps ?? null;
  put(card.rate.value, number(stick.fps, 1, "/s") + (sustained === null ? "" : `, up to ${number(sustained, 1)}`));
  put(card.latency.value, pair(stick.latency_ms));
  put(card.restarts.value, number(stick.restarts) + (stick.resets ? ` + ${number(stick.resets)} resets` : ""));
  put(card.firmware.value, stick.firmware ?? "");
  card.firmware.node.hidden = !stick.firmware;
  put(card.remark, (stick.remarks ?? []).join(" · "));
  const past = stick.last_error !== null && (stick.recovered_s ?? null) !== null;
  put(card.error, past ? `recovered, ${number(stick.recovered_s, 0, "s")} ago: ${stick.last_error}` : stick.last_error ?? "");
  card.error.classList.toggle("past", past);
  showActions(card.actions, card.why, stick);
}

function headroom(stick, limit) {
  if (stick.temperature_c === null) return stick.state === "absent" ? "" : "no reading";
  if (stick.throttle_level) return stick.throttle_level > 1 ? "nearly stopped by its firmware" : "throttled by its firmware";
  if (stick.temperature_c >= limit) return "over the switch temperature";
  const left = (stick.headroom_c ?? null) === null ? "" : `${number(stick.headroom_c, 1, "K")} left`;
  return stick.headroom_s === null ? left : `${limit}° in ${number(stick.headroom_s, stick.headroom_s < 10 ? 1 : 0, "s")}`;
}

// -- counters, machine, events --

const COUNTERS = [
  ["frames_lost", "lost", 0, ""],
  ["frames_doubled", "doubled", 0, ""],
  ["out_of_order", "out of order", 0, ""],
  ["throttled_s", "throttled", 1, "s"],
];

export function showCounters(parent, counters) {
  each(parent, COUNTERS, ([field]) => field, ([, term]) => figure(term), ({ node, value }, [field, , digits, unit]) => {
    put(value, number(counters[field], counters[field] && counters[field] < 1000 ? digits : 0, unit));
    node.className = counters[field] ? "bad" : "good";
  });
}

export function showMachine(section, machine, processes, sink) {
  const figures = machine ? [
    ["CPU", number(machine.cpu_percent, 0, "%")],
    ["load", `${number(machine.load_1m, 2)} of ${machine.cores}`],
    ["memory", `${number(machine.memory_used_mb / 1000, 1)} of ${number(machine.memory_total_mb / 1000, 1, "GB")}`],
  ] : [];
  if (machine && machine.temperature_c !== null) figures.push(["temperature", number(machine.temperature_c, 0, "°C")]);
  if (machine && machine.ambient_c !== null) figures.push(["air", number(machine.ambient_c, 1, "°C")]);
  if (machine && machine.fan_duty !== null) figures.push(["fan", number(100 * machine.fan_duty, 0, "%")]);
  if (sink) figures.push(["results written", `${number(sink.written)}${sink.waiting ? `, ${number(sink.waiting)} waiting` : ""}`]);
  each(section.querySelector("dl"), figures, ([term]) => term, ([term]) => figure(term), ({ value }, [, text]) => put(value, text));
  each(section.querySelector("tbody"), processes, (process) => process.name, makeProcess, (row, process) => {
    const memory = process.memory_mb === null ? UNKNOWN : number(process.memory_mb, 0, "MB");
    const cpu = process.cpu_percent === null ? UNKNOWN : number(process.cpu_percent, 1, "%");
    [process.name, process.state, cpu, memory, number(process.restarts)].forEach((text, at) => put(row.cells[at], text));
  });
}

function makeProcess() {
  const cells = [make("th", { scope: "row" }), ...[1, 2, 3, 4].map(() => make("td"))];
  return { node: make("tr", {}, ...cells), cells };
}

export class Events {
  constructor(list) {
    this.list = list;
  }

  reset(events) {
    this.list.replaceChildren();
    this.add(events);
    if (!events.length) this.list.append(make("li", { class: "soft" }, "No events yet."));
  }

  add(events) {
    if (events.length) this.list.querySelector(".soft:only-child")?.remove();
    for (const event of events) {
      const at = new Date(event.at * 1000);
      const day = at.toDateString() === new Date().toDateString() ? "" : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} `;
      const time = make("time", { datetime: at.toISOString() }, day + at.toLocaleTimeString("en-GB"));
      this.list.prepend(make("li", { "data-level": event.level }, time, make("b", {}, event.name ? `${event.who} (${event.name})` : event.who), make("span", {}, event.text)));
    }
    while (this.list.children.length > 100) this.list.lastElementChild.remove();
  }
}
