"""What is asked of the sticks, what they can sustain, and what each stream gets of it.

Once a second, in units (frame, graph) per second:

    asked     of a live stream: its frames, those that found no slot too; of an ordered one without end while it has frames waiting
    capacity  the sum over the sticks of duty x executors / inference time, cut to the permits of each pool; mean over SMOOTH_S
    shares    weighted max-min fairness: all get the same for each unit of weight, and none more than it asks for (Bertsekas and
              Gallager, "Data Networks", section 6.5.2). This is what the dispatcher's turns come to.

The pool is overloaded when the live streams get less than SHORT of what they ask for, for HOLD_S; the end is told as late. So is
another limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.streams import Streams
from ncs_cluster.core.work import Tally
from ncs_cluster.policies.outlook import mean_weight

ASKED_S, SMOOTH_S, LEAST_SMOOTH_S = 5.0, 30.0, 5.0
"""Real seconds; SMOOTH_S are plant seconds, since heat is what changes a capacity."""
SHORT, ENOUGH = 0.97, 0.99
HOLD_S = 5.0
RESTED = 0.9
"""Of the rate at full work: by less than that the mean capacity differs through noise alone."""
LONGEST_RETRY_S, UNKNOWN_RETRY_S = 60, 10
OVERLOADS = "times the sticks did not keep up with the cameras, or did again"


class Load:
    """Of all pools together."""

    def __init__(self, dispatcher: Dispatcher, streams: Streams, tally: Tally, regulators: Mapping[str, Regulator]) -> None:
        self.asked: float | None = None
        """By the live streams; None before it is known."""
        self.capacity: float | None = None
        self.shares: dict[str, float] = {}
        """Units per second of each stream; an ordered one gets what is left."""
        self.overloaded = False
        self.limited_by: str | None = None
        """What keeps the sticks from more: "cluster size", "heat" or their "speed"; None without a usable stick."""
        self.relieved = False
        """Neighbours get what the sticks cannot do."""
        self._other_since_s: float | None = None
        """Since when something else limits them than `limited_by` says."""
        self._dispatcher, self._streams, self._tally, self._regulators = dispatcher, streams, tally, regulators
        self._asked: dict[str, tuple[float, int, float, float]] = {}
        """Of each live stream: when it was looked at first; units begun by then, when that was; units per second."""
        self._known_s = 0.0
        self._at_s: float | None = None
        self._differs_since_s: float | None = None

    @property
    def asked_now(self) -> float:
        """By the live streams, also while no capacity is known."""
        return sum(rate for _, _, _, rate in self._asked.values())

    @property
    def sustained_now(self) -> float | None:
        """The capacity at this moment, of the sticks of this host; None: no stick that may work has answered yet."""
        if not any(queue.duty > 0.0 for queue in self._dispatcher.queues.values()):
            return 0.0
        now = [rate for each in self._regulators.values() if (rate := self._capacity_of(each)) is not None]
        return sum(now) if now else None

    def look(self, now_s: float) -> list[Action]:
        """A second is over."""
        self._follow_asked(now_s)
        self._follow_capacity(now_s)
        self._follow_limit(now_s)
        if self.capacity is None:
            return []
        asked = {name: rate for name, (_, _, _, rate) in self._asked.items()}
        self.asked = sum(asked.values())
        for stream in self._streams.by_name.values():
            if stream.ordered and self._dispatcher.waiting(stream.name):
                asked[stream.name] = math.inf
        weights = {name: self._streams.by_name[name].weight for name in asked}
        self.shares = fair_shares(self.capacity, asked, weights)
        return self._judge(now_s)

    def _follow_limit(self, now_s: float) -> None:
        """Near the boundary of two limits the present one changes from second to second: another counts once it has held."""
        limit = self._limit
        if limit == self.limited_by:
            self._other_since_s = None
            return
        if self._other_since_s is None:
            self._other_since_s = now_s
        if limit is None or self.limited_by is None or now_s - self._other_since_s >= HOLD_S:
            self.limited_by, self._other_since_s = limit, None

    @property
    def _limit(self) -> str | None:
        limits = [limit for each in self._regulators.values() if (limit := self._limit_of(each)) is not None]
        if limits and all(limit == "speed" for limit in limits) and self._have_rested:
            return "heat"
        return next((limit for limit in ("cluster size", "heat", "speed") if limit in limits), None)

    @property
    def _have_rested(self) -> bool:
        """The mean capacity is less than that of sticks at full work: some have rested lately, though none rests now."""
        held = {each.pool.name for each in self._regulators.values() if each.held}
        queues = [queue for queue in self._dispatcher.queues.values() if queue.pool not in held]
        rates = [rate for queue in queues if (rate := queue.full_rate) is not None]
        return self.capacity is not None and self.capacity < RESTED * sum(rates)

    def retry_after_s(self, now_s: float) -> int | None:
        """In how many seconds a client should ask again; None: now."""
        # neighbours that are active take no pictures of clients
        working = any(queue.duty > 0.0 for queue in self._dispatcher.queues.values())
        if any(each.shedding for each in self._regulators.values()) and not working:
            cooling = [until_s for each in self._regulators.values() if (until_s := each.cool_in_s(now_s)) is not None]
            return _bounded(min(cooling, default=UNKNOWN_RETRY_S))
        if not self.overloaded:
            return None
        return _bounded(self._dispatcher.waiting() / self.capacity) if self.capacity else UNKNOWN_RETRY_S

    def _follow_asked(self, now_s: float) -> None:
        live = [name for name, stream in self._streams.by_name.items() if not stream.ordered]
        before, self._asked = self._asked, {}
        for name in live:
            begun = self._tally.count(name).begun
            since_s, count, at_s, rate = before.get(name, (now_s, begun, now_s, 0.0))
            if (dt_s := now_s - at_s) > 0.0:
                rate += mean_weight(dt_s, ASKED_S, now_s - since_s) * ((begun - count) / dt_s - rate)
            self._asked[name] = since_s, begun, now_s, rate

    def _follow_capacity(self, now_s: float) -> None:
        now = [rate for each in self._regulators.values() if (rate := self._capacity_of(each)) is not None]
        at_s, self._at_s = self._at_s, now_s
        if not now:
            return
        if self.capacity is None or at_s is None:
            self.capacity, self._known_s = sum(now), 0.0
            return
        self._known_s += now_s - at_s
        over_s = max(LEAST_SMOOTH_S, SMOOTH_S / max(each.spec.time_scale for each in self._regulators.values()))
        self.capacity += mean_weight(now_s - at_s, over_s, self._known_s) * (sum(now) - self.capacity)

    def _capacity_of(self, regulator: Regulator) -> float | None:
        """None where no stick of the pool has answered yet, and of a fallback that is not needed."""
        queues = [queue for queue in self._dispatcher.queues.values() if queue.pool == regulator.pool.name]
        rates = [rate for queue in queues if (rate := queue.full_rate) is not None]
        if not rates or regulator.held:
            return None
        usual, total = sum(rates) / len(rates), sum(queue.duty for queue in queues)
        permits = self._dispatcher.permits.get(regulator.pool.name, 0)
        cut = permits / total if permits and total > permits else 1.0
        return cut * sum(queue.duty * (queue.full_rate or usual) for queue in queues)

    def _limit_of(self, regulator: Regulator) -> str | None:
        queues = [queue for queue in self._dispatcher.queues.values() if queue.pool == regulator.pool.name]
        duty, permits = sum(queue.duty for queue in queues), self._dispatcher.permits.get(regulator.pool.name, 0)
        if not queues or regulator.held:
            return None
        if permits and duty >= 0.98 * permits and len(queues) > permits:
            return "cluster size"
        return "heat" if any(queue.duty < 1.0 for queue in queues) else "speed"

    def _judge(self, now_s: float) -> list[Action]:
        assert self.asked is not None
        got = sum(self.shares[name] for name in self._asked)
        differs = got < SHORT * self.asked if not self.overloaded else got >= ENOUGH * self.asked
        if not differs:
            self._differs_since_s = None
        elif self._differs_since_s is None:
            self._differs_since_s = now_s
        elif now_s - self._differs_since_s >= HOLD_S:
            self.overloaded, self._differs_since_s = not self.overloaded, None
            text = "the sticks keep up with the cameras again"
            if self.said is not None:
                text = f"{self.said}: {'neighbours get the rest' if self.relieved else 'frames are dropped'}"
            return [LogEvent("info", "clusters", text, OVERLOADS)]
        return []

    @property
    def said(self) -> str | None:
        """What is wrong, for people; None: the sticks keep up."""
        if not self.overloaded or self.asked is None or self.capacity is None:
            return None
        limit = f" (limited by {self.limited_by})" if self.limited_by else ""
        return f"the cameras ask for {_shown(self.asked)}/s, the sticks sustain {_shown(self.capacity)}/s{limit}"


def fair_shares(capacity: float, asked: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """Weighted max-min fair shares of `capacity`."""
    shares: dict[str, float] = {}
    left, weight = capacity, sum(weights[name] for name in asked)
    # the stream with the least demand per weight comes first: the others share the capacity that it leaves
    for name in sorted(asked, key=lambda name: asked[name] / weights[name]):
        shares[name] = min(asked[name], left * weights[name] / weight)
        left, weight = left - shares[name], weight - weights[name]
    return {name: shares[name] for name in asked}


def _shown(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10.0 else f"{rate:.1f}"


def _bounded(seconds: float) -> int:
    return max(1, min(LONGEST_RETRY_S, math.ceil(seconds)))
