"""How work is spread over sticks so that the hottest becomes as cool as it can: water-filling over their steady temperatures.

With floor_i = air_i + R idle the steady die without work and slope_i = R gain_i work its rise at full work (both from the filter),

    minimise max over i of (floor_i + slope_i u_i)    subject to    sum u_i = total,  0 <= u_i <= most_i

is solved by one temperature T for all sticks that work and are not at their most: u_i = clip((T - floor_i) / slope_i, 0, most_i).
The sum rises with T, so that T is found by bisection. Source: Boyd and Vandenberghe, "Convex Optimization", example 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

Name = TypeVar("Name")
STEPS = 24
"""Halvings of some 100 K: to 10 µK."""


class Warmth(NamedTuple):
    """Of one stick: its steady die in C without work, its rise at full work in K, the largest duty it may have."""

    floor_c: float
    slope_k: float
    most: float


class Spread(NamedTuple, Generic[Name]):
    duties: dict[Name, float]
    hottest_c: float
    evenly_c: float
    """The hottest, were the work spread evenly, as far as each may work."""


def spread(sticks: Mapping[Name, Warmth], total: float) -> Spread[Name] | None:
    """`total`: the sum of the duties. None where nothing can be spread: no work, or all that they may do."""
    room = sum(each.most for each in sticks.values())
    if not 0.0 < total < room:
        return None
    low_c = min(each.floor_c for each in sticks.values())
    high_c = max(each.floor_c + each.slope_k for each in sticks.values())
    for _ in range(STEPS):
        middle_c = (low_c + high_c) / 2
        low_c, high_c = (middle_c, high_c) if _sum_at(sticks, middle_c) < total else (low_c, middle_c)
    duties = {name: _duty(each, high_c) for name, each in sticks.items()}
    return Spread(duties, _hottest_c(sticks, duties), _hottest_c(sticks, _evenly(sticks, total)))


def _duty(stick: Warmth, level_c: float) -> float:
    return min(stick.most, max(0.0, (level_c - stick.floor_c) / stick.slope_k))


def _sum_at(sticks: Mapping[Name, Warmth], level_c: float) -> float:
    return sum(_duty(each, level_c) for each in sticks.values())


def _evenly(sticks: Mapping[Name, Warmth], total: float) -> dict[Name, float]:
    duties: dict[Name, float] = {}
    left = total
    for at, (name, stick) in enumerate(sorted(sticks.items(), key=lambda item: item[1].most)):
        duties[name] = min(stick.most, left / (len(sticks) - at))
        left -= duties[name]
    return duties


def _hottest_c(sticks: Mapping[Name, Warmth], duties: Mapping[Name, float]) -> float:
    return max(stick.floor_c + stick.slope_k * duties[name] for name, stick in sticks.items())
