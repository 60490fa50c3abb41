"""The fit: figures of sticks that nobody told it, and refusals where readings cannot tell them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ncs_cluster.cli.calibrate.fit import Unfit, fit, ladder
from ncs_cluster.cli.calibrate.samples import Sample
from ncs_cluster.testing.thermal_lab.plant import Body, Network

AIR_C = 25.0


def measured(body: Body, chance: random.Random, *, minutes: float = 10.0, step_c: float = 1.0, away_s: float = 0.0) -> list[Sample]:
    """Idle, load, idle of a stick of the laboratory, which is kept under 63 C. After half of the load the command is away for
    `away_s`."""
    alone = body._replace(case_air_k_w=1 / (1 / body.case_air_k_w - 0.012 * 0.15 / (0.012 + 0.15)))
    network = Network([alone])
    kept, driven, _ = network.step_matrices(1.0)
    nodes_c = np.full(3, AIR_C)
    found: list[Sample] = []
    worked_s, cool, segment, began_s = 0.0, True, 0, 0
    for second in range(int(180 * minutes)):
        if away_s and second == int(90 * minutes):
            away, rested, _ = network.step_matrices(away_s)
            nodes_c = AIR_C + away @ (nodes_c - AIR_C) + rested[:, 0] * body.idle_w
            segment, began_s, worked_s = 1, second, 0.0
        reading_c = nodes_c[0] + chance.gauss(0.0, 0.4)
        if step_c:
            reading_c = round(reading_c / step_c) * step_c
        cool = reading_c < 63.0 if cool else reading_c <= 53.0
        work = float(60 * minutes <= second < 120 * minutes and cool)
        found.append(Sample(segment, float(second - began_s), float(reading_c), worked_s, 0))
        nodes_c = AIR_C + kept @ (nodes_c - AIR_C) + driven[:, 0] * (body.idle_w + body.work_w * work)
        worked_s += work
    return found


def truth(body: Body) -> list[float]:
    die_k, case_k = body.die_case_k_w * body.work_w, body.case_air_k_w * body.work_w
    return [die_k, body.die_case_k_w * body.die_j_k, case_k, body.case_air_k_w * body.case_j_k]


def drawn(seed: int) -> tuple[Body, random.Random]:
    chance = random.Random(seed)
    usual = Body()
    return Body(*(getattr(usual, name) * chance.uniform(0.7, 1.3) for name in usual._fields[:6])), chance


@pytest.mark.parametrize(
    ("seed", "minutes", "step_c", "away_s"),
    [(1, 10, 1.0, 0), (2, 10, 2.0, 0), (3, 20, 0.0, 0), (4, 10, 1.0, 300.0), (5, 20, 1.1, 0)],
)
def test_figures_of_an_unknown_stick_are_found_within_a_tenth_and_within_their_errors(
    seed: int, minutes: float, step_c: float, away_s: float
) -> None:
    body, chance = drawn(seed)
    found, fitted_c = fit(measured(body, chance, minutes=minutes, step_c=step_c, away_s=away_s))
    for figure, true in zip((found.die_rise_k, found.die_s, found.case_rise_k, found.case_s), truth(body), strict=True):
        assert figure.value == pytest.approx(true, rel=0.1)
        assert abs(figure.value - true) < 5 * figure.sigma + 0.02 * true
        assert figure.sigma < 0.1 * true
    rise_k_w = body.die_case_k_w + body.case_air_k_w
    assert found.idle_c.value == pytest.approx(AIR_C + body.idle_w * rise_k_w, abs=0.7)
    assert found.figures.sigma == pytest.approx(
        max(each.sigma / each.value for each in (found.die_rise_k, found.die_s, found.case_rise_k, found.case_s))
    )
    assert len(fitted_c) == 180 * minutes


def test_the_ladder_has_the_impedance_of_the_two_systems_it_is_made_of() -> None:
    """The impedance of a ladder is computed from its capacities and resistances, at several frequencies."""
    die_r, die_s, case_r, case_s = ladder(40.0, 420.0, 30.0, 14.0)
    for s in (0.0, 1e-4, 1e-3j, 0.01j, 0.2j):
        case = 1 / (s * case_s / case_r + 1 / case_r)
        whole = 1 / (s * die_s / die_r + 1 / (die_r + case))
        assert whole == pytest.approx(30.0 / (1 + 40.0 * s) + 14.0 / (1 + 420.0 * s))


def test_readings_that_cannot_tell_are_refused_with_the_reason() -> None:
    body, chance = drawn(6)
    good = measured(body, chance, minutes=3.0)
    with pytest.raises(Unfit, match="only 50 readings"):
        fit(good[:50])
    with pytest.raises(Unfit, match="hardly worked"):
        fit(good[:170])
    with pytest.raises(Unfit, match="does not see the work"):
        fit([sample._replace(temperature_c=40.0) for sample in good])
    with pytest.raises(Unfit, match="no die and case"):
        fit([sample._replace(temperature_c=90.0 - sample.temperature_c) for sample in good])
