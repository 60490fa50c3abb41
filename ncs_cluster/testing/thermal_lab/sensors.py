"""What the sensors of a trial tell: errors, steps, lag, faults, and readings that come late or not at all."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

LYING = {"lies low": -89.7, "lies high": 255.0, "nan": math.nan}
"""What a sensor with such a fault says."""


class Fault(NamedTuple):
    """From `from_s` to `until_s` the sensor of this stick fails."""

    stick: int
    from_s: float
    kind: str
    """One of LYING; "frozen": the last reading again and again; "stuck": the die seems to keep its temperature, with error and
    rounding; "stopped": no reading comes."""
    until_s: float = math.inf


class Sensors(NamedTuple):
    """Each reading is the die's temperature plus a normal error, rounded to the sensor's step."""

    error_c: float = 0.4
    """Sigma."""
    step_c: float = 1.0
    """0: not rounded."""
    lag_s: float = 0.0
    """Time constant with which the sensor follows the die."""
    late_s: float = 0.0
    """A reading arrives up to so much later than it was taken, and nobody is told how much."""
    lost: float = 0.0
    """The share of readings that never arrive."""
    faults: tuple[Fault, ...] = ()

    def reading(self, die_c: float, chance: random.Random) -> float:
        """The reading of a sensor that works, in C."""
        value_c = die_c + chance.gauss(0.0, self.error_c)
        return round(value_c / self.step_c) * self.step_c if self.step_c else value_c


class Sensor:
    """The sensor of one stick. Its lag begins at `die_c`."""

    def __init__(self, kind: Sensors, stick: int, die_c: float, chance: random.Random) -> None:
        self._kind, self._chance = kind, chance
        self._faults = [fault for fault in kind.faults if fault.stick == stick]
        self._seen_c = self._stuck_c = self._last_c = die_c
        self._arrived_s = -math.inf

    def read(self, die_c: float, now_s: float, since_s: float) -> tuple[float, float] | None:
        """A reading of now, `since_s` after the last one: what it says in C, and when it arrives. None: it never does."""
        kind = self._kind
        self._seen_c = die_c + (self._seen_c - die_c) * math.exp(-since_s / kind.lag_s) if kind.lag_s else die_c
        fault = next((each.kind for each in self._faults if each.from_s <= now_s < each.until_s), "")
        if fault != "stuck":
            self._stuck_c = self._seen_c
        value_c = kind.reading(self._stuck_c, self._chance)
        if fault == "frozen":
            value_c = self._last_c
        self._last_c = value_c
        late_s = self._chance.uniform(0.0, kind.late_s) if kind.late_s else 0.0
        if fault == "stopped" or (kind.lost and self._chance.random() < kind.lost):
            return None
        self._arrived_s = max(self._arrived_s, now_s + late_s)
        return LYING.get(fault, value_c), self._arrived_s
