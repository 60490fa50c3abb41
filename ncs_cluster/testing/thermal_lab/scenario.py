"""What happens to the sticks in a trial: the air's temperature, a stick that is plugged in or covered, sun, stalls of the host."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

from ncs_cluster.testing.thermal_lab.plant import Body, Box
from ncs_cluster.testing.thermal_lab.sensors import Sensors


def _unchanged(body: Body, chance: random.Random) -> Body:
    return body


def _open_air(stick: int, now_s: float) -> float:
    return 1.0


def _shade(stick: int, now_s: float) -> float:
    return 0.0


class Scenario(NamedTuple):
    """The story of one trial, the same for every policy."""

    name: str
    sticks: int
    cluster_size: int
    air_c: Callable[[float], float]
    """The air's temperature in C at a plant second."""
    until_s: float
    limit_c: float = 65.0
    plugged_s: float = 0.0
    """The last stick is plugged in then, as cold as the air; 0: it is there from the start."""
    parameters: float = 0.2
    """The sticks' figures differ from the usual ones by up to this share."""
    sensors: Sensors = Sensors()
    body: Callable[[Body, random.Random], Body] = _unchanged
    """What is made of each stick that was drawn."""
    box: Box | None = None
    """All stand in one; `air_c` is that around it."""
    resistance: Callable[[int, float], float] = _open_air
    """By which factor a stick's resistance to the air is larger than it was drawn, at a plant second. No dynamic bound knows it."""
    sun_w: Callable[[int, float], float] = _shade
    """What the sun gives to a stick's case, W. No bound knows it."""
    stalls: tuple[tuple[float, float], ...] = ()
    """When and for how long nothing is read and nothing decided; sticks work on as they did."""
    jumps: tuple[tuple[float, float], ...] = ()
    """When the host's clock jumps, and by how many seconds."""
    judged_s: float = 1800.0
    """The rate of the last so many seconds is compared with the steady bound."""

    def powered(self, stick: int, now_s: float) -> bool:
        return stick < self.sticks - 1 or now_s >= self.plugged_s


HOUR_S = 3600.0


def constant(sticks: int, cluster_size: int, air_c: float, *, hours: float = 1.0) -> Scenario:
    """The air stays as it is."""
    return Scenario(f"{air_c:g} C", sticks, cluster_size, lambda _: air_c, hours * HOUR_S, judged_s=hours * HOUR_S / 3)


def step(sticks: int, cluster_size: int, air_c: float = 25.0, *, rise_k: float = 15.0, ramp_s: float = 0.0) -> Scenario:
    """The air is `rise_k` warmer after an hour, at once or over `ramp_s`; half an hour later a cold stick is plugged in; the trial
    ends after two and a half hours."""

    def air(now_s: float) -> float:
        since_s = now_s - HOUR_S
        if since_s < 0:
            return air_c
        return air_c + rise_k * (min(1.0, since_s / ramp_s) if ramp_s else 1.0)

    how = f"over {ramp_s / 60:g} min" if ramp_s else "at once"
    name = f"{air_c:g} C, +{rise_k:g} K {how}"
    return Scenario(name, sticks, cluster_size, air, 2.5 * HOUR_S, plugged_s=1.5 * HOUR_S)


def covering(sticks: int, cluster_size: int, air_c: float = 40.0, *, factor: float = 2.0) -> Scenario:
    """The first stick is covered after an hour; another hour follows."""
    name = f"{air_c:g} C, one stick covered (x {factor:g})"

    def resistance(stick: int, now_s: float) -> float:
        return factor if stick == 0 and now_s >= HOUR_S else 1.0

    return Scenario(name, sticks, cluster_size, lambda _: air_c, 2 * HOUR_S, resistance=resistance, judged_s=HOUR_S / 2)


def heat_wave(sticks: int, cluster_size: int, air_c: float = 25.0, *, rise_k: float = 15.0) -> Scenario:
    """Warm-up for half an hour; within an hour the air becomes `rise_k` warmer and cools again, as a half sine; another hour."""

    def air(now_s: float) -> float:
        share = (now_s - HOUR_S / 2) / HOUR_S
        return air_c + (rise_k * math.sin(math.pi * share) if 0 < share < 1 else 0.0)

    return Scenario(f"heat wave {air_c:g} to {air_c + rise_k:g} C", sticks, cluster_size, air, 2.5 * HOUR_S, judged_s=HOUR_S / 2)
