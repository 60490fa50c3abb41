"""Readings, fit and work over the time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ncs_cluster.cli.calibrate.samples import Sample
from ncs_cluster.render.chart import Lines, Series, Value, draw, encoded, ticks

READ, FITTED, WORK = (178, 114, 0), (0, 94, 213), (115, 158, 0)
"""Blue, vermilion, green: colour-blind people can tell them apart (Okabe and Ito)."""
POINTS = 600


def png(samples: Sequence[Sample], fitted_c: Sequence[float], title: str, note: str) -> bytes:
    """A PNG file. `fitted_c`: the fit's temperature at each sample; empty where there is no fit."""
    minutes = _minutes(samples)
    read = _points(minutes, [sample.temperature_c for sample in samples])
    lines = [Series("readings", READ, read, marked=False)]
    if len(fitted_c):
        lines.append(Series("fit", FITTED, _points(minutes, fitted_c), marked=False))
    places = ticks(max(minutes, default=1.0))
    shares = _points(minutes, [100.0 * share for share in _shares(samples)])
    panels = [
        Lines("Temperature", "minutes", "°C", lines, places),
        Lines("Share of time at work", "minutes", "percent", [Series("work", WORK, shares, marked=False)], places),
    ]
    return encoded(draw(panels, title, [note]))


def _minutes(samples: Sequence[Sample]) -> list[float]:
    """Of the time that was measured: segments follow one another."""
    found: list[float] = []
    begun_s, first_s, segment = 0.0, 0.0, None
    for sample in samples:
        if sample.segment != segment:
            begun_s, first_s, segment = found[-1] * 60 if found else 0.0, sample.at_s, sample.segment
        found.append((begun_s + sample.at_s - first_s) / 60)
    return found


def _shares(samples: Sequence[Sample]) -> list[float]:
    found = [0.0]
    for before, sample in pairwise(samples):
        if before.segment != sample.segment:
            found.append(found[-1])
            continue
        found.append(min(1.0, (sample.worked_s - before.worked_s) / max(1e-6, sample.at_s - before.at_s)))
    return found


def _points(minutes: Sequence[float], values: Sequence[float]) -> list[tuple[float, Value]]:
    """Means of so many samples that there are not more than POINTS."""
    wide = max(1, len(values) // POINTS)
    points = []
    for first in range(0, len(values), wide):
        part = values[first : first + wide]
        mean = sum(part) / len(part)
        points.append((minutes[min(first + wide, len(minutes)) - 1], Value(mean, mean, mean)))
    return points
