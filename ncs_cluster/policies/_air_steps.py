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
_FILTERS = [(age, shape, [value * value for value in shape]) for age, shape in _SHAPES.items()]


class AirSteps:
    """One stream of scores, an entry each second."""

    def __init__(self) -> None:
        self._scores: deque[float] = deque(maxlen=AGES_S[-1])
        self._infos: deque[float] = deque(maxlen=AGES_S[-1])
        self._fits: list[tuple[int, float, float]] = []
        """The best fit for each age, as of the last `add`: the fields of Step."""

    @property
    def steps(self) -> list[Step]:
        """The best fit for each age, as of the last `add`."""
        return [Step(*fit) for fit in self._fits]

    def add(self, score: float, info: float) -> None:
        """The scores and the informations of this second, added up."""
        scores, infos = self._scores, self._infos
        scores.appendleft(score)
        infos.appendleft(info)
        self._fits = fits = []
        for age, shape, squares in _FILTERS:
            weight = sum(map(mul, squares, infos))
            if weight > 0.0:
                fits.append((age, sum(map(mul, shape, scores)) / weight, 1.0 / math.sqrt(weight)))

    def clear(self) -> None:
        self._scores.clear()
        self._infos.clear()
        self._fits = []

    def rise_k(self, after_s: float, sigmas: float) -> float:
        """What a die still gets within `after_s` by the likely part of the largest step, K; 0 or more."""
        most_k = 0.0
        for age_s, rise_k, sigma_k in self._fits:
            likely_k = rise_k - sigmas * sigma_k
            if likely_k > 0.0:
                most_k = max(most_k, likely_k * die_share(age_s + after_s))
        return most_k

    def clearest(self) -> tuple[float, Step] | None:
        """How many standard deviations the clearest step is away from none, with its sign, and the step; of those up
        to MOST_K."""
        most, clearest = 0.0, None
        for fit in self._fits:
            _, rise_k, sigma_k = fit
            sigmas = rise_k / sigma_k
            if abs(rise_k) <= MOST_K and (clearest is None or abs(sigmas) > abs(most)):
                most, clearest = sigmas, fit
        return None if clearest is None else (most, Step(*clearest))
