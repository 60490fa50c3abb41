"""How work is spread over sticks so that the hottest becomes as cool as it can: water-filling over their steady temperatures.

With floor_i = air_i + R idle the steady die without work and slope_i = R gain_i work its rise at full work (both from the filter),

    minimise max over i of (floor_i + slope_i u_i)    subject to    sum u_i = total,  0 <= u_i <= most_i

is solved by one temperature T for all sticks that work and are not at their most: u_i = clip((T - floor_i) / slope_i, 0, most_i).
The sum rises with T, linearly between the temperatures at which a stick begins or has its most: in the order of these, T lies
after the last one with a sum below the total. Source: Boyd and Vandenberghe, "Convex Optimization", example 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

Name = TypeVar("Name")
ROUNDING_PER_K = 1e-9
"""The sum of all slopes where no stick is between none and its most, but for rounding."""


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
    level_c = _level_c(sticks, total)
    duties = {name: min(each.most, max(0.0, (level_c - each.floor_c) / each.slope_k)) for name, each in sticks.items()}
    return Spread(duties, _hottest_c(sticks, duties), _hottest_c(sticks, _evenly(sticks, total)))


def _level_c(sticks: Mapping[Name, Warmth], total: float) -> float:
    """T, for a total between 0 and what all may do."""
    bends = [(each.floor_c, 1.0 / each.slope_k) for each in sticks.values()]
    bends += [(each.floor_c + each.slope_k * each.most, -1.0 / each.slope_k) for each in sticks.values()]
    level_c = reached = per_k = 0.0
    for next_c, change_per_k in sorted(bends):
        if per_k > ROUNDING_PER_K:
            if reached + per_k * (next_c - level_c) >= total:
                return level_c + (total - reached) / per_k
            reached += per_k * (next_c - level_c)
        level_c, per_k = next_c, per_k + change_per_k
    return level_c


def _evenly(sticks: Mapping[Name, Warmth], total: float) -> dict[Name, float]:
    duties: dict[Name, float] = {}
    left = total
    for at, (name, stick) in enumerate(sorted(sticks.items(), key=lambda item: item[1].most)):
        duties[name] = min(stick.most, left / (len(sticks) - at))
        left -= duties[name]
    return duties


def _hottest_c(sticks: Mapping[Name, Warmth], duties: Mapping[Name, float]) -> float:
    return max(stick.floor_c + stick.slope_k * duties[name] for name, stick in sticks.items())
