"""The physics: N sticks beside each other on a hub, in still air. A linear network of heat capacities and resistances.

    power_i -> die_i --R1-- case_i --R2-- air        case_i -- case_i+1, case_i -- hub -- air

With C the capacities, G the matrix of conductances, g those to the air:  C x' = -G x + g air + power.  C^-1/2 G C^-1/2 is
symmetric, so the step over any time is exact by its eigenvalues. Temperatures in C, resistances in K/W, capacities in J/K, powers
in W.

Figures of a stick agree with what users report; none of them is measured. The firmware's throttle: level 1 from 70 C on adds a
pause of 0.1 s to each inference, level 2 from 75 C on one of 10 s; a level ends 3 K lower.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]

INFERENCE_S = 0.05
"""One inference of a stick that is not throttled."""
CASE_CASE_W_K, CASE_HUB_W_K, HUB_AIR_W_K, HUB_J_K = 0.015, 0.012, 0.15, 60.0
PAUSE_S = (0.0, 0.1, 10.0)
"""The firmware's pause after each inference at throttle level 0, 1, 2."""
RELEASE_K = 3.0


class Body(NamedTuple):
    """One stick."""

    die_case_k_w: float = 18.0
    die_j_k: float = 2.5
    case_air_k_w: float = 13.0
    case_j_k: float = 30.0
    idle_w: float = 0.45
    work_w: float = 1.35
    """Added at full work."""
    onset_c: float = 70.0
    """Where throttle level 1 begins; level 2 begins 5 K higher."""
    package_j_k: float = 0.0
    """A third mass half-way between die and case; 0: there is none."""


class Box(NamedTuple):
    """What sticks and hub stand in: its air is between them and the air outside. Figures are for one stick; more have more."""

    j_k: float = 60.0
    air_k_w: float = 4.0


def spread(count: int, share: float, chance: random.Random) -> list[Body]:
    """Sticks whose figures each differ from the usual ones by up to `share`, evenly distributed."""
    usual = Body()
    varied = usual._fields[:6]
    return [Body(*(getattr(usual, name) * (1 + chance.uniform(-share, share)) for name in varied)) for _ in range(count)]


class Network:
    """The linear part. Nodes: N dies, N cases, the hub; where there are such, the packages and the box."""

    def __init__(self, bodies: Sequence[Body], box: Box | None = None) -> None:
        count = self.count = len(bodies)
        self.idle_w = np.array([body.idle_w for body in bodies])
        self.work_w = np.array([body.work_w for body in bodies])
        hub = 2 * count
        packages = [number for number, body in enumerate(bodies) if body.package_j_k]
        self.package = {number: hub + 1 + place for place, number in enumerate(packages)}
        """The node of a stick's package."""
        nodes = self.nodes = hub + 1 + len(packages) + (box is not None)
        conductance, to_air = np.zeros((nodes, nodes)), np.zeros(nodes)

        def connect(one: int, other: int, w_k: float) -> None:
            conductance[one, one] += w_k
            conductance[other, other] += w_k
            conductance[one, other] -= w_k
            conductance[other, one] -= w_k

        for number, body in enumerate(bodies):
            if number in self.package:
                connect(number, self.package[number], 2 / body.die_case_k_w)
                connect(self.package[number], count + number, 2 / body.die_case_k_w)
            else:
                connect(number, count + number, 1 / body.die_case_k_w)
            connect(count + number, hub, CASE_HUB_W_K)
            if number:
                connect(count + number - 1, count + number, CASE_CASE_W_K)
            to_air[count + number] = 1 / body.case_air_k_w
        to_air[hub] = HUB_AIR_W_K
        capacity = np.array(
            [body.die_j_k for body in bodies]
            + [body.case_j_k for body in bodies]
            + [HUB_J_K]
            + [bodies[number].package_j_k for number in packages]
            + ([] if box is None else [box.j_k * count])
        )
        if box is not None:
            for node in range(hub + 1):
                connect(node, nodes - 1, to_air[node])
            to_air = np.zeros(nodes)
            to_air[nodes - 1] = count / box.air_k_w
        conductance += np.diag(to_air)
        root = np.sqrt(capacity)
        self._decay_per_s, vectors = np.linalg.eigh(conductance / np.outer(root, root))
        self._into, self._out = vectors.T * root, vectors / root[:, None]
        self._resistance: Values = np.linalg.inv(conductance)
        self._steps: dict[float, tuple[Values, Values, Values]] = {}

    def die_k_w(self) -> Values:
        """(N, N): the rise of each die in K for each watt of each stick, in the steady state."""
        rise: Values = self._resistance[: self.count, : self.count]
        return rise

    def step_matrices(self, dt_s: float) -> tuple[Values, Values, Values]:
        """E (nodes, nodes), K and S (nodes, N): x(t + dt) = E x(t) + K power + S sun + (1 - E 1) air, all constant meanwhile; the
        sun warms the cases."""
        key = round(dt_s, 6)
        if key not in self._steps:
            kept = (self._out * np.exp(-self._decay_per_s * dt_s)) @ self._into
            driven = (np.eye(len(kept)) - kept) @ self._resistance
            self._steps[key] = kept, driven[:, : self.count], driven[:, self.count : 2 * self.count]
        return self._steps[key]


class Plant:
    """The sticks' temperatures and throttle levels as time goes on. All begin at `air_c`."""

    def __init__(self, bodies: Sequence[Body], air_c: float, box: Box | None = None) -> None:
        self.bodies = list(bodies)
        self._uncovered, self._box = list(bodies), box
        self._networks: dict[tuple[float, ...], Network] = {}
        self._factors: tuple[float, ...] = ()
        self.resist([1.0] * len(bodies))
        self.nodes_c: Values = np.full(self.network.nodes, air_c)
        self.levels = [0] * len(bodies)
        self.throttle_events = 0

    @property
    def dies_c(self) -> Values:
        return self.nodes_c[: len(self.bodies)]

    def replace(self, number: int, air_c: float) -> None:
        """A stick of the same kind, as cold as the air, is plugged in in its place."""
        nodes = [number, len(self.bodies) + number]
        if number in self.network.package:
            nodes.append(self.network.package[number])
        self.nodes_c[nodes] = air_c
        self.levels[number] = 0

    def resist(self, factors: Sequence[float]) -> None:
        """From now on the heat of each stick finds so many times the resistance to the air that it was drawn with."""
        key = tuple(factors)
        if key == self._factors:
            return
        self._factors = key
        resisting = zip(self._uncovered, factors, strict=True)
        self.bodies = [body._replace(case_air_k_w=body.case_air_k_w * factor) for body, factor in resisting]
        if key not in self._networks:
            self._networks[key] = Network(self.bodies, self._box)
        self.network = self._networks[key]

    def speed(self, number: int) -> float:
        """The share of its full rate that the stick's throttle leaves to it."""
        return INFERENCE_S / (INFERENCE_S + PAUSE_S[self.levels[number]])

    def advance(
        self, dt_s: float, work: Sequence[float], air_c: float, powered: Sequence[bool], sun_w: Sequence[float] | None = None
    ) -> None:
        """`work`: of each stick, the share of the time in which it infers. A stick without power is not plugged in."""
        kept, driven, sunned = self.network.step_matrices(dt_s)
        power_w = (self.network.idle_w + self.network.work_w * np.asarray(work)) * np.asarray(powered)
        self.nodes_c = air_c + kept @ (self.nodes_c - air_c) + driven @ power_w
        if sun_w is not None:
            self.nodes_c += sunned @ np.asarray(sun_w)
        for number, (body, die_c) in enumerate(zip(self.bodies, self.dies_c.tolist(), strict=True)):
            level = _level(self.levels[number], die_c, body.onset_c) if powered[number] else 0
            self.throttle_events += level > self.levels[number]
            self.levels[number] = level


def _level(level: int, die_c: float, onset_c: float) -> int:
    critical_c = onset_c + 5.0
    if die_c >= critical_c or (level == 2 and die_c > critical_c - RELEASE_K):
        return 2
    return 1 if die_c >= onset_c or (level >= 1 and die_c > onset_c - RELEASE_K) else 0
