"""`coolest`: the K coolest sticks work; without a cluster size, all that are cool enough.

A working stick leaves when it is hot, or when its die would be over `limit - MARGIN_K` in LOOK_S. A resting one may begin where
its die would stay under that for STAY_S of full work: this is the hysteresis, in seconds and not in kelvin, since a die on a hot
case is hot again sooner. A stick that is SWAP_K cooler than a working one takes its place, at most once in `dwell_s`.
Temperatures and forecasts are those of the filter of `_die_filter`; those of sticks without a sensor are unknown, and they are
taken last.

Processor cores are scheduled like this too: Yeo, Liu, Kim, "Predictive dynamic thermal management for multicore systems" (DAC
2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ncs_cluster.policies._dies import Dies
from ncs_cluster.policies.base import Advice, StickView, View
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.types import StickId

ASKED = "requested by the operator"
DWELL_S = 5.0
TICK_S = 1.0
SWAP_K = 3.0
MARGIN_K = 1.0
"""For the error of the estimate, about 0.2 K, and for air that becomes warmer."""
LOOK_S, STAY_S = 1.2, 4.0


@dataclass(frozen=True)
class Options:
    """When a cooler stick takes over."""

    dwell_s: float = DWELL_S
    """A stick works at least this many seconds before a cooler one takes its place, unless it gets hot."""

    def __post_init__(self) -> None:
        if not 0 <= self.dwell_s < math.inf:
            raise ValueError("dwell_s must be 0 or more")


def create(spec: ClusterSpec, options: Options) -> Coolest:
    return Coolest(options.dwell_s)


class Coolest:
    """State: the dies, the active sticks, and when a stick last became active."""

    def __init__(self, dwell_s: float = DWELL_S) -> None:
        self.dwell_s = dwell_s
        self.asked = False
        self._dies = Dies()
        self._active: list[StickId] = []
        self._since_s = -math.inf

    def ask_switch(self) -> None:
        self.asked = True

    def clusters(self, view: View) -> list[list[StickId]]:
        order = [stick.id for stick in sorted(view.sticks, key=lambda stick: (not stick.usable, stick.hot, self._heat_c(stick)))]
        size = view.cluster_size or max(1, len(order))
        return [order[first : first + size] for first in range(0, len(order), size)]

    def advise(self, view: View) -> Advice:
        self._dies.follow(view)
        before, size = self._active, view.cluster_size or len(view.sticks)
        able = {stick.id: stick for stick in view.sticks if stick.usable and not stick.hot}
        staying = [able[each] for each in before if each in able and self._fits(able[each], LOOK_S, view)]
        ready = [stick for stick in able.values() if stick.id not in before and self._fits(stick, STAY_S, view)]
        staying, ready = sorted(staying, key=self._heat_c)[:size], sorted(ready, key=self._heat_c)
        reason = self._why_left(view, before, staying, able)
        while ready and len(staying) < size:
            staying.append(ready.pop(0))
        if ready and staying and view.now_s >= self._since_s + self.dwell_s:
            staying, swapped = self._swapped(staying, ready, size)
            reason = swapped or reason
        self.asked = self.asked and bool(ready) and bool(staying)
        self._active = [stick.id for stick in staying]
        if not set(self._active) <= set(before):
            self._since_s = view.now_s
        if not before or not self._active or set(self._active) == set(before):
            reason = None
        by_heat = reason is not None and reason != ASKED
        return Advice(dict.fromkeys(self._active, 1.0), reason, view.now_s + TICK_S, by_heat=by_heat)

    def _swapped(self, staying: list[StickView], ready: list[StickView], size: int) -> tuple[list[StickView], str | None]:
        """The hottest working stick gives its place to the coolest resting one; all do when an operator asks."""
        if self.asked:
            self.asked = False
            return (ready + staying)[:size], ASKED
        hottest, coolest = max(staying, key=self._heat_c), ready[0]
        cooler_k = self._heat_c(hottest) - self._heat_c(coolest)
        if not SWAP_K <= cooler_k < math.inf:
            return staying, None
        kept = [stick for stick in staying if stick is not hottest]
        return [*kept, coolest], f"{coolest.id} is {cooler_k:.1f} K cooler than {hottest.id}"

    def _why_left(self, view: View, before: list[StickId], staying: list[StickView], able: dict[StickId, StickView]) -> str | None:
        kept = {stick.id for stick in staying}
        for stick in view.sticks:
            if stick.id in before and stick.id not in kept and stick.usable:
                return f"{stick.id} {stick.why_hot}" if stick.hot else f"{stick.id} would be too hot soon"
        return None

    def _fits(self, stick: StickView, for_s: float, view: View) -> bool:
        """Would it stay cool enough for so long at full work?"""
        die = self._dies.known.get(stick.id)
        return die is None or max(die.filter.die_c, die.forecast_c(for_s)) < view.limit_of(stick) - MARGIN_K

    def _heat_c(self, stick: StickView) -> float:
        die = self._dies.known.get(stick.id)
        return math.inf if die is None else die.filter.die_c
