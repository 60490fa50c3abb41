"""Faults on request, with simulated sticks only: the page's three buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncs_cluster import messages as m
from ncs_cluster.control_messages import Done
from ncs_cluster.core.actions import Action, LogEvent, Send, Unplug
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.replies import answer, refuse
from ncs_cluster.types import StickId

if TYPE_CHECKING:
    from ncs_cluster.core.engine import Engine

HEAT_WAVE_S = 20.0


def inject(endpoint: Endpoint, kind: str, stick: StickId | None, engine: Engine, now_s: float) -> list[Action]:
    """A heat wave for all sticks, or a fault of one stick: `stick`, else the first active one. `kind`: "heat", "unplug" or
    "hang"."""
    if not engine.settings.simulated:
        return [refuse(endpoint, "faults are for simulated sticks only (--backend simulated)")]
    usable = [known for known in engine.sticks.by_id.values() if known.usable and known.spec.simulated]
    if stick is not None and stick not in {known.spec.id for known in usable}:
        return [refuse(endpoint, f"stick {stick} is not usable now")]
    ids = {known.spec.id for known in usable}
    active = [each for regulator in engine.workers.regulators.values() for each in regulator.active if each in ids]
    chosen = stick or next(iter(active), None) or (usable[0].spec.id if usable else None)
    if chosen is None:
        return [refuse(endpoint, "no usable stick")]
    actions: list[Action]
    match kind:
        case "heat":
            text = f"a heat wave: 15 °C warmer for {HEAT_WAVE_S:.0f} s"
            engine.heat_wave = (now_s, now_s + HEAT_WAVE_S)
            actions = [Send(known.child.endpoint, m.InjectFault("heat", HEAT_WAVE_S)) for known in usable]
        case "unplug":
            text = f"{chosen} is unplugged for 5 s"
            actions = [Unplug(chosen)]
        case "hang":
            text = f"{chosen} hangs: no further answers"
            actions = [Send(Endpoint("worker", chosen), m.InjectFault("hang"))]
        case _:
            return [refuse(endpoint, f"no such fault: {kind}; known are heat, unplug, hang")]
    return [LogEvent("warning", "fault", text), *actions, answer(endpoint, Done(text))]
