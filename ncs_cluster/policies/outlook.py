"""What a die's filter says about the long run: the duty that can be sustained, how well that is known, the time to the limit, how
well the stick cools beside its peers. Formulas over the state of `_die_filter`, with R = R1 + R2 from air to die:

    die(u)    = air + R (idle + gain work u)                   steady state at the duty u
    sustained = (limit - margin - air - R idle) / (R gain work)
    sigma     = sqrt(Paa + 2 g Pab + g^2 Pbb) / (R gain work),   g = R work sustained;  a: air, b: gain

`margin` is that of `predictive`. What a filter calls air holds the heat of the neighbours at the present work; where more work is
sustained, they give more. In the thermal laboratory, from sticks that take turns, sum of `sustained` is 0 to 5 % under what
`predictive` then reaches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ncs_cluster.policies._die_filter import IDLE_W, WORK_W
from ncs_cluster.policies._dies import Die
from ncs_cluster.policies.predictive import RISE_K_W, margin_k
from ncs_cluster.types import StickId

AHEAD_S = (4.0, 8.0, 15.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 450.0, 600.0, 900.0)
"""Times for which a crossing of the limit is looked for; what is later than the last one is not foreseen."""
LEAST_PEERS = 2


def sustained(die: Die, limit_c: float) -> float:
    """The largest duty, 0 to 1, that this stick could keep up for ever in the present air."""
    state = die.filter
    left_k = limit_c - margin_k(die, limit_c) - state.air_c - RISE_K_W * IDLE_W
    return min(1.0, max(0.0, left_k / (RISE_K_W * state.gain * WORK_W)))


def sigma(die: Die, duty: float) -> float:
    """Standard deviation of `sustained`, as a share of full duty, by the filter: an error of the model is not in it."""
    state = die.filter
    return state.steady_sigma_c(RISE_K_W * WORK_W * duty) / (RISE_K_W * state.gain * WORK_W)


def seconds_until(die: Die, limit_c: float, work: float) -> float | None:
    """Seconds until the die has the limit when the stick goes on to work for this share of the time. 0: it has it. None: never, or
    not within the last of AHEAD_S."""
    before_s, before_c = 0.0, die.filter.die_c
    if before_c >= limit_c:
        return 0.0
    for after_s in AHEAD_S:
        here_c = die.forecast_c(after_s, work)
        if here_c >= limit_c:
            return before_s + (after_s - before_s) * (limit_c - before_c) / (here_c - before_c)
        before_s, before_c = after_s, here_c
    return None


def rises_k_w(dies: Mapping[StickId, Die], work: Mapping[StickId, float]) -> dict[StickId, float]:
    """Of each stick the steady rise of its die over the common air at its present work, in K for each watt that the model has it
    draw. The common air is the median of what the filters say."""
    if not dies:
        return {}
    air_c = _median([die.filter.air_c for die in dies.values()])
    rises = {}
    for stick, die in dies.items():
        state, share = die.filter, work[stick]
        steady_c = state.air_c + RISE_K_W * (IDLE_W + state.gain * WORK_W * share)
        rises[stick] = (steady_c - air_c) / (IDLE_W + WORK_W * share)
    return rises


def beside_peers(rises: Mapping[StickId, float], stick: StickId) -> float | None:
    """How much warmer the stick gets than the median of its peers by the same power: 0.3 cools 30 % worse. None with fewer than
    LEAST_PEERS others."""
    others = [rise for other, rise in rises.items() if other != stick]
    if len(others) < LEAST_PEERS or (usual := _median(others)) <= 0.0:
        return None
    return rises[stick] / usual - 1.0


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def mean_weight(dt_s: float, over_s: float, for_s: float) -> float:
    """The weight of the newest `dt_s` in a mean over the last `over_s`, exponential once it is `for_s` old, plain before."""
    return max(1.0 - math.exp(-dt_s / over_s), min(1.0, dt_s / max(for_s, 1e-9)))
