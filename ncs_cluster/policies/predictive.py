"""`predictive`: each stick works at the duty that keeps its die just under the limit, as a model of it foresees.

Every second and for each stick: a filter follows die, case and air from the readings and from the work done (`_die_filter`); the
duty is the largest one with which the die stays under the limit at 4, 20 and 40 s from now,

    u = min over h of (limit - margin - r_h . (die, case, air, idle) - rise(h)) / (r_h[power] gain work),   0 <= u <= 1
    margin = 0.07 + 0.028 max(0, limit - air - 31 idle - 11) + 3 sigma(die)

where r_h is the die's response after h seconds. A warmer air shows late: steps of the air are looked for in the readings of all
sticks together, and of each against the others (`_air_steps`). What is likely, `rise`, is added to the forecast at once; what is
certain is handed to the filters. With a cluster size the duties are scaled down so that no more work at once on average.

A stick that pauses between inferences has no ripple in temperature as one that works for 10 s and rests, so its mean may be
nearer to the limit. The price is trust in the model: the core's own trip lies `trip_above_k` over the limit, for sensors with
errors.

Where there is less work than the duties allow, it is spread so that the hottest die becomes as cool as it can (`_spread`).

A sensor that says the same for improbably long says nothing: its stick works at FROZEN_DUTY until it says something else. Where it
has never said anything else, whatever the stick did, it counts as none. A stick whose air seems to have become colder than its
peers' rests for some seconds: where its sensor does not see that, it works at FROZEN_DUTY too (`_sensor_checks`). A stick that its
firmware throttles rests. One without a sensor works at full duty, as under every policy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ncs_cluster.policies._air_steps import AirSteps, Step, case_share, die_share
from ncs_cluster.policies._die_filter import IDLE_W, WORK_W, response
from ncs_cluster.policies._dies import Die, Dies
from ncs_cluster.policies._sensor_checks import SensorChecks
from ncs_cluster.policies._spread import Spread, Warmth, spread
from ncs_cluster.policies.base import Advice, StickView, View
from ncs_cluster.specs import ClusterSpec, DieFigures
from ncs_cluster.types import StickId

TICK_S = 1.0
HORIZONS_S = (4.0, 20.0, 40.0)
RISE_K_W = 31.0
"""From air to die in the steady state."""
POOL_SIGMAS, OWN_SIGMAS = 1.8, 2.4
"""What lies above so many standard deviations of a step's size is likely."""
POOL_WARMER, POOL_COLDER, OWN_CERTAIN = 5.0, -6.0, 5.5
"""Standard deviations from which on a step of the air is certain."""
LEARNING_S, SETTLING_S = 180.0, 400.0
"""A die known for less time is not asked for steps; none is certain before it is known for so long, nor settled so long after."""
FROZEN_DUTY = 0.05
LEAST_DUTY = 0.002
LEAST_SHARE = 0.01
SPREAD_AFTER_S = 300.0
"""A die known for less time has an air that is still being learned."""


@dataclass(frozen=True)
class Options:
    """There are none."""


def create(spec: ClusterSpec, options: Options) -> Predictive:
    return Predictive(spec.calibrated)


def margin_k(die: Die, limit_c: float) -> float:
    """How far under the limit a die is kept: more where much work, and so much error, lies between idle and the limit."""
    state = die.filter
    return 0.07 + 0.028 * max(0.0, limit_c - state.air_c - RISE_K_W * IDLE_W - 11.0) + 3.0 * state.sigma_c


class Predictive:
    """See base.Policy."""

    asked = False

    def __init__(self, calibrated: Mapping[StickId, DieFigures] | None = None) -> None:
        self._dies = Dies(calibrated)
        self._steps: dict[StickId, tuple[Die, AirSteps]] = {}
        """Of each die the steps of the air that it alone has seen."""
        self._pool = AirSteps()
        self._rises_k = dict.fromkeys(HORIZONS_S, 0.0)
        """What the dies still get of a step that all have seen, by horizon."""
        self._duties: dict[StickId, float] = {}
        self._second: int | None = None
        self._checks = SensorChecks()
        self._spread: Spread[StickId] | None = None

    @property
    def dies(self) -> dict[StickId, Die]:
        """The dies that it knows, by stick, as of the last `advise`."""
        return self._dies.known

    def ask_switch(self) -> None:
        """There is nothing to switch to."""

    def clusters(self, view: View) -> list[list[StickId]]:
        return [[stick.id for stick in view.sticks]]

    def follow(self, view: View) -> list[StickId]:
        """Take in what is new in this view, without advice. Returns the sticks of which more is known than before."""
        self._dies.follow(view)
        dies, second = self._dies.known, math.floor(view.now_s / TICK_S)
        new = [stick for stick, die in dies.items() if stick not in self._steps or self._steps[stick][0] is not die]
        self._steps.update((stick, (dies[stick], AirSteps())) for stick in new)
        if second == self._second:
            return new
        self._second = second
        self._look_for_steps()
        return list(dies)

    def advise(self, view: View) -> Advice:
        before = self._second
        new, dies = self.follow(view), self._dies.known
        able = {stick.id for stick in view.sticks if stick.usable and not stick.hot}
        if before != self._second:
            for again in self._checks.look(dies, able, view.now_s):
                self._dies.renew(again)
            self._rises_k = {after_s: self._pool.rise_k(after_s, POOL_SIGMAS) for after_s in HORIZONS_S}
        limits_c = {stick.id: view.limit_of(stick) for stick in view.sticks}
        self._duties.update((stick, self._duty(stick, dies[stick], limits_c[stick])) for stick in new)
        wanted = {stick.id: self._wanted(stick) for stick in view.sticks if stick.id in able}
        total = sum(wanted.values())
        share = view.cluster_size / total if view.cluster_size and total > view.cluster_size else 1.0
        duties = {stick: duty * share for stick, duty in wanted.items() if duty * share >= LEAST_DUTY}
        if before != self._second:
            self._spread = self._spread_of(duties)
        next_s = (math.floor(view.now_s / TICK_S) + 1) * TICK_S
        if self._spread is None or self._spread.duties.keys() != duties.keys():
            return Advice(duties, None, next_s)
        shares = {stick: max(LEAST_SHARE, share) for stick, share in self._spread.duties.items()}
        return Advice(duties, None, next_s, shares=shares, cooler_k=max(0.0, self._spread.evenly_c - self._spread.hottest_c))

    def _spread_of(self, duties: dict[StickId, float]) -> Spread[StickId] | None:
        """How the work of the last minute is spread best over these sticks; None where one is not known, or all are needed."""
        dies = self._dies.known
        if any(stick not in dies or dies[stick].suspect or dies[stick].age_s < SPREAD_AFTER_S for stick in duties):
            return None
        sticks = {}
        for stick, most in duties.items():
            state = dies[stick].filter
            sticks[stick] = Warmth(state.air_c + RISE_K_W * IDLE_W, RISE_K_W * state.gain * WORK_W, most)
        return spread(sticks, sum(dies[stick].work for stick in duties))

    def _wanted(self, stick: StickView) -> float:
        if stick.throttle_level or stick.id == self._checks.resting:
            return 0.0
        return self._duties[stick.id] if stick.id in self._dies.known else 1.0

    def _look_for_steps(self) -> None:
        """A second is over: the scores of all dies go into one matched filter, and each one's against the others' into its own."""
        dies = self._dies.known
        self._steps = {stick: self._steps[stick] for stick in dies}
        grown = {stick: die for stick, die in dies.items() if die.age_s >= LEARNING_S}
        score, info = sum(die.score for die in grown.values()), sum(die.info for die in grown.values())
        self._pool.add(score, info)
        for stick, die in grown.items():
            others = info - die.info
            if len(grown) == 1:
                own = die.score, die.info
            elif info > 0.0:
                own = (die.score * others - (score - die.score) * die.info) / info, die.info * others / info
            else:
                own = 0.0, 0.0
            self._steps[stick][1].add(*own)
        for die in dies.values():
            die.score = die.info = 0.0
        found = self._pool.clearest()
        if found is not None and any(die.age_s >= SETTLING_S for die in dies.values()):
            sigmas, step = found
            if sigmas > POOL_WARMER or sigmas < POOL_COLDER:
                self._pool.clear()
                for stick in dies:
                    self._believe(stick, step)
        for stick, die in grown.items():
            found = self._steps[stick][1].clearest()
            if found is not None and die.age_s >= SETTLING_S and abs(found[0]) > OWN_CERTAIN:
                self._believe(stick, found[1])

    def _believe(self, stick: StickId, step: Step) -> None:
        """The air became warmer or colder for certain: what the die and the case have got of it by now goes into the filter."""
        die, steps = self._steps[stick]
        die.filter.shift(step.rise_k, die_share(step.age_s), case_share(step.age_s), step.sigma_k)
        die.unsettled_until_s = die.at_s + SETTLING_S
        steps.clear()

    def _duty(self, stick: StickId, die: Die, limit_c: float) -> float:
        """The largest duty that keeps this die under the limit."""
        if die.suspect and die.moved:
            return FROZEN_DUTY
        state, steps = die.filter, self._steps[stick][1]
        kept_c = limit_c - margin_k(die, limit_c)
        duty = 1.0
        for after_s in HORIZONS_S:
            (by_die, by_case, by_air, by_power), _ = response(after_s, state.unit)
            idle_c = by_die * state.die_c + by_case * state.case_c + by_air * state.air_c + by_power * IDLE_W
            left_k = kept_c - idle_c - max(self._rises_k[after_s], steps.rise_k(after_s, OWN_SIGMAS))
            duty = min(duty, left_k / (by_power * state.gain * WORK_W))
        return max(FROZEN_DUTY if die.suspect else 0.0, duty)
