// Jobs of the status document: those that have not ended, then the newest that have. Chunks of jobs over hosts are summed up.

import { duration, each, make, number, put } from "./dom.js";

const MOST_ENDED = 3;

export function showJobs(section, { jobs = [], fleet }) {
  const own = [...jobs.filter((job) => !job.chunk_of), ...(fleet?.jobs ?? []).map(overHosts)];
  const ended = own.filter(hasEnded).slice(-MOST_ENDED).reverse();
  const shown = [...own.filter((job) => !hasEnded(job)), ...ended];
  section.hidden = !shown.length;
  each(section.querySelector(".job-list"), shown, (job) => job.id, makeJob, updateJob);
}

function overHosts(job) {
  return { ...job, id: `over hosts ${job.id}`, title: job.name, expected: null };
}

function hasEnded({ state }) {
  return state !== "running" && state !== "paused";
}

function makeJob() {
  const name = make("h3");
  const state = make("span", { class: "pill" });
  const bar = make("progress", { max: "1", "aria-label": "frames done" });
  const facts = make("p", { class: "soft" });
  const place = make("p", { class: "soft" });
  const detail = make("p", { class: "error" });
  const node = make("article", { class: "job" }, make("div", { class: "row" }, name, state), place, bar, facts, detail);
  return { node, name, state, bar, facts, place, detail };
}

function updateJob(card, job) {
  card.node.dataset.state = job.state;
  put(card.name, job.title ?? `job ${job.id}`);
  put(card.state, job.state);
  put(card.place, job.title ? "what this host does of a job over hosts" : `${job.sources.join(", ")} · ${job.graph} · into ${job.out}`);
  card.bar.hidden = job.expected === null;
  if (job.expected) card.bar.value = job.done / job.expected;
  else card.bar.removeAttribute("value");
  put(card.facts, facts(job));
  put(card.detail, job.detail ?? "");
}

function facts({ state, done, expected, failed, fps, chunks, running }) {
  const parts = expected === null ? [`${number(chunks)} chunks`, `${number(done)} frames done`] : [`${number(done)} of ${number(expected)} frames`];
  if (running) parts.push(`${number(running)} in hand`);
  if (failed) parts.push(`${number(failed)} failed`);
  if (state === "running") {
    parts.push(number(fps, 1, "/s"));
    if (fps && expected >= done) parts.push(`${duration((expected - done) / fps)} left`);
  }
  return parts.join(" · ");
}
