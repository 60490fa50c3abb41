"""What sensors say: exact where nothing is drawn, and each way to fail."""

from __future__ import annotations

import math
import random

import pytest

from ncs_cluster.testing.thermal_lab.sensors import Fault, Sensor, Sensors

EXACT = Sensors(0.0, 0.0)


def said(kind: Sensors, dies_c: list[float]) -> list[float | None]:
    """A reading each second from 0 on; None where none comes."""
    sensor = Sensor(kind, 0, dies_c[0], random.Random(1))
    read = [sensor.read(die_c, float(second), 1.0) for second, die_c in enumerate(dies_c)]
    return [None if each is None else each[0] for each in read]


def test_a_sensor_that_works_says_what_the_die_has() -> None:
    assert said(EXACT, [40.0, 41.5, 39.0]) == [40.0, 41.5, 39.0]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("frozen", [40.0, 41.0, 41.0, 41.0, 44.0]),
        ("stuck", [40.0, 41.0, 41.0, 41.0, 44.0]),
        ("stopped", [40.0, 41.0, None, None, 44.0]),
        ("lies low", [40.0, 41.0, -89.7, -89.7, 44.0]),
        ("lies high", [40.0, 41.0, 255.0, 255.0, 44.0]),
    ],
)
def test_a_fault_lasts_as_long_as_it_is_said_to(kind: str, expected: list[float | None]) -> None:
    faults = (Fault(0, 2.0, kind, 4.0), Fault(1, 0.0, "stopped"))
    assert said(EXACT._replace(faults=faults), [40.0, 41.0, 42.0, 43.0, 44.0]) == expected


def test_a_nan_is_a_reading_that_comes() -> None:
    values = said(EXACT._replace(faults=(Fault(0, 1.0, "nan"),)), [40.0, 41.0])
    assert values[0] == 40.0
    assert values[1] is not None
    assert math.isnan(values[1])


def test_a_frozen_sensor_repeats_itself_and_a_stuck_one_goes_on_to_err() -> None:
    """Both from the second second on, over a die that warms up."""
    dies_c = [40.0 + second for second in range(60)]
    frozen = said(Sensors(1.0, 0.5, faults=(Fault(0, 1.0, "frozen"),)), dies_c)
    stuck = said(Sensors(1.0, 0.5, faults=(Fault(0, 1.0, "stuck"),)), dies_c)
    assert len(set(frozen)) == 1
    assert len(set(stuck)) > 4
    assert sum(value for value in stuck if value is not None) / 60 == pytest.approx(40.0, abs=0.5)


def test_a_lag_is_that_of_a_first_order_system() -> None:
    values = said(EXACT._replace(lag_s=5.0), [40.0, *[50.0] * 20])
    assert values == pytest.approx([50.0 - 10.0 * math.exp(-second / 5.0) for second in range(21)])


def test_late_readings_arrive_in_their_order_and_within_their_time() -> None:
    sensor = Sensor(EXACT._replace(late_s=3.0), 0, 40.0, random.Random(2))
    read = [sensor.read(40.0 + second, float(second), 1.0) for second in range(200)]
    assert [each[0] for each in read if each is not None] == [40.0 + second for second in range(200)]
    arrived_s = [each[1] for each in read if each is not None]
    assert arrived_s == sorted(arrived_s)
    late_s = [at_s - second for second, at_s in enumerate(arrived_s)]
    assert 0.0 <= min(late_s) < 0.5
    assert 2.5 < max(late_s) <= 3.0


def test_the_share_that_is_lost_never_arrives() -> None:
    lost = said(EXACT._replace(lost=0.3), [40.0] * 2000).count(None)
    assert lost == pytest.approx(600, abs=60)
