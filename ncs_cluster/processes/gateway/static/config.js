// The settings in effect, each with what has set it. Filtered by words, of which each must be in the key, the value or the origin.

import { make, put, UNKNOWN } from "./dom.js";

const $ = (selector) => document.querySelector(selector);
const DEFAULT = "default";
let rows = [];

async function read() {
  const response = await fetch("api/config").catch(() => null);
  if (response?.status === 401) {
    location.assign("login");
    return;
  }
  const found = await response?.json().catch(() => null);
  if (!response?.ok) {
    put($("#shown"), found?.error ?? "The daemon does not answer.");
    return;
  }
  rows = found.map(makeRow);
  $("tbody").replaceChildren(...rows.map(({ node }) => node));
  show();
}

function makeRow({ key, value, origin }) {
  const text = value === null ? UNKNOWN : JSON.stringify(value);
  const isDefault = origin === DEFAULT;
  const node = make("tr", isDefault ? { class: "soft" } : {}, make("th", { scope: "row" }, key), make("td", {}, text), make("td", {}, origin));
  return { node, isDefault, words: `${key} ${text} ${origin}`.toLowerCase() };
}

function show() {
  const words = $("#words").value.toLowerCase().split(/\s+/);
  let count = 0;
  for (const row of rows) {
    row.node.hidden = ($("#set-only").checked && row.isDefault) || !words.every((word) => row.words.includes(word));
    count += !row.node.hidden;
  }
  put($("#shown"), `${count} of ${rows.length}`);
}

$("#words").addEventListener("input", show);
$("#set-only").addEventListener("change", show);
read();
