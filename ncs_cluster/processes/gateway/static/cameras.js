// The cameras: one large picture, and with several cameras a strip to choose from. #camera=NAME, or ?camera=NAME, shows one alone.

import { arrange, each, figure, make, number, pair, put } from "./dom.js";

const THUMB_MS = 1000; // a browser opens six connections to one host: one stream, and the strip by snapshots
const AGAIN_MS = 2000;
const SNAPSHOTS = [10, 20, 40, 80, 160]; // so many before a stream that failed is tried again: some proxies pass on none
const THUMB_PX = 84;
const MOST_IN_A_ROW = 5;

export class Cameras {
  constructor(parent) {
    this.parent = parent;
    this.open = false;
    this.chosen = null;
    this.large = new Large();
    this.strip = make("ul", { class: "strip", "aria-label": "Choose a camera" });
    this.missing = make("p", { class: "card", role: "alert" });
    parent.append(this.large.node, this.strip, this.missing);
    addEventListener("hashchange", () => this.update(this.cameras ?? []));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && alone() !== null) leave();
    });
    new ResizeObserver(() => arrange(this.strip, THUMB_PX, MOST_IN_A_ROW)).observe(this.strip);
  }

  update(cameras) {
    this.cameras = cameras;
    const name = alone();
    document.body.classList.toggle("alone", name !== null);
    const shown = cameras.find((camera) => camera.name === (name ?? this.chosen)) ?? (name === null ? cameras[0] : undefined);
    this.parent.hidden = name === null && !cameras.length;
    this.missing.hidden = name === null || shown !== undefined || !cameras.length;
    put(this.missing, this.missing.hidden ? "" : `There is no camera ${name}.`);
    this.large.node.hidden = shown === undefined;
    if (shown) this.large.update(shown, name !== null, this.open);
    const listed = cameras.length > 1 && name === null ? cameras : [];
    this.strip.hidden = !listed.length;
    each(this.strip, listed, (camera) => camera.name, (camera) => this.makeThumb(camera), (thumb, camera) => updateThumb(thumb, camera, camera === shown));
    arrange(this.strip, THUMB_PX, MOST_IN_A_ROW);
  }

  /** Start or stop all pictures. A stopped one stays as it is. */
  set(open) {
    this.open = open;
    open ? this.large.begin() : this.large.end();
    for (const thumb of this.strip.known?.values() ?? []) open ? thumb.begin() : thumb.end();
  }

  makeThumb({ name }) {
    const img = make("img", { alt: "" });
    const state = make("span", { class: "soft" });
    const rates = make("span", { class: "soft rates" });
    const button = make("button", { type: "button" }, make("span", { class: "thumb-picture" }, img), make("span", { class: "thumb-text" }, make("b", {}, name), rates, state));
    button.addEventListener("click", () => {
      this.chosen = name;
      this.update(this.cameras);
    });
    const thumb = { node: make("li", {}, button), button, img, state, rates, timer: null };
    thumb.begin = () => {
      clearTimeout(thumb.timer);
      if (this.open && thumb.node.isConnected) img.src = `${address(name)}.jpg?${Date.now()}`;
    };
    thumb.end = () => clearTimeout(thumb.timer);
    const again = (afterMs) => {
      clearTimeout(thumb.timer);
      thumb.timer = setTimeout(thumb.begin, afterMs);
    };
    img.addEventListener("load", () => {
      img.classList.add("shown");
      again(THUMB_MS);
    });
    img.addEventListener("error", () => again(AGAIN_MS));
    queueMicrotask(thumb.begin);
    return thumb;
  }
}

function updateThumb(thumb, status, chosen) {
  thumb.button.setAttribute("aria-pressed", chosen);
  put(thumb.rates, status.state === "running" ? number(status.detection_fps, 1, "/s") : "");
  put(thumb.state, status.state === "running" ? "" : status.state);
}

/** The large picture. */
class Large {
  constructor() {
    this.img = make("img");
    this.note = make("p", { class: "note" });
    this.screen = make("a", { class: "screen" }, this.img, this.note);
    this.title = make("h2");
    this.source = make("span", { class: "soft" });
    this.figures = {
      capture: figure("captured"),
      detection: figure("detected", "Results per second of each graph"),
      latency: figure("to result p50/p99", "From capture to result"),
      ahead: figure("read ahead p50/p99", "From reading a frame to its result: frames of files are read ahead, so that no stick waits"),
      picture: figure("to picture", "From capture to drawn picture (median)"),
      dropped: figure("dropped", "Frames dropped because a newer one was captured"),
      distance: figure("distance error", "Median of |measured - true| / true distance; only the synthetic scene knows the true one"),
    };
    this.node = make(
      "figure", { class: "card camera" },
      this.screen,
      make("figcaption", {}, make("div", { class: "row" }, this.title, this.source), make("dl", { class: "figures" }, ...Object.values(this.figures).map((it) => it.node))),
    );
    this.name = null;
    this.open = false;
    this.timer = null;
    this.failures = 0;
    this.snapshots = 0;
    this.img.addEventListener("load", () => {
      this.img.classList.add("shown");
      this.screen.querySelector("canvas")?.remove();
      if (this.single) this.again(THUMB_MS);
      else this.failures = 0;
    });
    this.img.addEventListener("error", () => {
      if (!this.single) this.snapshots = SNAPSHOTS[Math.min(this.failures++, SNAPSHOTS.length - 1)];
      this.again(AGAIN_MS);
    });
  }

  update(status, isAlone, open) {
    this.open = open;
    if (this.name !== status.name) this.change(status.name);
    // not where it stands for the whole page: the address without a fragment would load it anew
    this.screen.href = isAlone ? overview() : `#camera=${encodeURIComponent(status.name)}`;
    this.screen.title = isAlone ? "Back to the whole page" : "Enlarge";
    put(this.title, status.name);
    put(this.source, [status.source, status.size ? `${status.size[0]}×${status.size[1]}` : null, status.depth ? "with depth" : null].filter(Boolean).join(" · "));
    if (status.size) this.screen.style.setProperty("--shape", `${status.size[0]} / ${status.size[1]}`);
    put(this.note, status.state === "running" ? "" : `${status.state}${status.detail ? `: ${status.detail}` : ""}`);
    const { capture, detection, latency, ahead, picture, dropped, distance } = this.figures;
    put(capture.value, number(status.capture_fps, 1, "/s"));
    put(detection.value, number(status.detection_fps, 1, "/s"));
    // an ordered source drops nothing, and its times are those for which its frames lay read ahead
    for (const { node } of [latency, picture, dropped]) node.hidden = Boolean(status.ordered);
    ahead.node.hidden = !status.ordered;
    put((status.ordered ? ahead : latency).value, pair(status.latency_ms));
    put(picture.value, number(status.picture_ms.p50, 0, "ms"));
    put(dropped.value, number(status.dropped));
    distance.node.hidden = status.distance_error === null;
    put(distance.value, status.distance_error === null ? "" : number(100 * status.distance_error, 1, "%"));
  }

  change(name) {
    this.name = name;
    this.failures = this.snapshots = 0;
    this.img.alt = `Live picture of ${name}`;
    this.img.classList.remove("shown");
    this.screen.querySelector("canvas")?.remove();
    if (this.open) this.begin();
  }

  begin() {
    this.open = true;
    clearTimeout(this.timer);
    if (this.name === null) return;
    this.single = this.snapshots > 0;
    if (this.single) this.snapshots -= 1;
    this.img.src = `${address(this.name)}.${this.single ? "jpg" : "mjpg"}?${Date.now()}`;
  }

  end() {
    this.open = false;
    clearTimeout(this.timer);
    freeze(this.img);
  }

  again(afterMs) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open && this.begin(), afterMs);
  }
}

/** The camera that the address asks for; null for the whole page. */
function alone() {
  const asked = new URLSearchParams(location.hash.slice(1)).get("camera") ?? new URLSearchParams(location.search).get("camera");
  return asked === null || asked === "" ? null : asked;
}

function overview() {
  return new URLSearchParams(location.search).has("camera") ? "./" : "#";
}

function leave() {
  location.assign(overview());
}

function address(name) {
  return `cameras/${encodeURIComponent(name)}`;
}

/** Stop loading; keep the last picture on a canvas. */
function freeze(img) {
  if (!img.naturalWidth) return img.removeAttribute("src");
  const canvas = make("canvas", { width: img.naturalWidth, height: img.naturalHeight, role: "img", "aria-label": img.alt });
  canvas.getContext("2d").drawImage(img, 0, 0);
  img.parentNode.querySelector("canvas")?.remove();
  img.parentNode.prepend(canvas);
  img.removeAttribute("src");
  img.classList.remove("shown");
}
