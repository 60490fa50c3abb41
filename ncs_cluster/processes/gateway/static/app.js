// Connection to the gateway: data comes by server-sent events from /api/live, commands go by POST.

import { Cameras } from "./cameras.js";
import { Events, showMachine, showSticks, showCounters } from "./cards.js";
import { duration, each, make, number, put } from "./dom.js";
import { showIntakes } from "./intakes.js";
import { showJobs } from "./jobs.js";
import { twinsOf, showTwins } from "./twins.js";
import { History } from "./line.js";
import { Past } from "./past.js";
import { Ring } from "./ring.js";

const SILENT_MS = 6000;
const RETRY_MS = 1500;
const HIDDEN_MS = 10000;
const ANSWER_MS = 15000;

const $ = (selector) => document.querySelector(selector);
const history = new History();
const past = new Past($("#past"));
const ring = new Ring($("#ring"));
const cameras = new Cameras($("#cameras"));
const events = new Events($("#events ol"));
let source = null;
let receivedMs = 0;
let retry = null;

// -- connection --

function connect() {
  disconnect();
  receivedMs = performance.now();
  source = new EventSource("api/live");
  const on = (name, take) => source.addEventListener(name, (event) => {
    receivedMs = performance.now();
    take(JSON.parse(event.data));
  });
  on("hello", (hello) => {
    history.reset(hello.history, performance.now() / 1000);
    events.reset(hello.events);
    cameras.set(true);
  });
  on("status", (status) => {
    lost(null);
    show(status);
  });
  on("events", (news) => events.add(news));
  on("lost", ({ reason }) => lost(`The daemon does not answer: ${reason}`));
  source.onerror = broken;
}

function disconnect() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

async function broken() {
  disconnect();
  cameras.set(false);
  lost("Connection lost. Reconnecting…");
  retry = setTimeout(connect, RETRY_MS);
  const answer = await fetch("api/status").catch(() => null);
  if (answer?.status === 401) location.assign("login");
}

function lost(why) {
  document.body.classList.toggle("stale", why !== null);
  $("#lost").hidden = why === null;
  put($("#lost"), why ?? "");
  if (why === null) return;
  document.body.dataset.state = "unknown";
  document.title = "ncs_cluster: unknown";
  put($("#state"), "unknown");
}

setInterval(() => {
  if (source && performance.now() - receivedMs > SILENT_MS) broken();
}, 1000);

// A hidden page closes its streams, so that cameras without other viewers stop drawing.
let hiding = null;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (!document.hidden) {
    if (!source) connect();
    return;
  }
  hiding = setTimeout(() => {
    disconnect();
    cameras.set(false);
  }, HIDDEN_MS);
});

// -- display --

function show(status) {
  const { daemon, clusters, sticks } = status;
  const nowS = performance.now() / 1000;
  const limit = daemon.switch_temp_c;
  history.windowS = daemon.time_scale > 1 ? 120 : 300;
  const twins = twinsOf(status);
  const redraw = history.add([...sticks, ...twins], nowS);
  document.body.dataset.state = daemon.state;
  put($("#state"), daemon.state);
  document.title = daemon.state === "ok" ? "ncs_cluster" : `ncs_cluster: ${daemon.state}`;
  $("#reasons").hidden = !daemon.reasons.length;
  put($("#reasons"), daemon.reasons.join(" · "));
  $("#speed").hidden = daemon.time_scale === 1;
  put($("#speed"), `heat runs ${number(daemon.time_scale)}× faster`);
  const count = sticks.filter((stick) => stick.pool !== status.fallback?.pool).length;
  put($("#facts"), `${count} ${count === 1 ? "stick" : "sticks"} · policy ${daemon.policy} · up ${duration(daemon.uptime_s)} · ${daemon.version}`);
  cameras.update(status.cameras);
  ring.update(status);
  const hasTurns = clusters.ring.length > 1;
  put($("#last-switch"), hasTurns || clusters.switches ? lastSwitch(clusters) : "One cluster: all sticks may be active at once.");
  $("#switch").hidden = !hasTurns;
  showShadows($("#shadow"), status.pools ?? []);
  $("#load").hidden = !status.load?.said;
  put($("#load"), status.load?.said ?? "");
  const windowS = history.span(nowS);
  put($("#legend"), sticks.length ? `temperature over the last ${duration(windowS)}; dashed: the switch temperature, ${limit} °C; bar below: the stick was active` : "no stick is connected");
  const view = { post, history, redraw, limit, nowS, windowS, range: redraw ? history.range(limit) : null };
  showSticks($("#sticks"), sticks, view);
  showTwins($("#twins"), twins, view);
  showCounters($("#counters dl"), status.counters);
  showMachine($("#machine"), status.machine, status.processes, status.sink);
  showJobs($("#jobs"), status);
  showDrain($("#drain"), status.fleet);
  showIntakes($("#intakes"), status.intakes);
  showFaults(daemon.simulated);
  past.tick(limit);
}

function showDrain(node, fleet) {
  const away = fleet?.drain === "draining" || fleet?.drain === "drained";
  node.hidden = !away;
  if (!away) return;
  const counts = [[fleet.chunks, "chunk"], [fleet.frames, "frame"]].filter(([count]) => count);
  const still = counts.map(([count, noun]) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`).join(" and ");
  put(node, `${fleet.drain}: this host takes no chunks of jobs and no frames of other hosts${still ? `; it still has ${still}` : ""}`);
}

function showShadows(node, pools) {
  const several = pools.filter((pool) => !pool.fallback).length > 1;
  const said = pools.flatMap((pool) => (pool.shadow?.said ?? []).map((text) => (several ? `${pool.name}: ${text}` : text)));
  node.hidden = !said.length;
  put(node, said.join(" · "));
}

function lastSwitch({ switches, last_switch: last }) {
  if (!last) return "No switch yet.";
  const ago = duration(Math.max(0, Date.now() / 1000 - last.at));
  return `${number(switches)} ${switches === 1 ? "switch" : "switches"}, the last ${ago} ago: ${last.reason}`;
}

// -- commands --

async function post(path, body, answer) {
  answer.classList.remove("refused");
  put(answer, "…");
  try {
    const response = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const reply = await response.json().catch(() => ({}));
    answer.classList.toggle("refused", !response.ok);
    put(answer, reply.text ?? reply.error ?? `refused (${response.status})`);
    clearTimeout(answer.fading);
    answer.fading = setTimeout(() => put(answer, ""), ANSWER_MS);
  } catch {
    answer.classList.add("refused");
    put(answer, "The gateway does not answer.");
  }
}

$("#switch").addEventListener("click", () => post("api/switch", {}, $("#switch-answer")));

const FAULTS = [
  { kind: "heat", name: "Heat wave", see: "The air around all sticks becomes 15 °C warmer. The next cluster takes over before an active stick throttles." },
  { kind: "unplug", name: "Unplug a stick", see: "An active stick is unplugged for 5 s. Other sticks get its frames; it rejoins the ring when it is back." },
  { kind: "hang", name: "Hang a stick", see: "An active stick stops answering. Its process is killed at the deadline and started again; the other sticks are not affected." },
];

const HINT = "See what the daemon does about it.";

function showFaults(simulated) {
  const section = $("#faults");
  section.hidden = !simulated;
  if (simulated && !section.shown) {
    section.shown = true;
    put($("#fault-hint"), HINT);
  }
  each(section.querySelector(".fault-list"), simulated ? FAULTS : [], ({ kind }) => kind, ({ kind, name, see }) => {
    const button = make("button", { type: "button", "data-kind": kind, title: see }, name);
    button.addEventListener("click", () => post("api/trouble", { kind }, section.querySelector(".answer")));
    for (const [event, text] of [["pointerenter", see], ["focus", see], ["pointerleave", HINT], ["blur", HINT]]) button.addEventListener(event, () => put($("#fault-hint"), text));
    return { node: button };
  }, () => {});
}

connect();
