"""What one stick's die does: a Kalman filter over the two-node model of `ncs_cluster.thermal`, from readings and the work done.

State x = (die, case, air, gain): temperatures in C; `air` is the air as this stick has it, with the heat of its neighbours;
`gain` is how much more or less it warms by working than the model says.

    die'  = (power - (die - case) / R1) / C1          power = idle + gain * work * u,  u: share of time at work
    case' = ((die - case) / R1 - (case - air) / R2) / C2
    air, gain: random walks

The step over any time is exact. A reading is rounded to the sensor's step q, so it says that the value before rounding was within
q / 2 of it: the update is the one of the likelihood of that interval (scoring; with phi and Phi of the normal distribution)

    lo, hi = (reading - die -/+ q/2) / s,  M = Phi(hi) - Phi(lo),  G = (phi(lo) - phi(hi)) / M
    score = G / s,  info = (G^2 - (lo phi(lo) - hi phi(hi)) / M) / s^2
    x += c score,  P -= c c^T info,  c: the first column of P

which for q = 0 is the usual Kalman update. The sensor's variance is estimated from differences of successive readings, its step is
the smallest of these differences. Sources: Kalman (1960); Gustafsson and Karlsson, "Statistical results for system identification
based on quantized observations" (Automatica 45, 2009) for quantised readings. Constants were tuned in the thermal laboratory.
"""

from __future__ import annotations

import functools
import math

from ncs_cluster.specs import DieFigures
from ncs_cluster.thermal import Heat, Plant

IDLE_W, WORK_W = Plant().idle_w, Plant().work_w
_UNIT = Plant(idle_w=0.0, work_w=1.0)
Row = tuple[float, float, float, float]
DIE_VARIANCE, CASE_VARIANCE, AIR_VARIANCE, GAIN_VARIANCE = 1e-5, 2e-5, 2e-4, 4e-7
"""By which each variance grows in a second."""
UNSETTLED = 8.0
"""Factor of case and air variance while the air may be changing."""
GAIN_RANGE = (0.5, 2.0)
FIRST_GAIN, CALIBRATED_GAIN = 0.04, 0.0025
"""Initial variance of the gain: of a stick without a calibration; of a calibrated stick, added to the calibration's variance."""
FIRST_NOISE, LEAST_NOISE, MOST_NOISE, MODEL_NOISE = 0.243, 0.12, 4.0, 0.03
FINE_C = 0.05
"""A smaller sensor step counts as none."""


def unit_of(figures: DieFigures | None) -> Plant:
    """The model of a stick, as `response` takes it. Full work is WORK_W in it, whatever it really is: only products count."""
    if figures is None:
        return _UNIT
    die_k_w, case_k_w = figures.die_rise_k / WORK_W, figures.case_rise_k / WORK_W
    return Plant(figures.die_s / die_k_w, die_k_w, figures.case_s / case_k_w, case_k_w, 0.0, 1.0)


@functools.lru_cache(maxsize=16384)
def response(after_s: float, unit: Plant = _UNIT) -> tuple[Row, Row]:
    """Die and case after `after_s`: the coefficients of (die, case, air, power). `unit`: see unit_of."""
    parts = [
        unit.step(Heat(1.0, 0.0), after_s, 0.0, 0.0),
        unit.step(Heat(0.0, 1.0), after_s, 0.0, 0.0),
        unit.step(Heat(0.0, 0.0), after_s, 0.0, 1.0),
        unit.step(Heat(0.0, 0.0), after_s, 1.0, 0.0),
    ]
    (die_a, die_b, die_c, die_d), (case_a, case_b, case_c, case_d) = zip(*parts, strict=True)
    return (die_a, die_b, die_c, die_d), (case_a, case_b, case_c, case_d)


class DieFilter:
    """Begins with its first reading: die, case and air have that temperature."""

    def __init__(self, reading_c: float, figures: DieFigures | None = None) -> None:
        """`figures`: of this stick, where they are known; else the usual ones, which are less certain."""
        self.unit = unit_of(figures)
        self.die_c = self.case_c = self.air_c = reading_c
        self.gain = 1.0
        gain = FIRST_GAIN if figures is None else min(FIRST_GAIN, CALIBRATED_GAIN + figures.sigma**2)
        self._p: list[float] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 9.0, 0.0, gain]
        """The upper triangle of the covariance: 00 01 02 03 11 12 13 22 23 33."""
        self._last_c, self._noise, self._step_c = reading_c, FIRST_NOISE, 1.0

    @property
    def sigma_c(self) -> float:
        """Standard deviation of the die's estimate."""
        return math.sqrt(max(0.0, self._p[0]))

    def steady_sigma_c(self, gained_k: float) -> float:
        """Standard deviation of the die's steady state at a work that warms it by `gained_k` at the gain 1."""
        return math.sqrt(max(0.0, self._p[7] + 2 * gained_k * self._p[8] + gained_k * gained_k * self._p[9]))

    def predict(self, dt_s: float, work: float, *, unsettled: bool = False) -> None:
        """`dt_s` later; the stick worked for the share `work` of that time."""
        (a0, a1, a2, a3), (b0, b1, b2, b3) = response(round(dt_s, 2), self.unit)
        power_w = IDLE_W + self.gain * WORK_W * work
        die, case, air = self.die_c, self.case_c, self.air_c
        self.die_c = a0 * die + a1 * case + a2 * air + a3 * power_w
        self.case_c = b0 * die + b1 * case + b2 * air + b3 * power_w
        ag, bg = a3 * WORK_W * work, b3 * WORK_W * work
        p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = self._p
        v0, v1 = p00 * a0 + p01 * a1 + p02 * a2 + p03 * ag, p01 * a0 + p11 * a1 + p12 * a2 + p13 * ag
        v2, v3 = p02 * a0 + p12 * a1 + p22 * a2 + p23 * ag, p03 * a0 + p13 * a1 + p23 * a2 + p33 * ag
        w0, w1 = p00 * b0 + p01 * b1 + p02 * b2 + p03 * bg, p01 * b0 + p11 * b1 + p12 * b2 + p13 * bg
        w2, w3 = p02 * b0 + p12 * b1 + p22 * b2 + p23 * bg, p03 * b0 + p13 * b1 + p23 * b2 + p33 * bg
        grown = dt_s * (UNSETTLED if unsettled else 1.0)
        self._p = [
            a0 * v0 + a1 * v1 + a2 * v2 + ag * v3 + DIE_VARIANCE * dt_s,
            b0 * v0 + b1 * v1 + b2 * v2 + bg * v3,
            v2,
            v3,
            b0 * w0 + b1 * w1 + b2 * w2 + bg * w3 + CASE_VARIANCE * grown,
            w2,
            w3,
            p22 + AIR_VARIANCE * grown,
            p23,
            p33 + GAIN_VARIANCE * dt_s,
        ]

    def update(self, reading_c: float) -> tuple[float, float]:
        """A reading of now. Returns its score and its information about the die's temperature."""
        difference = abs(reading_c - self._last_c)
        self._last_c = reading_c
        self._noise += 0.005 * (difference * difference / 2 - self._noise)
        if difference > 1e-9:
            self._step_c = min(self._step_c, difference)
        step_c = self._step_c if self._step_c > FINE_C else 0.0
        noise = min(MOST_NOISE, max(LEAST_NOISE, self._noise - step_c * step_c / 12))
        score, info = _scored(reading_c - self.die_c, self._p[0] + noise + MODEL_NOISE, step_c)
        p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = self._p
        self.die_c += p00 * score
        self.case_c += p01 * score
        self.air_c += p02 * score
        self.gain = min(GAIN_RANGE[1], max(GAIN_RANGE[0], self.gain + p03 * score))
        k0, k1, k2, k3 = p00 * info, p01 * info, p02 * info, p03 * info
        self._p = [
            p00 - k0 * p00,
            p01 - k0 * p01,
            p02 - k0 * p02,
            p03 - k0 * p03,
            p11 - k1 * p01,
            p12 - k1 * p02,
            p13 - k1 * p03,
            p22 - k2 * p02,
            p23 - k2 * p03,
            p33 - k3 * p03,
        ]
        return score, info

    def shift(self, rise_k: float, die: float, case: float, sigma_k: float) -> None:
        """The air became `rise_k` +- `sigma_k` warmer some time ago, of which die and case have got these shares by now."""
        self.die_c += rise_k * die
        self.case_c += rise_k * case
        self.air_c += rise_k
        variance = sigma_k * sigma_k
        for place, product in ((0, die * die), (1, die * case), (2, die), (4, case * case), (5, case), (7, 1.0)):
            self._p[place] += variance * product


def _scored(error_c: float, variance: float, step_c: float) -> tuple[float, float]:
    if not step_c:
        return error_c / variance, 1.0 / variance
    sigma = math.sqrt(variance)
    low, high = (error_c - step_c / 2) / sigma, (error_c + step_c / 2) / sigma
    inside = 0.5 * (math.erf(high * _ROOT_HALF) - math.erf(low * _ROOT_HALF))
    if inside < 1e-9:
        info = 1.0 / (variance + step_c * step_c / 12)
        return error_c * info, info
    at_low, at_high = _density(low), _density(high)
    mean = (at_low - at_high) / inside
    return mean / sigma, max(0.0, mean * mean - (low * at_low - high * at_high) / inside) / variance


_ROOT_HALF = math.sqrt(0.5)


def _density(value: float) -> float:
    return math.exp(-0.5 * value * value) / math.sqrt(2 * math.pi)
