"""The fallback: a pool that works only while no stick of the other pools can, such as this machine's CPU for sticks that all rest.

A stick can work when it has a duty and does not lag behind its usual time, unless it is paced so slowly that frames would wait
longer than LONGEST_PAUSE_S. Whether one can is looked at after every event and at least every 0.25 s; the fallback's regulator
holds it back as long as one can. Frames in flight finish where they are, in both directions.

With `standby` its workers always run. Without it they are started when none can work, when the last one can, or when all are
NEAR_S from their limits, and stopped LINGER_S after none of this holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.child import State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.role_pool import RolePool
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.specs import FallbackSpec

LONGEST_PAUSE_S, SHORT_PAUSE_S = 1.0, 0.5
"""A pool whose sticks pause for longer between two inferences cannot work; it can again below the shorter pause."""
UNSERVED_S, FIRST_S = 2.0, 15.0
"""Seconds without a stick or a fallback that can work, from which on an event says so; the second after the daemon's start."""
NEAR_S = 30.0
"""Seconds to the temperature limit, at the present rate of rise; of plant time."""
LINGER_S = 60.0
MOST_NAMED = 3
TAKES_OVER, HANDS_BACK = "times the fallback took over", "times the fallback handed back"


class Fallback(RolePool):
    """The fallback's pool beside the others."""

    def __init__(self, spec: FallbackSpec, sticks: Sticks, dispatcher: Dispatcher, regulators: Mapping[str, Regulator]) -> None:
        super().__init__(spec.pool.name, sticks, regulators, needed=True)
        self.spec = spec
        self.takeovers = 0
        self._dispatcher = dispatcher
        self._served_s = 0.0
        self._since_s: float | None = None
        """When it took over; None: it does not serve."""
        self._idle_s = self._wanted_s = -math.inf
        """Since when nothing has served; when its workers were wanted last."""
        self._patience_s = FIRST_S
        self._told = False
        """The event that nothing serves has been raised."""
        sticks.fallback = spec.pool.name
        for each in regulators.values():
            each.backed = each is not self.regulator

    def served_s(self, now_s: float) -> float:
        """For how long it has served, all times together."""
        return self._served_s + (0.0 if self._since_s is None else now_s - self._since_s)

    def fps(self, now_s: float) -> float:
        queues = self._dispatcher.queues
        return sum(queues[stick.spec.id].done.per_s(now_s) for stick in self.members if stick.spec.id in queues)

    # -- time

    def start(self, now_s: float) -> list[Action]:
        """Called when the daemon starts."""
        self._idle_s = now_s
        for spec in self.spec.pool.sticks:
            self._sticks.found(spec, now_s)
        return self._run_now(now_s) if self.spec.standby else []

    def look(self, now_s: float) -> list[Action]:
        """Called after every event."""
        actions: list[Action] = []
        if self._can_work(now_s) == self.needed:
            self.needed = not self.needed
            self._idle_s = now_s
            self.regulator.held = not self.needed
            self._patience_s = self._patience_s if self.needed else UNSERVED_S
            actions += self.regulator.regulate(now_s)
        if self.needed:
            actions += self._run_now(now_s)
        return actions + self._report(now_s)

    def tick(self, now_s: float) -> list[Action]:
        """Start its workers before they are needed, stop them when they are not."""
        if self.spec.standby or self.needed or self._runs_short(now_s):
            return self._run_now(now_s)
        if now_s - self._wanted_s < LINGER_S:
            return []
        return [action for stick in self.members if stick.child.wanted for action in stick.child.stop(now_s)]

    def _run_now(self, now_s: float) -> list[Action]:
        self._wanted_s = now_s
        return [action for stick in self.members if not stick.child.wanted for action in stick.child.start(now_s)]

    # -- what can work

    def _can_work(self, now_s: float) -> bool:
        """A stick of another pool can work."""
        rate, shortest_s = 0.0, math.inf
        for queue in self._dispatcher.queues.values():
            if queue.pool == self.spec.pool.name or queue.duty <= 0.0 or queue.is_lagging(now_s):
                continue
            if not queue.in_flight and self._blocked(queue.pool, now_s):
                continue
            mean_s = queue.service.mean_s
            if queue.duty >= 1.0 or not mean_s:
                return True
            rate, shortest_s = rate + queue.duty / mean_s, min(shortest_s, mean_s)
        return rate > 0.0 and 1.0 / rate - shortest_s <= (SHORT_PAUSE_S if self.needed else LONGEST_PAUSE_S)

    def _blocked(self, pool: str, now_s: float) -> bool:
        """Sticks that hang hold all permits of the pool."""
        permits = self._dispatcher.permits.get(pool, 0)
        queues = self._dispatcher.queues.values() if permits else []
        return bool(permits) and sum(1 for queue in queues if queue.pool == pool and queue.is_lagging(now_s)) >= permits

    @property
    def others(self) -> list[Stick]:
        """The sticks of the other pools."""
        aside = (self.spec.pool.name, self._sticks.spare)
        return [
            stick
            for stick in self._sticks.by_id.values()
            if stick.spec.pool not in aside and not stick.renamed and not stick.removed
        ]

    def _runs_short(self, now_s: float) -> bool:
        """One stick at most can work, or all are within NEAR_S of their limits."""
        others = self.others
        able = [stick for stick in others if stick.usable and not stick.zone.is_hot]
        if len(able) < 2 <= len(others):
            return True
        return bool(able) and all(self._is_near(stick, now_s) for stick in able)

    def _is_near(self, stick: Stick, now_s: float) -> bool:
        scale = self._sticks.time_scale(stick)
        headroom_s = stick.zone.headroom_s(now_s * scale)
        return headroom_s is not None and headroom_s <= NEAR_S

    # -- in words

    def reason(self, now_s: float) -> str | None:
        """For the status, while it is needed."""
        if not self.needed:
            return None
        rate = self.fps(now_s)
        does = f"serves at {f'{rate:.0f}' if rate >= 10.0 else f'{rate:.1f}'}/s" if self.serving else self._absence
        return f"{self._why(now_s)}; {self.spec.shown} {does}"

    @property
    def _absence(self) -> str:
        if any(stick.parked is not None for stick in self.members):
            return "is parked"
        states = {stick.child.state for stick in self.members}
        if states <= {State.BACKOFF, State.KILLED, State.FENCED}:
            error = next((stick.child.last_error for stick in self.members if stick.child.last_error), None)
            return f"cannot serve either: {error}" if error else "cannot serve either"
        return "starts"

    def _why(self, now_s: float) -> str:
        others = self.others
        said = [self._trouble(stick, now_s) for stick in others[:MOST_NAMED]]
        if len(others) > MOST_NAMED:
            said.append(f"and {len(others) - MOST_NAMED} more")
        return f"no stick can work: {', '.join(said) or 'none is plugged in'}"

    def _trouble(self, stick: Stick, now_s: float) -> str:
        child, name = stick.child, stick.label
        if not stick.present:
            return f"{name} is absent"
        if stick.parked is not None:
            return f"{name} is parked"
        if not child.running:
            if child.quarantined:
                return f"{name} is quarantined"
            waits = {State.BACKOFF: "has failed", State.KILLED: "has failed", State.FENCED: "has failed", State.STOPPING: "stops"}
            return f"{name} {waits.get(child.state, 'is starting')}"
        queue, plant_s = self._dispatcher.queues.get(stick.spec.id), now_s * self._sticks.time_scale(stick)
        if stick.restart_by_s is not None:
            return f"{name} restarts"
        if not stick.zone.has_reading:
            return f"{name} has told no temperature yet"
        if stick.zone.is_hot:
            heat_c = stick.zone.temperature_c(plant_s)
            return f"{name} reports no temperature" if heat_c is None else f"{name} rests at {heat_c:.0f} °C"
        if queue is None or queue.is_lagging(now_s):
            return f"{name} does not answer"
        return f"{name} may work {100 * queue.duty:.1f} % of the time" if queue.duty else f"{name} rests"

    # -- edges

    def _report(self, now_s: float) -> list[Action]:
        """An event when it takes over, when it hands back, and when nothing has served for UNSERVED_S."""
        if self.serving:
            if self._since_s is not None:
                return []
            self._since_s, self._told, self._patience_s = now_s, False, UNSERVED_S
            self.takeovers += 1
            return [LogEvent("warning", "clusters", f"{self._why(now_s)}; {self.spec.shown} serves", TAKES_OVER)]
        if self._since_s is not None:
            served_s = now_s - self._since_s
            self._served_s, self._since_s, self._idle_s = self._served_s + served_s, None, now_s
            if not self.needed:
                return [
                    LogEvent(
                        "info", "clusters", f"{self._workers()}: {self.spec.shown} has served for {served_s:.0f} s", HANDS_BACK
                    )
                ]
        if self.needed and not self._told and now_s - self._idle_s >= self._patience_s:
            self._told = True
            return [LogEvent("error", "clusters", f"{self._why(now_s)}; {self.spec.shown} {self._absence}: no frame is processed")]
        if self._told and not self.needed:
            self._told = False
            return [LogEvent("info", "clusters", f"{self._workers()}: frames are processed again")]
        return []

    def _workers(self) -> str:
        """The sticks that can work again."""
        queues = self._dispatcher.queues
        able = [stick.label for stick in self.others if stick.spec.id in queues and queues[stick.spec.id].duty > 0.0]
        named = ", ".join(able[:MOST_NAMED]) + (f" and {len(able) - MOST_NAMED} more" if len(able) > MOST_NAMED else "")
        return f"{named} {'works' if len(able) == 1 else 'work'} again"
