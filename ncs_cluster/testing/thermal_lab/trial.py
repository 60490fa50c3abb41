"""One trial: a scenario, sticks drawn from a seed, a policy; and what came of it."""

from __future__ import annotations

import math
import random
from typing import Any, NamedTuple, Protocol

from msgspec import structs

from ncs_cluster.policies.original import Original
from ncs_cluster.specs import ClusterSpec, DieFigures
from ncs_cluster.testing.thermal_lab import bound
from ncs_cluster.testing.thermal_lab.core_pool import CorePool, stick_id
from ncs_cluster.testing.thermal_lab.plant import INFERENCE_S, Body, Plant, spread
from ncs_cluster.testing.thermal_lab.scenario import Scenario
from ncs_cluster.testing.thermal_lab.sensors import Sensor

ORIGINAL = "original"
PERIOD_S = 1.0
"""All sticks are measured once in this time."""


class Result(NamedTuple):
    """Temperatures are the dies' true ones, of sticks that are plugged in."""

    rate: float
    """Inferences per second while the trial is judged."""
    steady_share: float
    """`rate` as a share of the steady bound; NaN where that is 0."""
    dynamic_share: float
    """All inferences as a share of the dynamic bound; NaN where it was not asked for."""
    hottest_c: float
    over_s: float
    """How long any stick was over the limit."""
    throttle_events: int
    switches: int
    gap_s: float
    """The longest time in which all sticks together did not finish one inference."""


class Pool(Protocol):
    """What decides which sticks work."""

    @property
    def due_s(self) -> float: ...

    @property
    def switches(self) -> int: ...

    def plug(self, number: int, now_s: float) -> None: ...

    def measured(self, number: int, value_c: float, level: int, now_s: float) -> None: ...

    def regulate(self, now_s: float) -> None: ...

    def work(self, count: int) -> list[float]: ...

    def worked(self, number: int, for_s: float) -> None: ...


def _figures(body: Body) -> DieFigures:
    die_k_w, case_k_w = body.die_case_k_w, body.case_air_k_w
    return DieFigures(die_k_w * body.work_w, die_k_w * body.die_j_k, case_k_w * body.work_w, case_k_w * body.case_j_k, 0.02)


class Trial:
    """`policy` is the name of a policy plugin, or "original". `calibrated`: it knows each stick's figures, as if measured.
    `shadowed`: what `predictive` would do is followed beside it.

    The same seed gives the same sticks and the same sensor errors.
    """

    def __init__(
        self,
        scenario: Scenario,
        policy: str,
        seed: int,
        *,
        interval_s: float = 10.0,
        options: dict[str, Any] | None = None,
        calibrated: bool = False,
        shadowed: bool = False,
    ) -> None:
        self.scenario, self.policy = scenario, policy
        chance = random.Random(f"sticks {seed}")
        bodies = [scenario.body(body, chance) for body in spread(scenario.sticks, scenario.parameters, chance)]
        self.plant = Plant(bodies, scenario.air_c(0.0), scenario.box)
        self.now_s = 0.0
        self.done: list[tuple[float, float]] = []
        """Of each second so far: when it ended, and inferences per second in it."""
        self.trace: list[tuple[float, list[float], list[float]]] = []
        """Of each second, where `traced`: when it ended, the dies' temperatures, the shares of time at work."""
        self.traced = False
        self._chance = random.Random(f"sensors {seed}")
        self._hottest_c, self._over_s, self._gap_s = -math.inf, 0.0, 0.0
        self._unfinished, self._waited_s = 0.0, 0.0
        self._sensors = [Sensor(scenario.sensors, number, scenario.air_c(0.0), self._chance) for number in range(scenario.sticks)]
        self._coming: list[tuple[float, int, float, int]] = []
        """Readings that were taken: when they arrive, the stick, what they say, its throttle level."""
        self._powered = [False] * scenario.sticks
        size, limit_c = scenario.cluster_size, scenario.limit_c
        self.pool: Pool
        if policy == ORIGINAL:
            self.pool = Original(scenario.sticks, size, limit_c, interval_s)
        else:
            spec = ClusterSpec(size, policy, interval_s, limit_c, policy_options=options or {})
            if calibrated:
                spec = structs.replace(spec, calibrated={stick_id(number): _figures(body) for number, body in enumerate(bodies)})
            self.pool = CorePool(spec, shadowed=shadowed)

    def run(self, *, dynamic: bool = False) -> Result:
        """The whole scenario. `dynamic`: with the dynamic bound, which takes seconds to compute."""
        while self.now_s < self.scenario.until_s:
            self.second()
        return self.result(dynamic=dynamic)

    def second(self) -> None:
        """Readings are taken and arrive, the policy decides, and again whenever it asks for it; the sticks work until the next
        readings."""
        scenario, begins_s = self.scenario, self.now_s
        self.plant.resist([scenario.resistance(number, begins_s) for number in range(scenario.sticks)])
        for number in range(scenario.sticks):
            if scenario.powered(number, begins_s) and not self._powered[number]:
                self._powered[number] = True
                self.plant.replace(number, scenario.air_c(begins_s))
                self.pool.plug(number, self._clock_s)
        dies_c = self.plant.dies_c.tolist()
        for number in range(scenario.sticks):
            if self._powered[number]:
                reading = self._sensors[number].read(dies_c[number], begins_s, PERIOD_S)
                if reading is not None:
                    self._coming.append((reading[1], number, reading[0], self.plant.levels[number]))
        stalled = any(from_s <= begins_s < from_s + for_s for from_s, for_s in scenario.stalls)
        done, ends_s = 0.0, begins_s + PERIOD_S
        while self.now_s < ends_s:
            if stalled:
                until_s = ends_s
            else:
                self._arrive()
                self.pool.regulate(self._clock_s)
                due_s = max(self.pool.due_s - self._clock_s + self.now_s, self.now_s + 0.001)
                until_s = min(ends_s, due_s, min((coming[0] for coming in self._coming), default=ends_s))
            done += self._advance(until_s - self.now_s)
            self.now_s = until_s
        self.done.append((ends_s, done / PERIOD_S))

    @property
    def _clock_s(self) -> float:
        """What the host takes for the time."""
        return self.now_s + sum(by_s for at_s, by_s in self.scenario.jumps if self.now_s >= at_s)

    def _arrive(self) -> None:
        due = [coming for coming in self._coming if coming[0] <= self.now_s]
        self._coming = [coming for coming in self._coming if coming[0] > self.now_s]
        for _, number, value_c, level in due:
            self.pool.measured(number, value_c, level, self._clock_s)

    def result(self, *, dynamic: bool = False) -> Result:
        scenario, network = self.scenario, self.plant.network
        judged = [rate for ended_s, rate in self.done if ended_s > self.now_s - scenario.judged_s]
        rate = sum(judged) / len(judged)
        steady = bound.steady(network, scenario.air_c(self.now_s), scenario.limit_c, scenario.cluster_size)
        best = math.nan
        if dynamic:
            size = scenario.cluster_size
            best = bound.dynamic(network, scenario.air_c, scenario.powered, self.now_s, scenario.limit_c, size)
        return Result(
            rate,
            rate / steady if steady else math.nan,
            sum(rate for _, rate in self.done) * PERIOD_S / best,
            self._hottest_c,
            self._over_s,
            self.plant.throttle_events,
            self.pool.switches,
            max(self._gap_s, self._waited_s),
        )

    def _advance(self, for_s: float) -> float:
        """The sticks work for `for_s`. Returns the inferences that are done."""
        scenario, plant = self.scenario, self.plant
        work = [share * plant.speed(number) for number, share in enumerate(self.pool.work(scenario.sticks))]
        for number, share in enumerate(work):
            self.pool.worked(number, share * for_s)
        sun_w = [scenario.sun_w(number, self.now_s) for number in range(scenario.sticks)]
        plant.advance(for_s, work, scenario.air_c(self.now_s), self._powered, sun_w if any(sun_w) else None)
        hottest_c = max(die_c for die_c, powered in zip(plant.dies_c.tolist(), self._powered, strict=True) if powered)
        self._hottest_c = max(self._hottest_c, hottest_c)
        self._over_s += for_s * (hottest_c > scenario.limit_c)
        if self.traced:
            self.trace.append((self.now_s + for_s, list(plant.dies_c), work))
        done = sum(work) * for_s / INFERENCE_S
        self._wait(for_s, done)
        return done

    def _wait(self, for_s: float, done: float) -> None:
        """Follow the longest time between two inferences of the pool; work is spread evenly over `for_s`."""
        if done <= 0.0:
            self._waited_s += for_s
            return
        needed_s = (1.0 - self._unfinished) * for_s / done
        if needed_s <= for_s:
            self._gap_s = max(self._gap_s, self._waited_s + needed_s, for_s / done)
            self._unfinished = (self._unfinished + done) % 1.0
            self._waited_s = self._unfinished * for_s / done
        else:
            self._unfinished += done
            self._waited_s += for_s
