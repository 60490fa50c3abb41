"""Fits a stick's thermal figures to readings: two time constants and two rises.

The two-node model of `ncs_cluster.thermal` is a sum of two first-order systems. With u the share of time at work,

    reading = level + sum over segments of (a exp(-t / fast) + b exp(-t / slow)) + g z(fast) + h z(slow)
    z(tau)' = (u - z) / tau,  z = 0 at the begin of a segment

u is shifted by the delay of DELAYS_S that fits best. Everything but `fast` and `slow` is linear then: linear least squares inside,
Gauss-Newton with Levenberg's damping in the logarithms of the two (variable projection, Golub and Pereyra, SIAM J. Numer. Anal. 10,
1973). The sums become the ladder die, case, air by dividing its impedance g / (1 + s fast) + h / (1 + s slow), in K by full work,
as a continued fraction (Cauer's form):

    1 / (s C1 + 1 / (R1 + 1 / (s C2 + 1 / R2))),  R1, R2: rises in K by full work,  R1 C1, R2 C2: time constants

Errors are those of the linearised fit, larger where residuals follow one another: by the root of (1 + r) / (1 - r), r their
correlation with the next one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ncs_cluster.cli.calibrate.samples import Sample
from ncs_cluster.specs import DieFigures

Values = NDArray[np.floating[Any]]
LEAST_SAMPLES, LEAST_RISE_K = 100, 4.0
FAST_S, SLOW_S, APART = (5.0, 200.0), (60.0, 4000.0), 1.5
"""Where time constants are looked for, and by which factor they differ at least."""
STEPS = 14
DELAYS_S = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)
"""Of a sensor that follows slowly, and of work that begins later than the host hands it over."""
MOST_ERROR = 0.25
"""Relative; a figure that is less certain says nothing."""


class Figure(Struct, frozen=True):
    """A value and its standard deviation."""

    value: float
    sigma: float


class Fit(Struct, frozen=True):
    """What was found. Rises are those by full work, K; the level is where the die settles at rest, C."""

    die_rise_k: Figure
    die_s: Figure
    case_rise_k: Figure
    case_s: Figure
    fast_s: Figure
    """Time constants of the whole, in which both nodes take part."""
    slow_s: Figure
    idle_c: Figure
    noise_c: float
    """Standard deviation of a reading."""
    delay_s: float
    """By which readings show the work later than it was counted."""

    @property
    def figures(self) -> DieFigures:
        die_k, die_s, case_k, case_s = found = (self.die_rise_k, self.die_s, self.case_rise_k, self.case_s)
        sigma = max(each.sigma / each.value for each in found)
        return DieFigures(die_k.value, die_s.value, case_k.value, case_s.value, sigma)


class Unfit(Exception):
    """The readings do not tell the figures; says why."""


class _Segment(NamedTuple):
    times_s: Values
    shares: Values
    """Of the time since the reading before."""


def fit(samples: list[Sample]) -> tuple[Fit, Values]:
    """The figures, and the fitted temperatures at the samples. Raises Unfit."""
    segments, readings_c = _segments(samples)
    if len(readings_c) < LEAST_SAMPLES:
        raise Unfit(f"only {len(readings_c)} readings; at least {LEAST_SAMPLES} are needed")
    work_s = sum(float(np.sum(np.diff(each.times_s, prepend=each.times_s[0]) * each.shares)) for each in segments)
    if work_s < 30.0:
        raise Unfit("the stick has hardly worked; let it work for longer with --load")
    if float(np.ptp(readings_c)) < LEAST_RISE_K:
        raise Unfit(f"readings differ by {np.ptp(readings_c):.1f} K only: its sensor does not see the work")
    start = _best_start(segments, readings_c)
    tried = []
    for delay_s in DELAYS_S:
        segments, _ = _segments(samples, delay_s)
        at = _refined(start, segments, readings_c)
        left = _left(at, segments, readings_c)
        tried.append((float(left @ left), delay_s, at))
    _, delay_s, at = min(tried, key=lambda each: each[0])
    segments, _ = _segments(samples, delay_s)
    design = _design(at, segments)
    linear = np.linalg.lstsq(design, readings_c, rcond=None)[0]
    fitted = design @ linear
    whole = np.column_stack([_slopes(at, linear, segments), design])
    left = readings_c - fitted
    noise = float(np.sqrt(left @ left / max(1, len(left) - whole.shape[1])))
    covariance = np.linalg.pinv(whole.T @ whole) * noise**2 * _following(left)
    return _found(at, linear, covariance, noise, delay_s), fitted


def ladder(fast_s: float, slow_s: float, by_fast_k: float, by_slow_k: float) -> tuple[float, float, float, float]:
    """Rise and time constant of the die over the case, and of the case over the air: Cauer's form of two first-order systems."""
    total, cross = by_fast_k + by_slow_k, by_fast_k * slow_s + by_slow_k * fast_s
    die_c = fast_s * slow_s / cross
    rest_s = fast_s + slow_s - die_c * total
    die_r = cross / rest_s
    case_r = total - die_r
    return die_r, die_r * die_c, case_r, rest_s


def _segments(samples: list[Sample], delay_s: float = 0.0) -> tuple[list[_Segment], Values]:
    """The work of each segment as readings show it, `delay_s` later; and the readings of all, C."""
    found, readings = [], []
    for number in sorted({sample.segment for sample in samples}):
        part = [sample for sample in samples if sample.segment == number]
        if len(part) < 10:
            continue
        times_s = np.array([sample.at_s for sample in part])
        worked_s = np.array([sample.worked_s for sample in part])
        shown_s = np.interp(times_s - delay_s, times_s, worked_s)
        spans_s = np.maximum(np.diff(times_s, prepend=times_s[0] - 1.0), 1e-6)
        # more than 1 where an inference ends that began before the last reading: only their sum is exact
        shares = np.diff(shown_s, prepend=shown_s[0]) / spans_s
        found.append(_Segment(times_s - times_s[0], shares))
        readings += [sample.temperature_c for sample in part]
    return found, np.array(readings)


def _driven(tau_s: float, segment: _Segment) -> Values:
    """z of the docstring."""
    kept = np.exp(-np.diff(segment.times_s, prepend=segment.times_s[0]) / tau_s).tolist()
    value, values = 0.0, []
    for keeps, share in zip(kept, segment.shares.tolist(), strict=True):
        value = value * keeps + share * (1.0 - keeps)
        values.append(value)
    return np.array(values)


def _design(at: Values, segments: list[_Segment]) -> Values:
    """Columns: level, of each segment what it begins with, and what is driven by work; fast before slow."""
    rows = sum(len(each.times_s) for each in segments)
    design = np.zeros((rows, 3 + 2 * len(segments)))
    design[:, 0] = 1.0
    first = 0
    for number, segment in enumerate(segments):
        here = slice(first, first + len(segment.times_s))
        first = here.stop
        for place, tau_s in enumerate(np.exp(at)):
            design[here, 3 + 2 * number + place] = np.exp(-segment.times_s / tau_s)
            design[here, 1 + place] = _driven(float(tau_s), segment)
    return design


def _left(at: Values, segments: list[_Segment], readings_c: Values) -> Values:
    design = _design(at, segments)
    left: Values = readings_c - design @ np.linalg.lstsq(design, readings_c, rcond=None)[0]
    return left


def _best_start(segments: list[_Segment], readings_c: Values) -> Values:
    fasts, slows = np.geomspace(*FAST_S, STEPS), np.geomspace(*SLOW_S, STEPS)
    pairs = [np.log([fast, slow]) for fast in fasts for slow in slows if slow > APART * fast]
    every = max(1, len(readings_c) // 400)
    thin = [_Segment(each.times_s, each.shares) for each in segments]

    def cost(at: Values) -> float:
        design, wanted = _design_cached(at, thin, columns)[::every], readings_c[::every]
        left = wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0]
        return float(left @ left)

    columns: dict[float, Values] = {}
    return min(pairs, key=cost)


def _design_cached(at: Values, segments: list[_Segment], columns: dict[float, Values]) -> Values:
    """As _design; what belongs to one time constant is computed once."""
    parts = []
    for log_s in at.tolist():
        if log_s not in columns:
            both = _design(np.array([log_s, log_s]), segments)
            columns[log_s] = both[:, 1::2]
        parts.append(columns[log_s])
    return np.column_stack([np.ones(len(parts[0])), *parts])


def _refined(at: Values, segments: list[_Segment], readings_c: Values) -> Values:
    damping, left = 1e-3, _left(at, segments, readings_c)
    for _ in range(40):
        slopes = np.column_stack([(_left(at + step, segments, readings_c) - left) / 1e-4 for step in 1e-4 * np.eye(2)])
        normal = slopes.T @ slopes
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)) + 1e-12 * np.eye(2), -slopes.T @ left)
        moved = np.clip(at + np.clip(step, -0.5, 0.5), *np.log([(FAST_S[0], SLOW_S[0]), (FAST_S[1], SLOW_S[1])]))
        if moved[1] - moved[0] < math.log(APART):
            damping *= 10.0
            continue
        tried = _left(moved, segments, readings_c)
        if tried @ tried >= left @ left:
            damping *= 10.0
            if damping > 1e6:
                break
            continue
        at, left, damping = moved, tried, max(1e-9, damping / 10.0)
        if float(np.abs(step).max()) < 1e-5:
            break
    return at


def _slopes(at: Values, linear: Values, segments: list[_Segment]) -> Values:
    return np.column_stack(
        [(_design(at + step, segments) - _design(at - step, segments)) @ linear / 2e-4 for step in 1e-4 * np.eye(2)]
    )


def _following(left: Values) -> float:
    """By how much the variance of the figures is larger because residuals follow one another."""
    power = float(left @ left)
    alike = min(0.99, max(0.0, float(left[1:] @ left[:-1]) / power)) if power > 0.0 else 0.0
    return (1.0 + alike) / (1.0 - alike)


def _found(at: Values, linear: Values, covariance: Values, noise: float, delay_s: float) -> Fit:
    """Figures and errors; unknowns are log fast, log slow, level, by fast, by slow, ..."""
    unknowns = np.array([at[0], at[1], linear[0], linear[1], linear[2]])
    covariance = covariance[:5, :5]

    def derived(values: Values) -> Values:
        fast_s, slow_s = math.exp(values[0]), math.exp(values[1])
        return np.array([*ladder(fast_s, slow_s, values[3], values[4]), fast_s, slow_s, values[2]])

    values = derived(unknowns)
    if linear[1] <= 0.0 or linear[2] <= 0.0 or not (np.isfinite(values).all() and (values[:4] > 0.0).all()):
        raise Unfit("no die and case would warm and cool like this; keep the air still, and measure for longer")
    slopes = np.column_stack([(derived(unknowns + step) - derived(unknowns - step)) / 2e-5 for step in 1e-5 * np.eye(5)])
    sigmas = np.sqrt(np.maximum(0.0, np.diag(slopes @ covariance @ slopes.T)))
    if (sigmas[:4] > MOST_ERROR * values[:4]).any() or at[1] >= math.log(SLOW_S[1]) - 1e-6:
        raise Unfit("the figures are not certain to a quarter of their value; keep the air still, and measure for longer")
    figures = [Figure(round(float(value), 3), round(float(sigma), 3)) for value, sigma in zip(values, sigmas, strict=True)]
    die_k, die_s, case_k, case_s, fast, slow, idle = figures
    return Fit(die_k, die_s, case_k, case_s, fast, slow, idle, round(noise, 3), delay_s)
