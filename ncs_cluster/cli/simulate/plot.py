"""Trials as a picture: temperatures and work over the hours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ncs_cluster.cli.simulate.command import Simulated
from ncs_cluster.render.chart import Lines, Series, Value, draw, encoded, ticks
from ncs_cluster.testing.thermal_lab.plant import INFERENCE_S
from ncs_cluster.testing.thermal_lab.scenario import HOUR_S

COLOURS = ((178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204), (0, 159, 230), (233, 180, 86))
"""Blue, vermilion, green, purple, orange, sky: six that colour-blind people can tell apart (Okabe and Ito)."""
POINTS = 240
Second = tuple[list[float], list[float]]
"""The dies' temperatures, the shares of time at work."""


def png(done: Sequence[Simulated], title: str) -> bytes:
    """A PNG file: of one policy its sticks, of several the hottest die and the rate of each."""
    first = done[0]
    story = first.trial.scenario
    if len(done) > 1:
        hottest = {each.policy: (each, of(0, max)) for each in done}
        rates = {each.policy: (each, of(1, sum, 1 / INFERENCE_S)) for each in done}
        panels = [_lines("Hottest die", "°C", hottest), _lines("Rate", "inferences per second", rates)]
    else:
        panels = [
            _lines(f"Dies under {first.policy}", "°C", {name: (first, of(0, pick)) for name, pick in _sticks(first)}),
            _lines("Share of time at work", "percent", {name: (first, of(1, pick, 100.0)) for name, pick in _sticks(first)}),
        ]
    switches = ", ".join(f"{each.policy} {each.result.switches}" for each in done)
    notes = [
        f"Temperatures: highest of each interval, limit {story.limit_c:g} °C; rates, shares: its mean. Switches: {switches}.",
        "A simulation: how a real stick warms and cools is a guess that agrees with what users report.",
    ]
    return encoded(draw(panels, title, notes))


def of(part: int, pick: Callable[[list[float]], float], factor: float = 1.0) -> Callable[[Second], float]:
    """One figure of a second: `part` 0 of the temperatures, 1 of the work."""
    return lambda second: pick(second[part]) * factor


def _sticks(each: Simulated) -> list[tuple[str, Callable[[list[float]], float]]]:
    """Each stick where there are few, else the highest, the mean and the lowest."""
    count = each.trial.scenario.sticks
    if count <= len(COLOURS):
        return [(f"stick {number + 1}", lambda values, at=number: values[at]) for number in range(count)]  # type: ignore[misc]
    return [("highest", max), ("mean", lambda values: sum(values) / len(values)), ("lowest", min)]


def _lines(title: str, unit: str, figures: dict[str, tuple[Simulated, Callable[[Second], float]]]) -> Lines:
    series = []
    for (label, (each, figure)), colour in zip(figures.items(), COLOURS, strict=False):
        trace, hottest = each.trial.trace, unit == "°C"
        wide = max(1, len(trace) // POINTS)
        points = []
        for first in range(0, len(trace), wide):
            part = [figure((dies, work)) for _, dies, work in trace[first : first + wide]]
            value = max(part) if hottest else sum(part) / len(part)
            points.append((trace[min(first + wide, len(trace)) - 1][0] / HOUR_S, Value(value, value, value)))
        series.append(Series(label, colour, points, marked=False))
    return Lines(title, "hours", unit, series, ticks(max(x for each in series for x, _ in each.points)))
