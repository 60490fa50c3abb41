"""One stick: what may be asked of it, and whether its telemetry changes that."""

from __future__ import annotations

import pytest

from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.stick import Stick
from ncs_cluster.messages import Telemetry
from ncs_cluster.specs import StickSpec
from ncs_cluster.types import StickId

SPEC = StickSpec(StickId("sim-1"), "port", "simulated", runtime="py39")


def running(*, sensor: bool = True) -> Stick:
    """Its worker has opened it at 1 s."""
    stick = Stick(SPEC, 65.0, Limits())
    stick.child.start(0.0)
    stick.child.hello(1.0)
    stick.child.ready(1.0)
    stick.zone.open(sensor)
    return stick


def test_a_new_stick_is_present_and_nothing_is_known_of_it() -> None:
    stick = Stick(SPEC, 60.0, Limits(starting_s=7.0))
    assert (stick.spec, stick.child.endpoint, stick.child.runtime) == (SPEC, Endpoint("worker", "sim-1"), "py39")
    assert (stick.child.limits, stick.child.state, stick.zone.switch_temp_c) == (Limits(starting_s=7.0), State.DOWN, 60.0)
    assert (stick.present, stick.removed, stick.device, stick.firmware) == (True, False, None, None)
    assert (stick.throttle_level, stick.measured_s) == (None, None)
    assert (stick.resets, stick.reset_epoch, stick.throttled_s, stick.inferences) == (0, 0, 0.0, 0)
    assert (stick.reported_missing, stick.renamed, stick.usable) == (False, False, False)


@pytest.mark.parametrize(("sensor", "usable"), [(True, False), (False, True)])
def test_a_stick_with_a_sensor_is_usable_after_its_first_reading(sensor: bool, usable: bool) -> None:
    stick = running(sensor=sensor)
    assert stick.usable is usable
    assert stick.record_telemetry(Telemetry(40.0), 2.0, 0.0) is not usable, "it may work now and might not before"
    assert stick.usable is True
    stick.present = False
    assert stick.usable is False


def test_a_stick_whose_worker_does_not_run_is_not_usable() -> None:
    stick = running(sensor=False)
    stick.child.stop(2.0)
    assert stick.usable is False


def test_a_reading_is_kept_in_plant_time_with_its_age() -> None:
    stick = running()
    assert stick.record_telemetry(Telemetry(40.0, 1, 99.0), 50.0, 5.0) is True
    assert (stick.zone.temperature_c(50.0), stick.zone.age_s(50.0)) == (pytest.approx(40.0 + 0.54 * 5.0), 5.0)
    assert (stick.throttle_level, stick.measured_s, stick.throttled_s) == (1, 50.0, 0.0)
    assert stick.record_telemetry(Telemetry(40.0), 52.5, 0.0) is False
    assert (stick.throttle_level, stick.measured_s, stick.throttled_s) == (None, 52.5, 2.5)
    assert stick.record_telemetry(Telemetry(40.0, 0), 60.0, 0.0) is False
    assert stick.throttled_s == 2.5, "it was not throttled since the last reading"
    stick.record_telemetry(Telemetry(40.0, 2), 61.0, 0.0)
    stick.record_telemetry(Telemetry(40.0, 2), 62.0, 0.0)
    stick.record_telemetry(Telemetry(40.0, 1), 64.0, 0.0)
    assert stick.throttled_s == 2.5 + 3.0


@pytest.mark.parametrize(
    ("before", "then", "changed"),
    [
        (Telemetry(40.0), Telemetry(41.0), False),
        (Telemetry(40.0), Telemetry(64.999), False),
        (Telemetry(40.0), Telemetry(65.0), True),
        (Telemetry(40.0), Telemetry(None), True),
        (Telemetry(40.0), Telemetry(40.0, 1), False),
        (Telemetry(40.0), Telemetry(40.0, 2), True),
        (Telemetry(65.0), Telemetry(62.001), False),
        (Telemetry(65.0), Telemetry(62.0), True),
        (Telemetry(65.0), Telemetry(None), False),
        (Telemetry(None), Telemetry(40.0), True),
        (Telemetry(40.0, 2), Telemetry(40.0), True),
        (Telemetry(40.0, 2), Telemetry(40.0, 1), True),
        (Telemetry(40.0, 2), Telemetry(70.0, 0), False),
    ],
)
def test_telemetry_says_whether_it_changes_what_may_work(before: Telemetry, then: Telemetry, changed: bool) -> None:
    stick = running()
    stick.record_telemetry(before, 2.0, 0.0)
    hot = stick.zone.is_hot
    assert stick.record_telemetry(then, 3.0, 0.0) is changed
    assert (stick.zone.is_hot != hot) is changed


def test_a_reading_that_is_too_old_when_it_comes_makes_the_stick_hot() -> None:
    stick = running()
    stick.record_telemetry(Telemetry(64.0), 20.0, 0.0)
    assert stick.record_telemetry(Telemetry(64.0), 21.0, 2.0) is False
    assert stick.record_telemetry(Telemetry(64.0), 22.0, 2.1) is True
    assert (stick.zone.is_hot, stick.zone.temperature_c(22.0)) == (True, pytest.approx(64.0 + 0.54 * 2.1))


def test_telemetry_of_a_stick_without_a_sensor_changes_its_throttle_level_alone() -> None:
    stick = running(sensor=False)
    assert stick.record_telemetry(Telemetry(80.0, 2), 2.0, 0.0) is False
    assert (stick.zone.is_hot, stick.zone.temperature_c(2.0), stick.throttle_level, stick.usable) == (False, None, 2, True)


def test_telemetry_of_a_stick_that_is_not_open_is_kept_and_changes_what_may_work_where_it_is_too_hot() -> None:
    stick = running()
    stick.child.stop(2.0)
    assert stick.record_telemetry(Telemetry(40.0), 2.0, 0.0) is False
    assert stick.zone.temperature_c(2.0) == 40.0
    assert stick.record_telemetry(Telemetry(70.0), 3.0, 0.0) is True
