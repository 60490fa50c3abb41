"""Did the air become warmer or colder a while ago? A matched filter over the scores of readings.

A step of the air by a warms a die by a s(t), s as the model has it; it shows in the scores of the readings since then. For a step n
seconds ago, with scores and informations of j seconds ago, j = 0 the newest,

    D = sum s(n - j)^2 info_j,   a_n = sum s(n - j) score_j / D,   sd_n = D^-1/2

Sticks share the air, so scores and informations of all are added up: what is seen grows with the square root of their number.
Source: generalised likelihood ratio test for a jump, Willsky and Jones (IEEE Trans. Automatic Control 21, 1976).
"""

from __future__ import annotations

import math
from collections import deque
from operator import mul
from typing import NamedTuple

from ncs_cluster.policies._die_filter import response

MOST_K = 40.0
"""The air does not become warmer or colder by more at once: what looks like it is work, or a reading, that was told late."""
AGES_S = (15, 20, 27, 35, 45, 60, 80, 110)


class Step(NamedTuple):
    """A step of the air `age_s` ago, in K, and its standard deviation."""

    age_s: int
    rise_k: float
    sigma_k: float


def die_share(after_s: float) -> float:
    """How much of a step of the air a die has got after this time."""
    return response(after_s)[0][2]


def case_share(after_s: float) -> float:
    return response(after_s)[1][2]


_SHAPES = {age: [die_share(age - since) for since in range(age)] for age in AGES_S}
_SQUARES = {age: [value * value for value in shape] for age, shape in _SHAPES.items()}


class AirSteps:
    """One stream of scores, an entry each second."""

    def __init__(self) -> None:
        self._scores: deque[float] = deque(maxlen=AGES_S[-1])
        self._infos: deque[float] = deque(maxlen=AGES_S[-1])
        self.steps: list[Step] = []
        """The best fit for each age, as of the last `add`."""

    def add(self, score: float, info: float) -> None:
        """The scores and the informations of this second, added up."""
        self._scores.appendleft(score)
        self._infos.appendleft(info)
        self.steps = []
        for age in AGES_S:
            weight = sum(map(mul, _SQUARES[age], self._infos))
            if weight > 0.0:
                rise_k = sum(map(mul, _SHAPES[age], self._scores)) / weight
                self.steps.append(Step(age, rise_k, 1.0 / math.sqrt(weight)))

    def clear(self) -> None:
        self._scores.clear()
        self._infos.clear()
        self.steps = []

    def rise_k(self, after_s: float, sigmas: float) -> float:
        """What a die still gets within `after_s` by the likely part of the largest step, K; 0 or more."""
        rises = ((step.rise_k - sigmas * step.sigma_k) * die_share(step.age_s + after_s) for step in self.steps)
        return max(0.0, max(rises, default=0.0))

    def clearest(self) -> tuple[float, Step] | None:
        """How many standard deviations the clearest step is away from none, with its sign, and the step; of those up
        to MOST_K."""
        found = [(step.rise_k / step.sigma_k, step) for step in self.steps if abs(step.rise_k) <= MOST_K]
        return max(found, key=lambda pair: abs(pair[0]), default=None)
