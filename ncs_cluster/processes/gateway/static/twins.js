// The daemon's simulated sticks beside the same sticks under the original script's policy.

import { each, figure, make, number, put, UNKNOWN } from "./dom.js";
import { drawLine, makeLine } from "./line.js";

const ABOUT =
  "The policy of MultiStickSSDwithRealSense.py on sticks of the same model, with the same options, air, frames, time scale and heat waves; it does not have the other faults. Each line is the hottest stick.";

/** Both twins, as the history has them and more; none where the daemon simulates no original. */
export function twinsOf({ daemon, clusters, sticks, cameras, counters, graphs, original }) {
  if (!original) return [];
  const known = sticks.map((stick) => stick.temperature_c).filter((celsius) => celsius !== null);
  const throttled = sticks.some((stick) => stick.throttle_level);
  const ours = clusters.shedding ? "all too hot" : throttled ? "throttled" : clusters.active.length ? "in turns" : "idle";
  return [
    {
      id: "twin ours", name: `This daemon, policy ${daemon.policy}`, state: clusters.active.length ? "active" : "standby", word: ours, bad: throttled,
      temperature_c: known.length ? Math.max(...known) : null, fps: Math.max(1, graphs.length) * cameras.reduce((sum, camera) => sum + camera.detection_fps, 0),
      throttled_s: counters.throttled_s, switches: clusters.switches,
    },
    {
      id: "twin original", name: "The original script", state: "active", bad: original.latched,
      word: original.latched ? "latched: all sticks work, and stay hot" : "in turns",
      temperature_c: original.temperatures_c.length ? Math.max(...original.temperatures_c) : null,
      fps: original.fps, throttled_s: original.throttled_s, switches: original.switches,
    },
  ];
}

export function showTwins(section, twins, view) {
  section.hidden = !twins.length;
  if (twins.length) put(section.querySelector("#twins-about"), ABOUT);
  each(section.querySelector(".twin-list"), twins, (twin) => twin.id, makeTwin, (card, twin) => updateTwin(card, twin, view));
}

function makeTwin({ id }) {
  const name = make("h3");
  const word = make("span", { class: "pill" });
  const celsius = make("strong", { class: "celsius" });
  const line = makeLine();
  const [rate, throttled, switches] = [figure("inferences"), figure("throttled", "Time its sticks have spent throttled by their firmware"), figure("switches")];
  const node = make(
    "article", { class: "twin", "data-twin": id },
    make("div", { class: "row" }, name, word),
    make("div", { class: "twin-body" }, celsius, line.node),
    make("dl", { class: "figures" }, rate.node, throttled.node, switches.node),
  );
  return { node, name, word, celsius, line, rate, throttled, switches };
}

function updateTwin(card, twin, { history, redraw, limit, nowS, range, windowS }) {
  put(card.name, twin.name);
  put(card.word, twin.word);
  card.node.classList.toggle("bad", twin.bad);
  put(card.celsius, twin.temperature_c === null ? UNKNOWN : number(twin.temperature_c, 1, "°C"));
  card.celsius.classList.toggle("hot", twin.temperature_c !== null && twin.temperature_c >= limit);
  if (redraw) drawLine(card.line, history.lines.get(twin.id) ?? [], { nowS, windowS, limit, range });
  put(card.rate.value, number(twin.fps, 1, "/s"));
  put(card.throttled.value, number(twin.throttled_s, 0, "s"));
  put(card.switches.value, number(twin.switches));
}
