"""A whole calibration of a simulated stick on a virtual clock: its figures are found, and it is never hot."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from ncs_cluster.backends.simulated import Simulated
from ncs_cluster.cli.calibrate import measure
from ncs_cluster.cli.calibrate.fit import fit
from ncs_cluster.cli.calibrate.samples import Measurement, Sample, phases
from ncs_cluster.messages.calibration import Measured, OpenHeated
from ncs_cluster.processes.heated import Stick
from ncs_cluster.specs import StickSpec
from ncs_cluster.types import StickId

LIMIT_C = 65.0


class Bench:
    """A stick, the process that drives it and the time, without a process and without waiting. It plays the channel too."""

    def __init__(self, options: dict[str, Any], *, late_s: float = 0.0) -> None:
        self.now_s, self.hottest_c = 1000.0, 0.0
        self._late_s, self._chance = late_s, random.Random(1)
        self._sent: list[Measured] = []
        backend = Simulated(1.0, lambda: self.now_s)
        spec = StickSpec(StickId("sim-1"), "port", "simulated", {"infer": False, "latency_ms": 200.0, **options})
        device = backend.open(spec, [], lambda phase: None)
        self._backend = backend
        self.stick = Stick(self, OpenHeated(spec, [], 1.0, LIMIT_C), backend, device, lambda: self.now_s)  # type: ignore[arg-type]

    def send(self, message: Measured) -> None:
        self._sent.append(message)
        self.hottest_c = max(self.hottest_c, self._backend._heat.die_c)

    def load(self, on: bool) -> None:
        self.stick.asked = on

    def reading(self) -> Measured:
        """The time goes on to what is due next; now and then a busy machine is late."""
        while not self._sent:
            late_s = self._late_s if self._chance.random() < 0.05 else 0.0
            self.now_s = max(self.now_s + 1e-4, self.stick.due_s) + late_s
            self.stick.turn()
        return self._sent.pop(0)


def run(bench: Bench, idle_s: float, load_s: float, before: list[Sample], until: int | None = None) -> list[Sample]:
    """`until`: interrupted after so many readings."""
    measurement = Measurement("sim-1", "simulated", "", idle_s, load_s, LIMIT_C, 1.0)
    kept = list(before)

    def keep(sample: Sample) -> None:
        kept.append(sample)
        if until is not None and len(kept) >= until:
            raise KeyboardInterrupt

    try:
        found = measure.run(measurement, before, bench.reading, bench.load, keep, lambda *_: None)
    except KeyboardInterrupt:
        return kept
    assert found == kept
    return kept


def unknown(seed: int) -> tuple[dict[str, Any], dict[str, float]]:
    """Options of a simulated stick, and its figures."""
    chance = random.Random(seed)
    plant = {
        "die_case_k_w": 18.0 * chance.uniform(0.7, 1.3),
        "die_j_k": 2.5 * chance.uniform(0.7, 1.3),
        "case_air_k_w": 13.0 * chance.uniform(0.7, 1.3),
        "case_j_k": 30.0 * chance.uniform(0.7, 1.3),
        "work_w": 1.35 * chance.uniform(0.7, 1.3),
    }
    true = {
        "die_rise_k": plant["die_case_k_w"] * plant["work_w"],
        "die_s": plant["die_case_k_w"] * plant["die_j_k"],
        "case_rise_k": plant["case_air_k_w"] * plant["work_w"],
        "case_s": plant["case_air_k_w"] * plant["case_j_k"],
    }
    return {"plant": plant, "noise_c": 0.4, "step_c": 1.0, "seed": seed, "ambient_c": chance.uniform(15.0, 30.0)}, true


@pytest.mark.parametrize(("seed", "late_s"), [(1, 0.0), (2, 0.0), (3, 0.7)])
def test_figures_of_an_unknown_stick_are_found_within_a_tenth_and_it_never_reaches_the_limit(seed: int, late_s: float) -> None:
    options, true = unknown(seed)
    bench = Bench(options, late_s=late_s)
    found = fit(run(bench, 900.0, 900.0, []))[0].figures
    for name, value in true.items():
        assert getattr(found, name) == pytest.approx(value, rel=0.1), name
    assert 55.0 < bench.hottest_c <= LIMIT_C


def test_an_interruption_costs_neither_readings_nor_the_figures() -> None:
    """The stick is closed in the middle of its work, and cools down meanwhile."""
    options, true = unknown(4)
    first = run(Bench(options), 900.0, 900.0, [], until=1200)
    assert len(first) == 1200
    samples = run(Bench(options), 900.0, 900.0, first)
    assert samples[:1200] == first
    assert {sample.segment for sample in samples} == {0, 1}
    found = fit(samples)[0].figures
    for name, value in true.items():
        assert getattr(found, name) == pytest.approx(value, rel=0.1), name


def test_it_works_in_the_middle_phase_only() -> None:
    options, _ = unknown(5)
    measurement = Measurement("sim-1", "simulated", "", 60.0, 60.0, LIMIT_C, 1.0)
    samples = run(Bench(options), 60.0, 60.0, [])
    worked = [sample.at_s for sample, after in pairwise(samples) if after.worked_s > sample.worked_s]
    first, last = phases(measurement)[0].until_s, phases(measurement)[1].until_s
    assert first - 1.0 <= worked[0] <= first + 2.0
    assert last - 2.0 <= worked[-1] <= last + 1.5
    assert samples[-1].worked_s == pytest.approx(60.0, abs=2.0)
