"""All sticks: their processes, their heat, whose turn it is.

The policy advises; what is too hot, and how many may work, is decided here.
"""

from __future__ import annotations

import re

from ncs_cluster.core.actions import Action, LogEvent, Send
from ncs_cluster.core.boots import Boots
from ncs_cluster.core.child import Child, Limits, State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.zone import Zone
from ncs_cluster.messages import OpenStick, StickOpened, Telemetry
from ncs_cluster.policies import POLICIES
from ncs_cluster.policies.base import StickView, View
from ncs_cluster.specs import ClusterSpec, GraphSpec, StickSpec
from ncs_cluster.types import StickId


class Stick:
    """One stick, present or not."""

    def __init__(self, spec: StickSpec, switch_temp_c: float, limits: Limits) -> None:
        self.spec = spec
        self.child = Child(Endpoint("worker", spec.id), spec.runtime, limits)
        self.zone = Zone(switch_temp_c)
        self.present = True
        self.device: str | None = None
        self.firmware: str | None = None
        self.resets = 0
        """How often it was reset in place, its process living on."""
        self.reset_epoch = 0
        """StickLost heard of its present worker."""
        self.throttle_level: int | None = None
        self.throttled_s = 0.0
        """Plant seconds at a throttle level above 0."""
        self.reported_missing = False
        """Its worker ended because it could not find the stick any more."""
        self.renamed = False
        """It is gone, but there is nothing to miss: another name means the same stick."""
        self.inferences = 0
        self.measured_s: float | None = None
        """Plant time of the last telemetry."""

    @property
    def usable(self) -> bool:
        """It may be given work, if it is not too hot."""
        return self.present and self.child.running and self.zone.has_reading


class Sticks:
    """The pool."""

    def __init__(
        self, spec: ClusterSpec, graphs: list[GraphSpec], dispatcher: Dispatcher, limits: Limits, stagger_s: float = 0.0
    ) -> None:
        """`stagger_s`: at least so long from one stick's boot to the next one's."""
        self.spec = spec
        self.graphs = graphs
        self.by_id: dict[StickId, Stick] = {}
        self.active: list[StickId] = []
        self.switches = 0
        self.last_switch: tuple[float, str] | None = None
        """Real seconds of the monotonic clock, and why."""
        self.shedding = False
        self.next_s: float | None = None
        """Real seconds: when the policy wants to be asked again."""
        self.no_alternative = False
        """The time of the active cluster is over, and no other can take its turn."""
        self.reading_deadline_s: float | None = None
        """Real seconds: when a stick that reports nothing will have to be taken for hot."""
        self.boots = Boots(stagger_s)
        self._policy = POLICIES[spec.policy](spec)
        self._dispatcher = dispatcher
        self._limits = limits
        self._hot: set[StickId] = set()
        self._size = spec.cluster_size

    # -- coming and going

    def found(self, spec: StickSpec, now_s: float) -> list[Action]:
        known = self.by_id.get(spec.id)
        if known is None:
            self.by_id[spec.id] = Stick(spec, self.spec.switch_temp_c, self._limits)
            self.by_id = dict(sorted(self.by_id.items(), key=lambda item: _natural(item[0])))
            return self.by_id[spec.id].child.start(now_s)
        if known.present:
            # something was learned of it, for its next worker
            known.spec = spec
            if not spec.alone:
                self.boots.ended(spec.id, now_s)
            return []
        # its process, if one is still there, is on its way out
        known.present, known.renamed, known.spec = True, False, spec
        notes: list[Action] = [LogEvent("info", spec.id, "is back")]
        return notes + known.child.retry_now(now_s) + known.child.start(now_s)

    def gone(self, stick: StickId, now_s: float, renamed: bool = False) -> list[Action]:
        known = self.by_id.get(stick)
        if known is None or not known.present:
            return []
        known.present, known.renamed = False, renamed
        known.child.last_error = "unplugged"
        actions: list[Action] = [LogEvent("warning", stick, "is gone: unplugged")]
        if renamed:
            actions = [
                LogEvent("info", stick, "was left booted by another process; once reset it is called by the port it waits at")
            ]
        # nothing can be closed on a stick that is not there: no polite word, it may block for long
        stopping = known.child.stop(now_s)
        return actions + (known.child.kill(now_s, "its stick is gone") if stopping else [])

    # -- what a worker says

    def hello(self, stick: Stick, now_s: float) -> list[Action]:
        """Its worker is there; it may have to wait for its turn to open the stick. Nothing is said to it before."""
        return self.open(stick, now_s) if self.boots.ask(stick.spec.id, now_s, alone=stick.spec.alone) else []

    def extend_boot_deadlines(self, now_s: float) -> None:
        """Who waits for its turn is not slow."""
        for stick in self.boots.waiting:
            self.by_id[stick].child.waits(now_s)

    def due(self, now_s: float) -> list[Stick]:
        """Those whose turn has come."""
        due = []
        while (stick := self.boots.due(now_s)) is not None:
            if self.by_id[stick].child.state in (State.STARTING, State.OPENING):
                due.append(self.by_id[stick])
        return due

    def open(self, stick: Stick, now_s: float) -> list[Action]:
        stick.child.hello(now_s)
        # from here on a boot explains that it is away
        stick.reported_missing = False
        stick.reset_epoch = 0
        return [Send(stick.child.endpoint, OpenStick(stick.spec, self.graphs, self.spec.time_scale))]

    def opened(self, stick: Stick, message: StickOpened, now_s: float) -> list[Action]:
        stick.child.ready(now_s)
        self.boots.ended(stick.spec.id, now_s)
        stick.device, stick.firmware = message.device, message.firmware
        stick.throttle_level = stick.measured_s = None
        stick.zone.open(message.has_sensor)
        self._dispatcher.queue(stick.spec.id, message.max_in_flight, can_reset=message.can_reset)
        return [LogEvent("info", stick.spec.id, f"is ready: {message.device}")]

    def measured(self, stick: Stick, message: Telemetry, now_s: float) -> None:
        plant_s = self._plant(now_s)
        if stick.throttle_level and stick.measured_s is not None:
            stick.throttled_s += plant_s - stick.measured_s
        stick.throttle_level, stick.measured_s = message.throttle_level, plant_s
        queue = self._dispatcher.queues.get(stick.spec.id)
        if queue is not None:
            queue.throttle(message.throttle_level or 0)
        if stick.zone.has_sensor:
            stick.zone.read(message.temperature_c, plant_s - message.age_s * self.spec.time_scale)
            stick.zone.throttle(message.throttle_level or 0)

    # -- whose turn it is

    def regulate(self, now_s: float, *, asked: bool = False) -> list[Action]:
        """Look at every temperature, ask the policy, tell the dispatcher. Call after every change and at `next_s`."""
        if asked:
            self._policy.ask_switch()
        view = self.view(now_s)
        actions = self._say_hot(view)
        advice = self._policy.advise(view)
        allowed = {stick.id for stick in view.sticks if stick.usable and not stick.hot}
        duties = {stick: duty for stick, duty in advice.duties.items() if stick in allowed}
        self._dispatcher.set_duties(duties)
        self._dispatcher.permit(view.cluster_size)
        self.active = [stick for stick in advice.duties if stick in duties]
        self.next_s = None if advice.next_s is None else advice.next_s / self.spec.time_scale
        self.no_alternative = advice.no_alternative
        ageing = [stick.zone.next_s for stick in self.by_id.values() if stick.usable]
        self.reading_deadline_s = min((when_s / self.spec.time_scale for when_s in ageing if when_s is not None), default=None)
        if advice.switched is not None:
            self.switches += 1
            self.last_switch = (now_s, advice.switched)
            actions.append(LogEvent("info", "clusters", f"switch to {', '.join(self.active)}: {advice.switched}"))
        usable = [stick for stick in view.sticks if stick.usable]
        shedding = bool(usable) and not allowed
        if shedding != self.shedding:
            self.shedding = shedding
            if shedding:
                actions.append(LogEvent("warning", "clusters", "every stick is too hot: no frame is worked on"))
            elif allowed:
                actions.append(LogEvent("info", "clusters", "a stick has cooled down: working again"))
        return actions

    def view(self, now_s: float) -> View:
        """What the policy may know."""
        plant_s = self._plant(now_s)
        views = []
        for stick in self.by_id.values():
            hot = stick.usable and stick.zone.hot(plant_s)
            temperature_c = stick.zone.temperature_c(plant_s)
            views.append(StickView(stick.spec.id, stick.usable, hot, temperature_c, stick.zone.why(plant_s) if hot else ""))
        return View(plant_s, views, self.cluster_size)

    @property
    def cluster_size(self) -> int:
        """K as it holds now: where turns are taken, never more than half of the sticks that are there."""
        size = self.spec.cluster_size
        if not size or self.spec.policy == "all":
            return size
        return min(size, max(1, self.present // 2))

    @property
    def settled(self) -> set[StickId]:
        """Sticks that are open, or that their workers say are gone: when they are away, no boot explains it."""
        return {stick.spec.id for stick in self.by_id.values() if stick.child.running or stick.reported_missing}

    @property
    def present(self) -> int:
        return sum(1 for stick in self.by_id.values() if stick.present)

    @property
    def switch_pending(self) -> bool:
        """An operator has asked for the next cluster, and will get it."""
        return self._policy.asked

    def resting(self, stick: StickId) -> bool:
        """It was too hot when last looked at."""
        return stick in self._hot

    def clusters(self, now_s: float) -> list[list[StickId]]:
        return self._policy.clusters(self.view(now_s))

    def _say_hot(self, view: View) -> list[Action]:
        """Said once when it begins and once when it ends."""
        hot = {stick.id: stick for stick in view.sticks if stick.hot}
        actions: list[Action] = [
            LogEvent("info", stick, f"{view_.why_hot}: resting") for stick, view_ in hot.items() if stick not in self._hot
        ]
        for stick in view.sticks:
            if stick.id in self._hot and not stick.hot and stick.usable:
                actions.append(
                    LogEvent("info", stick.id, "has cooled down" if stick.temperature_c is not None else "has no sensor")
                )
        self._hot = set(hot)
        return actions

    def say_size(self) -> list[Action]:
        """Said when it has changed. Now and then, not at once: sticks that are found at the start come one after another."""
        if self.cluster_size == self._size or not self.present:
            return []
        level = "warning" if self.cluster_size < self._size else "info"
        self._size = self.cluster_size
        there = "1 stick is" if self.present == 1 else f"{self.present} sticks are"
        return [LogEvent(level, "clusters", f"cluster size is now {self._size}: {there} there")]

    def _plant(self, now_s: float) -> float:
        return now_s * self.spec.time_scale


def _natural(name: str) -> list[tuple[int, str]]:
    """sim-2 before sim-10; 1.2 before 1.10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
