"""What the soak of heat compares with: the best steady rate of its sticks."""

from __future__ import annotations

import pytest

from ncs_cluster.thermal import Plant
from tests.soak.heat import LATENCY_S, LIMIT_C, PORTS, SPREAD, bound_per_s, figures


def test_a_stick_at_the_bound_settles_at_the_limit() -> None:
    for figure in figures(3):
        duty = bound_per_s([figure], 35.0, 0) * LATENCY_S
        assert 0.0 < duty < 1.0
        assert Plant()._replace(**figure).steady(duty, 35.0).die_c == pytest.approx(LIMIT_C)


def test_cool_sticks_are_bound_by_their_speed_and_the_cluster_size() -> None:
    plants = figures(3)
    assert bound_per_s(plants, -40.0, 0) == pytest.approx(len(PORTS) / LATENCY_S)
    assert bound_per_s(plants, -40.0, 2) == pytest.approx(2 / LATENCY_S)


def test_the_sticks_of_a_seed_differ_from_the_usual_ones_within_the_spread() -> None:
    plants, usual = figures(4), Plant()
    assert figures(4) == plants
    assert len({tuple(figure.values()) for figure in plants}) == len(PORTS)
    for figure in plants:
        assert all(abs(value / getattr(usual, name) - 1) <= SPREAD for name, value in figure.items())
