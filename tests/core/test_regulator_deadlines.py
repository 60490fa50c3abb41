"""When one pool is regulated next: at the policy's time, or when a reading will be too old."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import LogEvent
from ncs_cluster.specs import ClusterSpec
from tests.core.oneregulator import RegulatorSetup


def test_the_next_look_is_when_the_first_reading_will_have_aged_up_to_the_trip() -> None:
    setup = RegulatorSetup(3, clusters=ClusterSpec(time_scale=10.0))
    setup.open(1, 2, sensor=True)
    setup.measure(1, 63.65, 2.0)
    setup.measure(2, 40.0, 1.9)
    setup.regulator.regulate(2.0)
    assert setup.regulator.reading_deadline_s == pytest.approx((20.0 + 2.5) / 10)
    setup[1].child.exited("exit code 1", 2.0)
    setup.regulator.regulate(2.0)
    assert setup.regulator.reading_deadline_s == pytest.approx((19.0 + 15.0) / 10)


@pytest.mark.parametrize(
    ("policy_s", "reading_s", "deadline_s"),
    [(None, None, None), (5.0, None, 5.0), (None, 6.0, 6.0), (5.0, 6.0, 5.0), (7.0, 6.0, 6.0)],
)
def test_the_deadline_is_that_of_the_policy_or_of_a_reading_whichever_is_first(
    policy_s: float | None, reading_s: float | None, deadline_s: float | None
) -> None:
    setup = RegulatorSetup(1)
    setup.regulator.policy_deadline_s, setup.regulator.reading_deadline_s = policy_s, reading_s
    assert setup.regulator.deadline_s == deadline_s
    setup.regulator.look_deadline_s = 5.5
    assert setup.regulator.deadline_s == min(due_s for due_s in (policy_s, reading_s, 5.5) if due_s is not None)


@pytest.mark.parametrize(
    ("value_c", "reading_deadline_s"), [(63.65, 2.0 + 2.5), (50.0, 2.0 + 15.0), (20.0, 2.0 + 15.0), (None, 17.0), (70.0, 17.0)]
)
def test_telemetry_that_changes_nothing_moves_the_deadline_of_readings(value_c: float | None, reading_deadline_s: float) -> None:
    setup = RegulatorSetup(2)
    setup.open(1, 2, sensor=True)
    setup.measure(1, 40.0, 2.0)
    setup.regulator.regulate(2.0)
    assert setup.regulator.reading_deadline_s == 17.0
    setup.measure(2, value_c, 2.0)
    setup.regulator.update_reading_deadline(setup[2])
    assert setup.regulator.reading_deadline_s == pytest.approx(reading_deadline_s), "where it is hot already there is none"


def test_the_deadline_of_the_first_reading_is_in_real_seconds() -> None:
    setup = RegulatorSetup(1, clusters=ClusterSpec(time_scale=10.0))
    setup.open(1, sensor=True)
    setup.measure(1, 40.0, 2.0)
    setup.regulator.update_reading_deadline(setup[1])
    assert setup.regulator.reading_deadline_s == (20.0 + 15.0) / 10


def test_a_newer_reading_moves_the_deadline_on_only_when_the_pool_is_regulated() -> None:
    setup = RegulatorSetup(1)
    setup.open(1, sensor=True)
    setup.measure(1, 40.0, 2.0)
    setup.regulator.regulate(2.0)
    setup.measure(1, 40.0, 3.0)
    setup.regulator.update_reading_deadline(setup[1])
    assert setup.regulator.reading_deadline_s == 17.0
    setup.regulator.regulate(3.0)
    assert setup.regulator.reading_deadline_s == 18.0


def test_the_reading_of_a_stick_that_is_not_usable_has_no_deadline() -> None:
    setup = RegulatorSetup(1)
    setup.open(1, sensor=True)
    setup.measure(1, 40.0, 2.0)
    setup[1].child.stop(2.0)
    setup.regulator.update_reading_deadline(setup[1])
    assert setup.regulator.reading_deadline_s is None


def test_a_stick_that_reports_nothing_is_hot_when_its_last_reading_is_too_old() -> None:
    setup = RegulatorSetup(2)
    setup.open(1, sensor=True)
    setup.open(2)
    setup.measure(1, 40.0, 2.0)
    assert setup.regulator.regulate(17.0) == []
    assert setup.regulator.regulate(17.001) == [
        LogEvent("info", "sim-1", "reports no temperature: resting", "times a stick was too hot")
    ]
    assert (setup.regulator.active, setup.duties) == (["sim-2"], {"sim-1": 0.0, "sim-2": 1.0})


def test_a_stick_that_reports_nothing_for_a_while_has_not_cooled_down_but_reports_again() -> None:
    setup = RegulatorSetup(2)
    setup.open(1, sensor=True)
    setup.open(2)
    setup.measure(1, 40.0, 2.0)
    setup.regulator.regulate(18.0)
    setup.measure(1, 40.0, 19.0)
    assert setup.regulator.regulate(19.0) == [
        LogEvent("info", "sim-1", "reports its temperature again", "times a stick cooled down")
    ]
    setup.measure(1, 70.0, 20.0)
    setup.regulator.regulate(20.0)
    setup.measure(1, 50.0, 21.0)
    assert [each.text for each in setup.regulator.regulate(21.0) if isinstance(each, LogEvent)] == ["has cooled down"]
