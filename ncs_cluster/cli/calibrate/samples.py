"""The readings of one calibration, and the file that holds them until it is done.

The file has a line of JSON for each: first what is measured, then [segment, at_s, temperature_c, worked_s, level]. A segment is the
time from the opening of the stick to its end or an interruption. Lines are appended as they come, so a command that is killed loses
one at most.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ncs_cluster.errors import ConfigError


class Sample(NamedTuple):
    """One reading. Times are plant seconds since the segment began."""

    segment: int
    at_s: float
    temperature_c: float
    worked_s: float
    level: int


class Measurement(Struct, frozen=True):
    """What is measured. Another command goes on only with the same."""

    stick: str
    backend: str
    graph: str
    idle_s: float
    load_s: float
    limit_c: float
    time_scale: float


class Phase(NamedTuple):
    """A part of the calibration."""

    name: str
    until_s: float
    """Of the time that all segments add up to."""
    load: bool


def phases(measurement: Measurement) -> list[Phase]:
    idle_s, load_s = measurement.idle_s, measurement.load_s
    return [
        Phase("idle", idle_s, False),
        Phase("load", idle_s + load_s, True),
        Phase("idle again", 2 * idle_s + load_s, False),
    ]


def measured_s(samples: list[Sample]) -> float:
    """The time that has been measured: that of all segments."""
    spans: dict[int, list[float]] = {}
    for sample in samples:
        spans.setdefault(sample.segment, []).append(sample.at_s)
    return sum(max(times) - min(times) for times in spans.values())


def load(file: Path, measurement: Measurement) -> list[Sample]:
    """The readings that an interrupted command has left; none where there is no file. Raises ConfigError where they are of another
    measurement."""
    try:
        lines = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    try:
        before = msgspec.json.decode(lines[0], type=Measurement)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{file}: is not the beginning of a calibration; begin anew with --again") from error
    if before != measurement:
        names = [
            name.removesuffix("_s") for name in before.__struct_fields__ if getattr(before, name) != getattr(measurement, name)
        ]
        raise ConfigError(f"{file}: was begun with another {', '.join(names)}; give the same flags, or begin anew with --again")
    found: list[Sample] = []
    for line in lines[1:]:
        try:
            found.append(msgspec.json.decode(line, type=Sample))
        except msgspec.DecodeError:
            # the last line of a command that was killed
            continue
    return found


class Kept:
    """The open file, to which readings are appended."""

    def __init__(self, file: Path, measurement: Measurement, *, begun: bool) -> None:
        """`begun`: goes on behind the readings it has. Raises OSError."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("ab" if begun else "wb", buffering=0)
        # a last line that was cut off ends here
        self._file.write(b"\n" if begun else msgspec.json.encode(measurement) + b"\n")

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, sample: Sample) -> None:
        self._file.write(msgspec.json.encode(sample) + b"\n")
