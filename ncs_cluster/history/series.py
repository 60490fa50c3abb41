"""What a history holds of a status: figures by series, and the minutes they are summed up to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ncs_cluster.status import Status


class Series(NamedTuple):
    """One figure over time."""

    kind: str
    """A name of KINDS."""
    name: str
    """Of the stick, camera, intake or pool; empty where there is one only."""


class Kind(NamedTuple):
    unit: str
    sentence: str


KINDS = {
    "temperature": Kind("°C", "of a stick's die"),
    "rate": Kind("/s", "inferences of a stick"),
    "camera": Kind("/s", "results of a camera"),
    "intake": Kind("/s", "answers to other programs"),
    "asked": Kind("/s", "inferences that the live cameras ask for"),
    "capacity": Kind("/s", "inferences that the sticks can sustain"),
    "switches": Kind("", "switches of clusters"),
    "air": Kind("°C", "of the air, by the sensor of [ambient]"),
    "cpu": Kind("%", "of all cores of the machine"),
    "memory": Kind("MB", "in use on the machine"),
}


class Minute(NamedTuple):
    """A series in one minute."""

    series: Series
    ended_s: float
    """Monotonic clock: the wall clock of a machine without a battery is wrong until the network has set it."""
    low: float
    mean: float
    high: float


def figures(status: Status) -> Iterator[tuple[Series, float]]:
    """The figures of a status; `switches` is a counter. What is unknown is left out."""
    for stick in status.sticks:
        if stick.temperature_c is not None:
            yield Series("temperature", stick.id), stick.temperature_c
        if stick.pid is not None:
            yield Series("rate", stick.id), stick.fps
    for camera in status.cameras:
        yield Series("camera", camera.name), camera.detection_fps
    for intake in status.intakes:
        yield Series("intake", intake.name), intake.fps
    if (load := status.load) is not None:
        if load.asked_fps is not None:
            yield Series("asked", ""), load.asked_fps
        if load.capacity_fps is not None:
            yield Series("capacity", ""), load.capacity_fps
    yield Series("switches", ""), float(status.clusters.switches)
    if (machine := status.machine) is not None:
        if machine.ambient_c is not None:
            yield Series("air", ""), machine.ambient_c
        yield Series("cpu", ""), machine.cpu_percent
        yield Series("memory", ""), machine.memory_used_mb


class _Sum:
    __slots__ = ("count", "high", "low", "total")

    def __init__(self) -> None:
        self.low, self.high, self.total, self.count = float("inf"), float("-inf"), 0.0, 0

    def add(self, value: float) -> None:
        self.low, self.high = min(self.low, value), max(self.high, value)
        self.total += value
        self.count += 1


class Minutes:
    """Sums up statuses to minutes. `now_s`: the monotonic clock."""

    def __init__(self) -> None:
        self._sums: dict[Series, _Sum] = {}
        self._began_s: float | None = None
        self._switches: float | None = None
        """The counter at the beginning of the minute."""

    def add(self, status: Status, now_s: float) -> list[Minute]:
        """The minute that has ended with this status; empty within a minute."""
        done = []
        if self._began_s is None:
            self._began_s = now_s
        elif now_s - self._began_s >= 60.0:
            done = self.end(now_s)
        for series, value in figures(status):
            if series.kind == "switches":
                self._count(series, value)
            else:
                self._sums.setdefault(series, _Sum()).add(value)
        return done

    def end(self, now_s: float) -> list[Minute]:
        """What there is of the present minute."""
        done = [
            Minute(series, now_s, round(each.low, 2), round(each.total / each.count, 2), round(each.high, 2))
            for series, each in self._sums.items()
        ]
        self._sums = {}
        self._began_s = now_s
        return done

    def _count(self, series: Series, value: float) -> None:
        before, self._switches = self._switches, value
        if before is not None and value > before:
            every = self._sums.setdefault(series, _Sum())
            every.low = every.high = every.total = (every.total if every.count else 0.0) + value - before
            every.count = 1
