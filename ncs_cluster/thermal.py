"""The thermal model of a stick: a two-node RC model, the firmware's throttle, and the sensor's error. Pure; time is an argument.

    power --> die (C1) --R1--> case (C2) --R2--> ambient

The values agree with what users report of sticks (about 60 C after an hour of a 0.9 W stick, throttling at 70 to 75 C); they are
not measured. Seconds are model seconds: a caller that speeds up heat passes scaled seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

AMBIENT_C = 25.0

LEVEL_1_C, LEVEL_2_C = 70.0, 75.0
RELEASE_K = 3.0
"""A throttle level ends this far below the temperature at which it began."""
REST_S = (0.0, 0.1, 10.0)
"""The firmware's pause after each inference at level 0, 1, 2."""


class Heat(NamedTuple):
    """The temperatures of the two nodes, in C."""

    die_c: float
    case_c: float


class Plant(NamedTuple):
    """One stick in still air. Resistances in K/W, capacities in J/K, powers in W. Time constants about 45 s and 390 s."""

    die_j_k: float = 2.5
    die_case_k_w: float = 18.0
    case_j_k: float = 30.0
    case_air_k_w: float = 13.0
    idle_w: float = 0.45
    work_w: float = 1.35
    """Added at full utilisation."""

    def power_w(self, utilisation: float) -> float:
        """Power drawn at a utilisation of 0..1."""
        return self.idle_w + self.work_w * utilisation

    def steady(self, utilisation: float, ambient_c: float) -> Heat:
        """The steady state at this utilisation and ambient temperature."""
        power_w = self.power_w(utilisation)
        case_c = ambient_c + self.case_air_k_w * power_w
        return Heat(case_c + self.die_case_k_w * power_w, case_c)

    def step(self, heat: Heat, dt_s: float, utilisation: float, ambient_c: float) -> Heat:
        """The state after `dt_s` at constant utilisation and ambient: the exact solution, so any step is stable.

        With x the distance from the steady state, x' = A x and x(t) = exp(A t) x(0). A is 2x2 with two real negative
        eigenvalues l1 > l2, hence exp(A t) = f0 I + f1 A (Cayley-Hamilton).
        """
        end = self.steady(utilisation, ambient_c)
        a = -1 / (self.die_case_k_w * self.die_j_k)
        b = -a
        c = 1 / (self.die_case_k_w * self.case_j_k)
        d = -c - 1 / (self.case_air_k_w * self.case_j_k)
        middle, spread = (a + d) / 2, math.sqrt((a - d) ** 2 / 4 + b * c)
        l1, l2 = middle + spread, middle - spread
        e1, e2 = math.exp(l1 * dt_s), math.exp(l2 * dt_s)
        f1 = (e1 - e2) / (l1 - l2)
        f0 = e1 - l1 * f1
        die_k, case_k = heat.die_c - end.die_c, heat.case_c - end.case_c
        return Heat(
            end.die_c + f0 * die_k + f1 * (a * die_k + b * case_k),
            end.case_c + f0 * case_k + f1 * (c * die_k + d * case_k),
        )


def different(figures: Mapping[str, float]) -> Plant:
    """The usual stick but for these figures, by field of Plant. Raises ValueError."""
    for name, value in figures.items():
        if name not in Plant._fields:
            raise ValueError(f"plant: there is no {name!r}, but {', '.join(Plant._fields)}")
        if not 0 < value < math.inf:
            raise ValueError(f"plant: {name} must be more than 0")
    return Plant()._replace(**figures)


def throttle_level(level: int, die_c: float) -> int:
    """The next throttle level 0..2, from the present level and the die's temperature.

    0 --70--> 1 --75--> 2       rises at once, by two levels where needed
    0 <--67-- 1 <--72-- 2
    """
    if die_c >= LEVEL_2_C or (level == 2 and die_c > LEVEL_2_C - RELEASE_K):
        return 2
    if die_c >= LEVEL_1_C or (level >= 1 and die_c > LEVEL_1_C - RELEASE_K):
        return 1
    return 0


def sensor_reading(true_c: float, error_c: float = 0.0, step_c: float = 1.0) -> float:
    """The reading of a sensor, in C: `true_c` plus the error of this reading, rounded to steps of `step_c` (0: not rounded).

    Real sensors: errors of about 0.4 (sigma), steps of 0.5 to 1.1.
    """
    value = true_c + error_c
    return round(value / step_c) * step_c if step_c else value
