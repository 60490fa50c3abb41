"""Peers that are not child processes: clients of the control socket, and the buses on which sticks are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union, assert_never

from ncs_cluster import messages as m
from ncs_cluster.control_messages import ChangeJob, ChangeStick, Done, JobBegun
from ncs_cluster.core import events as e
from ncs_cluster.core import fault_injection, stick_requests
from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.events import BusEvent, DeviceIgnored, Endpoint, StickFound, StickGone, StickListed
from ncs_cluster.core.replies import answer, refuse
from ncs_cluster.specs import JobSpec, StickSpec
from ncs_cluster.types import StickId

if TYPE_CHECKING:
    from ncs_cluster.core.engine import Engine

ClientMessage = Union[m.AskSwitch, m.AskFault, ChangeJob, ChangeStick, e.JobGiven]
"""Requests that change the state; the supervisor answers the read-only ones."""


class Client:
    """One client of the control socket."""

    def __init__(self, endpoint: Endpoint, engine: Engine) -> None:
        self._endpoint = endpoint
        self._engine = engine

    def handle(self, message: ClientMessage, now_s: float) -> list[Action]:
        match message:
            case m.AskSwitch():
                return self._switch(now_s)
            case m.AskFault(kind=kind, stick=stick):
                return fault_injection.inject(self._endpoint, kind, stick, self._engine, now_s)
            case ChangeJob(id=id, verb=verb):
                return self._change(id, verb, now_s)
            case ChangeStick():
                return stick_requests.change(self._endpoint, message, self._engine, now_s)
            case e.JobGiven(job=job):
                return self._begin(job, now_s)
            case _:
                assert_never(message)

    def _begin(self, spec: JobSpec, now_s: float) -> list[Action]:
        if self._engine.stopping:
            return [refuse(self._endpoint, "the daemon is stopping")]
        job, why = self._engine.jobs.begin(spec)
        if job is None:
            return [refuse(self._endpoint, why)]
        text = f"begins: {', '.join(spec.sources)} with {spec.graph.name} into {spec.out}"
        keep = self._engine.jobs.keep()
        level = "info" if spec.chunk is None else "debug"
        return [*keep, LogEvent(level, job.name, text, group=""), answer(self._endpoint, JobBegun(job.spec.id))]

    def _change(self, id: str, verb: str, now_s: float) -> list[Action]:
        actions, why = self._engine.jobs.change(id, verb, now_s)
        if why is not None:
            return [refuse(self._endpoint, why)]
        return [*actions, answer(self._endpoint, Done(f"job {id} is {self._engine.jobs.by_id[id].state}"))]

    def _switch(self, now_s: float) -> list[Action]:
        """Switch every pool that has more than one cluster."""
        regulators = [each for each in self._engine.workers.regulators.values() if len(each.clusters(now_s)) > 1]
        if not regulators:
            return [refuse(self._endpoint, "no other cluster to switch to")]
        before = {each: each.switches for each in regulators}
        actions = [action for each in regulators for action in each.regulate(now_s, switch_requested=True)]
        active = [stick for each in regulators if each.switches > before[each] for stick in each.active]
        if active:
            reply = answer(self._endpoint, Done(f"switched to {', '.join(active)}"))
        elif any(each.switch_pending for each in regulators):
            reply = answer(self._endpoint, Done("will switch when the dwell time ends"))
        else:
            reply = refuse(self._endpoint, "every other cluster is too hot; the active sticks stay active")
        return [*actions, reply]


class Bus:
    """The bus: sticks are plugged in and unplugged."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handle(self, message: BusEvent, now_s: float) -> list[Action]:
        match message:
            case StickFound(stick=spec):
                return [] if self._engine.stopping else self._found(spec, now_s)
            case StickGone(id=id, renamed=renamed):
                return self._engine.sticks.gone(id, now_s, renamed) + self._regulate(id, now_s)
            case StickListed(id=id, state=state, usb_mbps=usb_mbps):
                return self._engine.sticks.listed(id, state, now_s, usb_mbps)
            case DeviceIgnored(port=port, why=why):
                return self._engine.sticks.ignore(port, why)
            case _:
                assert_never(message)

    def _found(self, spec: StickSpec, now_s: float) -> list[Action]:
        sticks = self._engine.sticks
        new: list[Action] = [] if spec.id in sticks.by_id else [LogEvent("info", spec.id, "is plugged in")]
        return new + sticks.found(spec, now_s) + self._regulate(spec.id, now_s)

    def _regulate(self, id: StickId, now_s: float) -> list[Action]:
        stick = self._engine.sticks.by_id.get(id)
        return self._engine.workers.regulate(stick, now_s) if stick is not None else []
