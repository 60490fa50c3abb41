"""`ring`: clusters of K sticks take turns in ring order, wrapping round: of 5 sticks by 2 they are 1-2, 3-4, 5-1, 2-3, 4-5.

The turn passes when the interval is over, when a working stick gets hot, or when an operator asks. The meaning is that of the
original script's -snc, -csc and -cst, without its flaws: every stick is measured, a cluster with a hot member is skipped, switches
that are not for safety keep a dwell, and when there is no cool cluster the cool sticks that are left work alone.

A stick that is not usable, or whose temperature is unknown, is passed over: its place in the cluster is taken by the next one in
the ring. A broken sensor may last for ever, and would keep the others of its cluster from working.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ncs_cluster.policies.base import Advice, StickView, View
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.types import StickId

DWELL_S = 2.0


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

    def ask_switch(self) -> None:
        self.asked = True

    def advise(self, view: View) -> Advice:
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
        return [_names(window) for window in self._turns(view)]

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
        if not safety:
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
        return self._work(window, reason, self._due_s())

    def _work(self, window: list[StickView], reason: str | None, next_s: float | None, *, no_alternative: bool = False) -> Advice:
        self._active = tuple(_names(window))
        return Advice(dict.fromkeys(self._active, 1.0), reason, next_s, no_alternative)

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
