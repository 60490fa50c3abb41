// Other programs that send pictures: where they send them, and what becomes of these.

import { duration, each, make, number, put } from "./dom.js";

const QUIET_S = 10;

export function showIntakes(section, intakes = []) {
  section.hidden = !intakes.length;
  each(section.querySelector(".intake-list"), intakes, (intake) => intake.name, makeIntake, updateIntake);
}

function makeIntake() {
  const name = make("h3");
  const state = make("span", { class: "pill" });
  const facts = make("p", { class: "soft" });
  const clients = make("div", { class: "client-list" });
  const node = make("article", { class: "intake" }, make("div", { class: "row" }, name, state), facts, clients);
  return { node, name, state, facts, clients };
}

function updateIntake(card, intake) {
  put(card.name, intake.name);
  put(card.state, intake.state);
  const answers = `${number(intake.fps, 1, "/s")} · ${number(intake.answered)} answered`;
  const failed = intake.failed ? ` · ${number(intake.failed)} failed` : "";
  const took = intake.latency_ms.p50 === null ? "" : ` · ${number(intake.latency_ms.p50, 0, "ms")}`;
  put(card.facts, `${intake.address ?? ""} · ${answers}${failed}${took}`);
  each(card.clients, intake.clients, (client) => client.name, makeClient, updateClient);
}

function makeClient() {
  const facts = make("p");
  const detail = make("p", { class: "error" });
  return { node: make("div", { class: "client" }, facts, detail), facts, detail };
}

function updateClient(row, client) {
  const parts = [client.name, `${number(client.answered)} of ${number(client.asked)} answered`];
  if (client.shed) parts.push(`${number(client.shed)} shed`);
  if (client.late) parts.push(`${number(client.late)} late`);
  if (client.handshakes) parts.push(`${number(client.handshakes)} handshakes`);
  if (client.seen_s >= QUIET_S) parts.push(`silent for ${duration(client.seen_s)}`);
  put(row.facts, parts.join(" · "));
  put(row.detail, client.detail ?? "");
}
