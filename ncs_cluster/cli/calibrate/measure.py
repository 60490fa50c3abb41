"""Lets the stick rest and work, and keeps every reading."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from ncs_cluster.cli.bench.program import READY_S, Program
from ncs_cluster.cli.calibrate.samples import Measurement, Phase, Sample, measured_s, phases
from ncs_cluster.errors import StickError
from ncs_cluster.messages.calibration import Heated, Measured, OpenHeated

SILENT_S = 60.0
"""Real seconds without a reading after which the stick counts as failed."""
Tell = Callable[[Phase, float, Measured], None]
"""Called for each reading: the phase, the seconds measured so far, the reading."""


def opened(program: Program, opening: OpenHeated) -> Heated:
    """Raises StickError where the stick does not open."""
    program.send(opening)
    until_s = time.monotonic() + READY_S
    while select.select([program.channel.fileno()], [], [], max(0.0, until_s - time.monotonic()))[0]:
        message = program.receive()
        if isinstance(message, Heated):
            return message
    raise StickError("hang", f"it is not open after {READY_S:.0f} s")


def run(
    measurement: Measurement,
    before: list[Sample],
    reading: Callable[[], Measured],
    load: Callable[[bool], None],
    keep: Callable[[Sample], None],
    tell: Tell,
) -> list[Sample]:
    """Measure what `before` lacks; returns all. `reading` waits for the next one, `load` lets the stick work or rest, `keep` is
    called for each new reading."""
    samples, segment = list(before), 1 + max((sample.segment for sample in before), default=-1)
    had_s, first_s, loads = measured_s(before), None, False
    plan = phases(measurement)
    while True:
        measured = reading()
        if measured.temperature_c is not None:
            first_s = measured.at_s if first_s is None else first_s
            sample = Sample(segment, measured.at_s, measured.temperature_c, measured.worked_s, measured.level)
            samples.append(sample)
            keep(sample)
        elif first_s is None:
            continue
        done_s = had_s + measured.at_s - (first_s or 0.0)
        phase = next((each for each in plan if done_s < each.until_s), None)
        if phase is None:
            return samples
        tell(phase, done_s, measured)
        if phase.load != loads:
            loads = phase.load
            load(loads)


def next_reading(program: Program) -> Measured:
    """Raises StickError where none comes."""
    while select.select([program.channel.fileno()], [], [], SILENT_S)[0]:
        message = program.receive()
        if isinstance(message, Measured):
            return message
    raise StickError("hang", f"no reading for {SILENT_S:.0f} s")
