"""Trouble on purpose, with simulated sticks only: what the page's three buttons do."""

from __future__ import annotations

from typing import Any

import msgspec

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, LogEvent, Send, Unplug
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.types import StickId

HEAT_WAVE_S = 20.0


def make(endpoint: Endpoint, kind: str, stick: StickId | None, sticks: Sticks, *, simulated: bool) -> list[Action]:
    """A heat wave over all sticks, or one that is pulled or hangs: the one named, else one that works now."""
    if not simulated:
        return [refuse(endpoint, "trouble can only be made with simulated sticks (--backend simulated)")]
    usable = [known for known in sticks.by_id.values() if known.usable]
    if stick is not None and stick not in {known.spec.id for known in usable}:
        return [refuse(endpoint, f"stick {stick} is not at hand")]
    chosen = stick or next(iter(sticks.active), None) or (usable[0].spec.id if usable else None)
    if chosen is None:
        return [refuse(endpoint, "no stick is at hand")]
    actions: list[Action]
    match kind:
        case "heat":
            text = f"a heat wave: 15 °C warmer for {HEAT_WAVE_S:.0f} s"
            actions = [Send(known.child.endpoint, m.InjectFault("heat", HEAT_WAVE_S)) for known in usable]
        case "unplug":
            text = f"{chosen} is pulled, and plugged in again after 5 s"
            actions = [Unplug(chosen)]
        case "hang":
            text = f"{chosen} hangs: it will not answer any more"
            actions = [Send(Endpoint("worker", chosen), m.InjectFault("hang"))]
        case _:
            return [refuse(endpoint, f"no such trouble: {kind}; known are heat, unplug, hang")]
    return [LogEvent("warning", "trouble", text), *actions, answer(endpoint, {"text": text})]


def answer(endpoint: Endpoint, body: dict[str, Any]) -> Action:
    """A client's reply."""
    return Send(endpoint, m.Reply(body=msgspec.Raw(msgspec.msgpack.encode(body))))


def refuse(endpoint: Endpoint, why: str) -> Action:
    return Send(endpoint, m.Reply(error=why))
