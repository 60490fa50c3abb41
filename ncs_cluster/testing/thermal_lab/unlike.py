"""Scenarios that no policy's model has: other physics, sensors that fail, a host that stalls. Here safety is what counts, whatever
the rate: no die far over the limit, no throttling.

Most warm up by 15 K after an hour, when the sticks are at the limit, as `step` does; they end half an hour later.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from ncs_cluster.testing.thermal_lab.plant import Body, Box
from ncs_cluster.testing.thermal_lab.scenario import HOUR_S, Scenario, constant, step
from ncs_cluster.testing.thermal_lab.sensors import Fault, Sensors

FAILS_S, STEP_S = 3000.0, HOUR_S
"""When a sensor fails, and when the air becomes warmer."""


def _warming(sticks: int, size: int, name: str, sensors: Sensors | None = None) -> Scenario:
    made = step(sticks, size)._replace(name=name, until_s=1.75 * HOUR_S, plugged_s=0.0, judged_s=0.25 * HOUR_S)
    return made if sensors is None else made._replace(sensors=sensors)


def package(sticks: int, size: int) -> Scenario:
    """A third mass between die and case."""

    def body(drawn: Body, chance: random.Random) -> Body:
        return drawn._replace(die_j_k=0.5 * drawn.die_j_k, package_j_k=chance.uniform(1.0, 6.0))

    return _warming(sticks, size, "package")._replace(body=body)


def box(sticks: int, size: int) -> Scenario:
    """All stand in a box, whose air is warmer the more they work."""
    return _warming(sticks, size, "box")._replace(box=Box())


def fan(sticks: int, size: int) -> Scenario:
    """A fan takes 40 % of the resistance to the air, and switches every seven minutes."""
    return constant(sticks, size, 38.0, hours=2.0)._replace(
        name="fan", resistance=lambda _, now_s: 0.6 if now_s % 840.0 >= 420.0 else 1.0
    )


def sun(sticks: int, size: int) -> Scenario:
    """For an hour the sun shines on all, on each less than on the one before; it comes and goes at once."""

    def sun_w(stick: int, now_s: float) -> float:
        return 0.7 / (1 + stick) if STEP_S <= now_s < STEP_S + HOUR_S else 0.0

    return constant(sticks, size, 35.0, hours=2.5)._replace(name="sun", sun_w=sun_w, judged_s=900.0)


def onset(sticks: int, size: int) -> Scenario:
    """The firmware of each stick throttles from somewhere between 68 and 90 C on."""
    return _warming(sticks, size, "onset")._replace(body=lambda drawn, chance: drawn._replace(onset_c=chance.uniform(68.0, 90.0)))


def edge(sticks: int, size: int) -> Scenario:
    """Half a step over the last value that a sensor with little noise can read."""
    return _warming(sticks, size, "edge", Sensors(0.1))._replace(limit_c=64.5)


def stall(sticks: int, size: int) -> Scenario:
    """The host stalls for 20 s, once while the air becomes warmer."""
    return _warming(sticks, size, "stall")._replace(stalls=((1000.0, 20.0), (2500.0, 20.0), (STEP_S, 20.0), (STEP_S + 60.0, 20.0)))


def jump(sticks: int, size: int) -> Scenario:
    """The host's clock jumps."""
    jumps = ((700.0, 10.0), (1400.0, 70.0), (2100.0, 3600.0), (2800.0, -30.0), (STEP_S + 20.0, -1000.0))
    return _warming(sticks, size, "jump")._replace(jumps=jumps)


def _sensors(name: str, sensors: Sensors) -> Callable[[int, int], Scenario]:
    return lambda sticks, size: _warming(sticks, size, name, sensors)


def _failing(kind: str, until_s: float = 1e9) -> Callable[[int, int], Scenario]:
    return _sensors(kind, Sensors(faults=(Fault(0, FAILS_S, kind, until_s),)))


UNLIKE: dict[str, Callable[[int, int], Scenario]] = {
    "package": package,
    "box": box,
    "fan": fan,
    "sun": sun,
    "onset": onset,
    "edge": edge,
    "stall": stall,
    "jump": jump,
    "lag": _sensors("lag 5 s", Sensors(lag_s=5.0)),
    "coarse": _sensors("steps of 2 C", Sensors(step_c=2.0)),
    "coarse-quiet": _sensors("steps of 2 C, sigma 0.2", Sensors(0.2, 2.0)),
    "odd-steps": _sensors("steps of 1.1 C", Sensors(step_c=1.1)),
    "fine": _sensors("no steps", Sensors(step_c=0.0)),
    "noisy": _sensors("sigma 1 C", Sensors(1.0, 0.5)),
    "late": _sensors("3 s late, 10 % lost", Sensors(late_s=3.0, lost=0.1)),
    "lost": _sensors("70 % lost", Sensors(lost=0.7)),
    "frozen": _failing("frozen"),
    "stuck": _failing("stuck"),
    "nan": _failing("nan"),
    "lies-low": _failing("lies low"),
    "lies-high": _failing("lies high"),
    "stopped": _failing("stopped"),
    "all-frozen": _sensors("all frozen", Sensors(faults=tuple(Fault(stick, FAILS_S, "frozen") for stick in range(64)))),
    "all-stopped": _sensors("all stopped", Sensors(faults=tuple(Fault(stick, FAILS_S, "stopped") for stick in range(64)))),
}
"""By the name that the bench takes."""
