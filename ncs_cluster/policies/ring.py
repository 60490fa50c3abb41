"""`ring`: clusters of K sticks take turns in ring order, wrapping round: of 5 sticks by 2 they are 1-2, 3-4, 5-1, 2-3, 4-5.

The turn passes when the interval is over, before a working stick gets hot, or when an operator asks. The meaning is that of the
original script's -snc, -csc and -cst, without its flaws: every stick is measured, a cluster with a hot member is skipped, switches
that are not for safety keep a dwell, and when there is no cool cluster the cool sticks that are left work alone.

Hot, for the ring, is also a working stick whose die would be over `limit - MARGIN_K` in LOOK_S, and a resting one whose die would
be over that before STAY_S of full work, by the filter of `_die_filter`. Where the turn passes for heat, the coolest cluster
follows.

A stick that is not usable, whose temperature is unknown, or that has been hot for LONG_HOT_S is passed over: its place in the
cluster is taken by the next one in the ring. A broken sensor or a covered stick would keep the others of its cluster from working
for ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs

from ncs_cluster.policies._dies import Dies
from ncs_cluster.policies.base import Advice, StickView, View
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.types import StickId

DWELL_S = 2.0
TICK_S = 1.0
MARGIN_K = 1.0
"""For the error of the estimate, about 0.2 K, and for air that becomes warmer."""
LOOK_S, STAY_S = 1.2, 4.0
LONG_HOT_S = 60.0
"""A stick at the limit cools down within less, by resting, unless something else is wrong."""


@dataclass(frozen=True)
class Options:
    """When the turn may pass."""

    dwell_s: float = DWELL_S
    """A cluster works at least this many seconds, unless one of its sticks gets hot."""

    def __post_init__(self) -> None:
        if not 0 <= self.dwell_s < math.inf:
            raise ValueError("dwell_s must be 0 or more")


def create(spec: ClusterSpec, options: Options) -> Ring:
    return Ring(spec.switch_interval_s, options.dwell_s)


class Ring:
    """State: the first stick of the active cluster, and since when the cluster is active."""

    def __init__(self, interval_s: float, dwell_s: float = DWELL_S) -> None:
        """`interval_s` 0: no timer."""
        self.interval_s = interval_s
        self.dwell_s = dwell_s
        self._first: StickId | None = None
        self._active: tuple[StickId, ...] = ()
        self._since_s = 0.0
        self.asked = False
        self._dies = Dies()
        self._hot_since_s: dict[StickId, float] = {}

    def ask_switch(self) -> None:
        self.asked = True

    def advise(self, view: View) -> Advice:
        self._dies.follow(view)
        view = self._foreseen(view)
        hot = {stick.id for stick in view.sticks if stick.hot}
        self._hot_since_s = {stick: self._hot_since_s.get(stick, view.now_s) for stick in hot}
        advice = self._advise(view)
        return structs.replace(advice, look_s=view.now_s + TICK_S) if self._dies.known else advice

    def _advise(self, view: View) -> Advice:
        if not self._active:
            self._since_s = view.now_s
        here = _window(view, self._start(view))
        hot = [stick for stick in here if stick.hot]
        if not any(stick.usable and not stick.hot for stick in view.sticks):
            # no stick can work: the first that cools down goes on from here
            self._active = ()
            self.asked = False
            return Advice({})
        if hot:
            return self._turn(view, here, f"{hot[0].id} {hot[0].why_hot}", safety=True)
        if self.asked:
            return self._turn(view, here, "requested by the operator")
        due_s = self._due_s()
        if due_s is not None and view.now_s >= due_s:
            return self._turn(view, here, "switch interval is over")
        return self._work(here, None, due_s)

    def clusters(self, view: View) -> list[list[StickId]]:
        view = self._foreseen(view)
        return [_names(window) for window in self._turns(view)]

    def _foreseen(self, view: View) -> View:
        """The view with the ring's forecast: a stick that is forecast to get hot counts as hot; a stick hot for LONG_HOT_S counts
        as not usable."""
        sticks = []
        for stick in view.sticks:
            die = self._dies.known.get(stick.id)
            if die is not None and stick.usable and not stick.hot:
                after_s = LOOK_S if stick.id in self._active else STAY_S
                if max(die.filter.die_c, die.forecast_c(after_s)) >= view.limit_of(stick) - MARGIN_K:
                    stick = structs.replace(stick, hot=True, why_hot=f"would be too hot soon ({die.filter.die_c:.1f} °C)")
            if stick.hot and view.now_s - self._hot_since_s.get(stick.id, view.now_s) >= LONG_HOT_S:
                stick = structs.replace(stick, usable=False)
            sticks.append(stick)
        return structs.replace(view, sticks=sticks)

    def _turns(self, view: View) -> list[list[StickView]]:
        """All clusters in the order of their turns, the present one first."""
        start, turns = self._start(view), list[list[StickView]]()
        while (window := _window(view, start)) and window not in turns:
            turns.append(window)
            start = _index(view, window[-1].id) + 1
        return turns

    def _turn(self, view: View, here: list[StickView], reason: str, *, safety: bool = False) -> Advice:
        """Switch to the next cluster without a hot stick; for safety, where there is none, to the cool sticks of the ring."""
        if not safety and view.now_s < self._since_s + self.dwell_s:
            return self._work(here, None, self._since_s + self.dwell_s)
        self.asked = False
        later = [window for window in self._turns(view)[1:] if not any(stick.hot for stick in window)]
        if safety:
            later.sort(key=self._heat_c)
        else:
            # a cluster of the same sticks is no switch: a stick may have stood in for an absent one
            later = [window for window in later if set(_names(window)) != set(self._active)]
        window = later[0] if later else _cool(view, self._start(view)) if safety else here
        no_alternative = set(_names(window)) == set(self._active)
        if safety or not no_alternative:
            self._first = window[0].id
        if no_alternative:
            # no other cluster: look again after a dwell
            return self._work(window, None, view.now_s + self.dwell_s, no_alternative=True)
        self._since_s = view.now_s
        return self._work(window, reason, self._due_s(), by_heat=safety)

    def _work(
        self,
        window: list[StickView],
        reason: str | None,
        next_s: float | None,
        *,
        no_alternative: bool = False,
        by_heat: bool = False,
    ) -> Advice:
        self._active = tuple(_names(window))
        return Advice(dict.fromkeys(self._active, 1.0), reason, next_s, no_alternative, by_heat)

    def _heat_c(self, window: list[StickView]) -> float:
        """The hottest known die of a cluster."""
        dies = [self._dies.known[stick.id].filter.die_c for stick in window if stick.id in self._dies.known]
        return max(dies, default=-math.inf)

    def _start(self, view: View) -> int:
        return 0 if self._first is None else _index(view, self._first)

    def _due_s(self) -> float | None:
        return self._since_s + self.interval_s if self.interval_s > 0 else None


def _window(view: View, start: int) -> list[StickView]:
    """The first K usable sticks of the ring from `start` on, hot or not; a stick without a valid temperature is skipped."""
    return _round(view, start, lambda stick: stick.usable and not (stick.hot and stick.temperature_c is None))


def _cool(view: View, start: int) -> list[StickView]:
    return _round(view, start, lambda stick: stick.usable and not stick.hot)


def _round(view: View, start: int, fits: Callable[[StickView], bool]) -> list[StickView]:
    count = len(view.sticks)
    round_trip = [view.sticks[(start + step) % count] for step in range(count)]
    chosen = [stick for stick in round_trip if fits(stick)]
    return chosen[: view.cluster_size] if view.cluster_size else chosen


def _index(view: View, stick: StickId) -> int:
    return next((index for index, known in enumerate(view.sticks) if known.id == stick), 0)


def _names(window: list[StickView]) -> list[StickId]:
    return [stick.id for stick in window]
