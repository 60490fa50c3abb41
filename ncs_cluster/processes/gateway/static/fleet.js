// All hosts at the NATS server, renewed while the page is seen. What hosts tell is text; only addresses of pages become links.

import { make, put, UNKNOWN } from "./dom.js";

const $ = (selector) => document.querySelector(selector);
const EVERY_MS = 3000;
const LOCAL = /^(localhost|127\.|\[::1\])/;

async function read() {
  const response = await fetch("api/fleet").catch(() => null);
  if (response?.status === 401) {
    location.assign("login");
    return;
  }
  const found = await response?.json().catch(() => null);
  if (!response?.ok) {
    put($("#shown"), found?.error ?? "The page's process does not answer.");
    return;
  }
  $("tbody").replaceChildren(...found.hosts.map(row));
  const left = found.left_out ? `, ${found.left_out} more are left out` : "";
  put($("#shown"), found.hosts.length ? `${found.hosts.length}${left}` : "no host is announced at this server");
}

function row(host) {
  const told = host.entry;
  const cells = told === null ? unreadable(host) : figures(host, told);
  return make("tr", {}, make("th", { scope: "row" }, named(host.node, told?.page)), ...cells.map((text) => make("td", {}, text)));
}

function figures(host, told) {
  const drain = told.drained ? ", drained" : host.drained ? ", draining" : "";
  return [
    told.version,
    host.gone ? "gone" : told.state + drain,
    `${told.sticks_usable}/${told.sticks_present}`,
    number(told.hottest_c, " °C"),
    number(told.fps, "/s"),
    number(told.headroom_fps, "/s"),
    `${Math.floor(host.age_s)} s`,
    host.gone ? "" : told.reasons.join("; "),
  ];
}

function unreadable(host) {
  const protocol = host.unreadable.protocol;
  const why = protocol === null ? "what stands under its name is no entry of ncs_cluster" : `speaks protocol ${protocol} of the fleet`;
  return [host.unreadable.version ?? UNKNOWN, "unreadable", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, `${Math.floor(host.age_s)} s`, why];
}

function number(value, unit) {
  return value === null ? UNKNOWN : value.toFixed(1) + unit;
}

/** The name, as a link where the page is one that other machines reach. */
function named(name, page) {
  const address = page && URL.canParse(page) ? new URL(page) : null;
  if (!address || !/^https?:$/.test(address.protocol) || LOCAL.test(address.host)) return name;
  return make("a", { href: address.href, rel: "noopener noreferrer" }, name);
}

async function keep() {
  if (!document.hidden) await read();
  setTimeout(keep, EVERY_MS);
}

keep();
