// The buttons of one stick's card: park, work, restart; forget, of one that is absent.

import { make, put } from "./dom.js";

const ACTIONS = [
  { verb: "park", name: "Park", see: "Take it out of rotation, until it is asked to work or the daemon restarts. Its frames are answered first.", shown: (stick) => !away(stick) && !parked(stick) },
  { verb: "work", name: "Work again", see: "Take it back into rotation.", shown: (stick) => parked(stick) },
  { verb: "restart", name: "Restart", see: "Answer its frames, then end its process and start it anew: the stick boots again.", shown: (stick) => !away(stick) },
  { verb: "forget", name: "Forget", see: "It is unplugged for good: remove it from the status.", shown: away },
];

function away(stick) {
  return stick.state === "absent";
}

function parked(stick) {
  return (stick.parked ?? null) !== null;
}

export function makeActions(id, post) {
  const answer = make("p", { class: "answer", role: "status" });
  const buttons = ACTIONS.map(({ verb, name, see }) => {
    const button = make("button", { type: "button", "data-verb": verb, title: see, "aria-label": `${name}: ${id}` }, name);
    button.addEventListener("click", () => post("api/stick", { stick: id, verb }, answer));
    return button;
  });
  return { node: make("div", { class: "actions" }, make("div", { class: "buttons" }, ...buttons), answer), buttons };
}

export function showActions(actions, reason, stick) {
  ACTIONS.forEach(({ shown }, at) => (actions.buttons[at].hidden = !shown(stick)));
  put(reason, parked(stick) ? `parked: ${stick.parked}` : "");
}
