"""Decides which sticks of one pool work, and their duty. The policy proposes duties; the limits of temperature and of the number of
sticks at work are applied here.

`regulate` updates every thermal zone, asks the policy and sets the duties. It is due after each change of the usable sticks, at
each tick, and at `deadline_s`; telemetry without such a change only moves the deadline.
"""

from __future__ import annotations

from ncs_cluster import policies
from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.shadow import Shadow
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.policies.all import All
from ncs_cluster.policies.base import StickView, View
from ncs_cluster.specs import ClusterSpec, PoolSpec
from ncs_cluster.types import StickId

POLICY_FIELDS = {"policy", "policy_options", "switch_interval_s", "calibrated"}
"""Fields of a ClusterSpec from which its policy is created."""


class Regulator:
    """One pool: sticks of one kind, one policy, one cluster size."""

    def __init__(self, pool: PoolSpec, sticks: Sticks, dispatcher: Dispatcher, *, shadowed: bool = True) -> None:
        """`shadowed`: the shadow looks at each second. It has no part in decisions, and costs as much as a policy."""
        self.pool = pool
        self.active: list[StickId] = []
        self.switches = 0
        self.last_switch: tuple[float, str] | None = None
        """Real seconds of the monotonic clock, and the reason."""
        self.shedding = False
        self.cooler_k: float | None = None
        """As base.Advice.cooler_k."""
        self.policy_deadline_s: float | None = None
        """Real seconds: when the policy is due next."""
        self.look_deadline_s: float | None = None
        """Real seconds: when the policy wants to see new readings."""
        self.reading_deadline_s: float | None = None
        """Real seconds: when a stick without new telemetry counts as hot."""
        self.held = False
        """The pool gives no stick a frame, whatever its policy advises: it is a fallback that is not needed."""
        self.backed = False
        """A fallback works while every stick of the pool rests, and its events say so."""
        self.helped = False
        """Neighbours may process frames while every stick of the pool rests."""
        self.no_alternative = False
        """The active cluster's interval has ended, and no other cluster can replace it."""
        self._sticks = sticks
        self._dispatcher = dispatcher
        self._policy = policies.create(pool.clusters)
        self.shadow = Shadow()
        self._shadowed = shadowed
        self._hot: dict[StickId, bool] = {}
        """The sticks that were hot at the last `regulate`; True: for want of a temperature."""
        self._rested = (0, 0)
        """`rested` at the last `regulate`."""
        self._throttled: set[StickId] = set()
        """The sticks that were throttled by their firmware at the last `regulate`, and not hot."""
        self._reported_size = pool.clusters.cluster_size

    @property
    def spec(self) -> ClusterSpec:
        return self.pool.clusters

    @property
    def members(self) -> list[Stick]:
        return self._sticks.of_pool(self.pool.name)

    @property
    def deadline_s(self) -> float | None:
        first_s = None
        for due_s in (self.policy_deadline_s, self.look_deadline_s, self.reading_deadline_s):
            if due_s is not None and (first_s is None or due_s < first_s):
                first_s = due_s
        return first_s

    def update_reading_deadline(self, stick: Stick) -> None:
        """Telemetry of a member arrived and changed neither `usable` nor `is_hot`: only the deadline moves."""
        if stick.usable and (when_s := stick.zone.deadline_s) is not None:
            self.reading_deadline_s = min(self.reading_deadline_s or float("inf"), when_s / self.spec.time_scale)

    def regulate(self, now_s: float, *, switch_requested: bool = False) -> list[Action]:
        """`switch_requested`: an operator wants the next cluster."""
        plant_s = now_s * self.spec.time_scale
        members = self.members
        for stick in members:
            if stick.usable:
                stick.zone.update(plant_s)
        view = self.view(now_s)
        actions = self._report_hot(view)
        try:
            if switch_requested:
                self._policy.ask_switch()
            advice = self._policy.advise(view)
        except Exception as error:  # a policy may be another package's
            actions.append(self._replace_policy(error))
            advice = self._policy.advise(view)
        allowed = {stick.id for stick in view.sticks if stick.usable and not stick.hot and not self.held}
        most = {stick.spec.id: stick.throttling.duty for stick in members}
        duties = {stick: min(duty, most[stick]) for stick, duty in advice.duties.items() if stick in allowed}
        self._dispatcher.set_duties({stick.spec.id: duties.get(stick.spec.id, 0.0) for stick in members})
        self._dispatcher.set_shares({stick.spec.id: advice.shares.get(stick.spec.id) for stick in members})
        self.cooler_k = advice.cooler_k
        self._dispatcher.permit(self.pool.name, view.cluster_size)
        self.active = [stick for stick in advice.duties if stick in duties]
        actions += self._look_beside(view, duties)
        self.policy_deadline_s = None if advice.next_s is None else advice.next_s / self.spec.time_scale
        self.look_deadline_s = None if advice.look_s is None else advice.look_s / self.spec.time_scale
        self.no_alternative = advice.no_alternative
        ageing = [stick.zone.deadline_s for stick, seen in zip(members, view.sticks, strict=True) if seen.usable]
        self.reading_deadline_s = min((when_s / self.spec.time_scale for when_s in ageing if when_s is not None), default=None)
        if advice.switched is not None:
            self.switches += 1
            self.last_switch = (now_s, advice.switched)
            by_heat = advice.by_heat or any(
                stick.hot and stick.why_hot and stick.why_hot in advice.switched for stick in view.sticks
            )
            text = f"switch to {', '.join(self.active)}: {advice.switched}"
            actions.append(LogEvent("info", "clusters", text, "switches by heat" if by_heat else ""))
        usable = any(seen.usable for seen in view.sticks)
        return actions + self._report_shedding(usable and not allowed and not self.held, bool(allowed))

    def _look_beside(self, view: View, duties: dict[StickId, float]) -> list[Action]:
        """What `predictive` would do. It is for people: where it fails, it begins anew and no stick is touched."""
        if not (self._shadowed and self.shadow.is_due(view)):
            return []
        try:
            self.shadow.look(view, self._policy, self.spec.policy, duties, self._rates(view))
        except Exception as error:
            self.shadow = Shadow()
            text = f"the outlook of policy predictive begins anew ({type(error).__name__}: {error})"
            return [LogEvent("warning", "clusters", text, "restarts of the outlook")]
        return []

    def _rates(self, view: View) -> dict[StickId, float]:
        """Inferences per second of each stick at full work, where it has answered one."""
        queues = self._dispatcher.queues
        known = [queues[stick.id] for stick in view.sticks if stick.id in queues]
        return {queue.stick: rate for queue in known if (rate := queue.full_rate) is not None}

    def view(self, now_s: float) -> View:
        """The policy's view of the pool. Read-only."""
        plant_s = now_s * self.spec.time_scale
        views = []
        for stick in self.members:
            hot = stick.usable and stick.zone.is_hot
            reason = stick.zone.hot_reason(plant_s) if hot else ""
            zone, queue = stick.zone, self._dispatcher.queue_of(stick.spec.id)
            scale = self.spec.time_scale
            worked_s = queue.worked_s(now_s) * scale if queue is not None else 0.0
            worked_read_s = queue.worked_read_s * scale if queue is not None and queue.worked_read_s is not None else None
            views.append(
                StickView(
                    stick.spec.id,
                    stick.usable,
                    hot,
                    zone.temperature_c(plant_s),
                    reason,
                    zone.reading_c,
                    zone.read_s,
                    worked_s,
                    stick.throttle_level or 0,
                    None if zone.ceiling_c is None else zone.ceiling_c - policies.trip_above_k(self.spec),
                    worked_read_s,
                )
            )
        return View(plant_s, views, self.cluster_size, self.spec.switch_temp_c)

    @property
    def cluster_size(self) -> int:
        """The cluster size in force: at most half of the sticks in rotation under a policy that takes turns. 0: all sticks."""
        size = self.spec.cluster_size
        if not size or not self.takes_turns:
            return size
        return min(size, max(1, self.in_rotation // 2))

    @property
    def takes_turns(self) -> bool:
        return policies.POLICIES.get(self.spec.policy).takes_turns

    @property
    def present(self) -> int:
        return sum(1 for stick in self.members if stick.present)

    @property
    def in_rotation(self) -> int:
        """The sticks that are present and not parked."""
        return sum(1 for stick in self.members if stick.present and stick.parked is None)

    @property
    def said_present(self) -> str:
        """For people: "3 sticks present", "2 of 3 sticks in rotation"."""
        sticks = "1 stick" if self.present == 1 else f"{self.present} sticks"
        return f"{sticks} present" if self.in_rotation == self.present else f"{self.in_rotation} of {sticks} in rotation"

    @property
    def switch_pending(self) -> bool:
        """An operator's switch request is not carried out yet."""
        return self._policy.asked

    def resting(self, stick: StickId) -> bool:
        """The stick was too hot at the last `regulate`."""
        return stick in self._hot

    @property
    def rested(self) -> tuple[int, int]:
        """How many sticks rest because they are too hot, and how many because they report no temperature."""
        unread = sum(self._hot.values())
        return len(self._hot) - unread, unread

    def cool_in_s(self, now_s: float) -> float | None:
        """In how many seconds the first of the hot sticks has cooled down, at its present rate; None: none is hot, or unknown."""
        plant_s = now_s * self.spec.time_scale
        hot = [stick.zone.cool_in_s(plant_s) for stick in self.members if stick.spec.id in self._hot]
        return min((until_s / self.spec.time_scale for until_s in hot if until_s is not None), default=None)

    def clusters(self, now_s: float) -> list[list[StickId]]:
        view = self.view(now_s)
        try:
            return self._policy.clusters(view)
        except Exception:  # `regulate` replaces a policy that fails; reading changes nothing
            return [[stick.id for stick in view.sticks]]

    def _replace_policy(self, error: Exception) -> LogEvent:
        """The policy failed: from now on every cool stick works, as far as the cluster size allows."""
        failed, self._policy = self.spec.policy, All()
        for stick in self.members:
            stick.zone.switch_temp_c = self.spec.switch_temp_c
        return LogEvent(
            "error", "clusters", f"policy {failed} failed ({type(error).__name__}: {error}): every cool stick works now"
        )

    def configure(self, pool: PoolSpec, now_s: float) -> list[Action]:
        """Apply a new temperature, interval, cluster size or policy; a new policy object only where the policy or its options
        changed."""
        before, self.pool = self.spec, pool
        if pool.clusters == before:
            return []
        for stick in self.members:
            stick.zone.switch_temp_c = policies.trip_c(pool.clusters)
        changed = [name for name in before.__struct_fields__ if getattr(before, name) != getattr(pool.clusters, name)]
        if POLICY_FIELDS.intersection(changed):
            self._policy = policies.create(pool.clusters)
        if "cluster_size" in changed:
            self._reported_size = pool.clusters.cluster_size
        return [LogEvent("info", "clusters", f"new settings: {', '.join(changed)}"), *self.regulate(now_s)]

    def report_size(self) -> list[Action]:
        """An event when the cluster size in force has changed. Called at ticks only, since at the start sticks are found one after
        another."""
        if self.cluster_size == self._reported_size or not self.present:
            return []
        level = "warning" if self.cluster_size < self._reported_size else "info"
        self._reported_size = self.cluster_size
        return [LogEvent(level, "clusters", f"cluster size is now {self._reported_size}: {self.said_present}")]

    def _report_hot(self, view: View) -> list[Action]:
        """One event when a stick gets too hot, one when it has cooled down."""
        hot = {stick.id: stick for stick in view.sticks if stick.hot}
        actions: list[Action] = [
            LogEvent("info", stick, f"{seen.why_hot}: resting", "times a stick was too hot")
            for stick, seen in hot.items()
            if stick not in self._hot
        ]
        for stick in view.sticks:
            if stick.id in self._hot and not stick.hot and stick.usable:
                text = "has no sensor"
                if stick.temperature_c is not None:
                    text = "reports its temperature again" if self._hot[stick.id] else "has cooled down"
                actions.append(LogEvent("info", stick.id, text, "times a stick cooled down"))
        self._hot = {stick: seen.temperature_c is None for stick, seen in hot.items()}
        return [*actions, *self._report_throttled(view)]

    def _report_throttled(self, view: View) -> list[Action]:
        """One event when the firmware of a stick that is not hot slows it, one when it does so no more."""
        throttled = {stick.id for stick in view.sticks if stick.usable and not stick.hot and stick.throttle_level}
        actions: list[Action] = [
            LogEvent("info", stick.id, "is throttled by its firmware", "times the firmware throttled a stick")
            for stick in view.sticks
            if stick.id in throttled - self._throttled
        ]
        for stick in view.sticks:
            if stick.id in self._throttled - throttled and stick.usable and not stick.hot:
                text = "is no longer throttled by its firmware"
                actions.append(LogEvent("info", stick.id, text, "times the firmware no longer throttled a stick"))
        self._throttled = throttled
        return actions

    def _report_shedding(self, shedding: bool, working: bool) -> list[Action]:
        before, self._rested = self._rested, self.rested
        if shedding == self.shedding:
            return []
        self.shedding = shedding
        if self.backed:
            return []
        where = " on this host" if self.helped else ""
        if shedding:
            return [LogEvent("warning", "clusters", f"{why_none_works(*self.rested)}: no frame is processed{where}")]
        text = "a stick reports its temperature again, or has cooled down" if before[1] else "a stick has cooled down"
        return [LogEvent("info", "clusters", f"{text}: frames are processed again{where}")] if working else []


def why_none_works(hot: int, unread: int) -> str:
    """For people. `hot`, `unread`: as `Regulator.rested`."""
    if not unread:
        return "every stick is too hot"
    if not hot:
        return "no stick reports its temperature"
    are, report = "stick is" if hot == 1 else "sticks are", "reports" if unread == 1 else "report"
    return f"{hot} {are} too hot, {unread} {report} no temperature"
