"""What a camera adds to a result: each answer of a stick or of the camera leads to exact actions, records and counts."""

from __future__ import annotations

import pytest

from ncs_cluster.core.events import Exited
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.messages import Measured
from ncs_cluster.types import Classified, Detection, Outcome
from tests.core.onecamera import BALL, FOUND, HELLO, House, granted, info, measure, record, ref

BOX = (0.0, 0.0, 1.0, 1.0)


def test_a_result_is_measured_where_the_camera_is_drawn() -> None:
    house = House(window=True).open()
    empty, full = house.unit(0), house.unit(1)
    assert house.inferred(empty, Outcome(), 10.5) == measure(empty, Outcome())
    assert house.inferred(full, FOUND, 11.0) == measure(full)
    assert house.camera.measuring == {100: (empty, Outcome()), 101: (full, FOUND)}
    assert house.camera.measuring_since_s == 10.5
    assert house.counted(begun=2)
    assert house.records == []


@pytest.mark.parametrize(
    ("depth_scale_m", "outcome", "measured"),
    [(None, Outcome(), False), (None, FOUND, False), (0.001, Outcome(), False), (0.001, FOUND, True)],
)
def test_a_result_of_a_camera_that_is_not_drawn_is_measured_where_there_is_depth_and_a_detection(
    depth_scale_m: float | None, outcome: Outcome, measured: bool
) -> None:
    house = House().open(info(depth_scale_m=depth_scale_m))
    unit = house.unit(0)
    assert house.inferred(unit, outcome, 10.5) == (measure(unit, outcome) if measured else [])
    assert house.records == ([] if measured else [record(unit, "demo", outcome, 0.5)])
    assert house.camera.measuring == ({100: (unit, outcome)} if measured else {})


def test_a_result_behind_one_that_is_measured_is_measured_too() -> None:
    """It must not overtake that one."""
    house = House().open(info(depth_scale_m=0.001))
    first, empty = house.unit(0), house.unit(1)
    house.inferred(first, FOUND, 10.5)
    assert house.inferred(empty, Outcome(), 10.6) == measure(empty, Outcome())


def test_a_result_is_measured_under_the_name_of_its_graph() -> None:
    house = House(("demo", "faces"), window=True).open()
    unit = house.unit(0, graph=1)
    assert house.inferred(unit, FOUND, 10.5) == measure(unit, graph="faces")


def test_a_result_of_a_camera_that_is_away_goes_on_unmeasured_behind_those_that_waited() -> None:
    house = House(window=True).open()
    first, second = house.unit(0), house.unit(1)
    house.inferred(first, FOUND, 10.5)
    house.camera.child.exited("exit code 1", 10.6)
    assert house.inferred(second, Outcome(), 11.0) == []
    assert house.camera.measuring == {}
    assert house.records == [record(first, "demo", FOUND, 1.0), record(second, "demo", Outcome(), 1.0)]


def test_a_camera_that_has_described_no_source_adds_nothing() -> None:
    house = House(window=True)
    house.hears(HELLO, 0.0)
    assert house.camera.enrich(house.unit(0), FOUND, 10.5) is None
    assert house.camera.measuring == {}


def test_a_measured_result_is_published_with_its_distances() -> None:
    house = House(window=True).open()
    unit, next_one = house.unit(0), house.unit(1)
    classes = [Classified("cat", 1, 0.5)]
    house.inferred(unit, Outcome([BALL], classes), 10.5)
    house.inferred(next_one, FOUND, 10.6)
    near = Detection("ball", 1, 0.9, BOX, 1.5)
    assert house.hears(Measured(100, [near]), 11.0) == []
    assert house.records == [record(unit, "demo", Outcome([near], classes), 1.0)]
    assert house.camera.measuring == {101: (next_one, FOUND)}
    assert house.camera.measuring_since_s == 11.0
    assert house.counted(begun=2, result=1)


def test_the_slot_of_a_measured_frame_may_be_written_again() -> None:
    house = House(window=True).open()
    for _ in range(28):
        house.slots.grant()
    for slot in range(30):
        house.slots.written(slot, 1)
    unit = Unit("cam0", Frame(ref(0, 4), house.slots, 10.0, 1.7e9, None), 0)
    house.ledger.begin(unit)
    assert house.inferred(unit, FOUND, 10.5) == measure(unit)
    assert house.hears(Measured(unit.ticket, []), 11.0) == granted(4)


def test_results_that_were_passed_over_by_a_measured_one_are_published_before_it() -> None:
    house = House(window=True).open()
    units = [house.unit(frame) for frame in range(3)]
    for unit in units:
        house.inferred(unit, FOUND, 10.5)
    house.hears(Measured(101, []), 11.0)
    assert house.records == [record(units[0], "demo", FOUND, 1.0), record(units[1], "demo", Outcome(), 1.0)]
    assert list(house.camera.measuring) == [102]


def test_an_answer_that_is_not_waited_for_changes_nothing() -> None:
    house = House(window=True).open()
    house.inferred(house.unit(0), FOUND, 10.5)
    assert house.hears(Measured(999, [BALL]), 11.0) == []
    assert (house.records, list(house.camera.measuring), house.camera.measuring_since_s) == ([], [100], 10.5)


@pytest.mark.parametrize(
    ("distance_m", "true_m", "errors"),
    [(1.5, 1.0, [0.5]), (3.0, 4.0, [0.25]), (0.0, 2.0, [1.0]), (None, 1.0, []), (1.5, None, []), (1.5, 0.0, [])],
)
def test_a_distance_is_compared_with_the_true_one_where_both_are_known(
    distance_m: float | None, true_m: float | None, errors: list[float]
) -> None:
    house = House(window=True).open()
    house.inferred(house.unit(0), FOUND, 10.5)
    house.hears(Measured(100, [Detection("ball", 1, 0.9, BOX, distance_m, true_m)]), 11.0)
    assert house.camera.range_errors == errors


def test_the_last_200_errors_of_distances_are_kept() -> None:
    house = House(window=True).open()
    house.camera.range_errors = [float(number) for number in range(200)]
    house.inferred(house.unit(0), FOUND, 10.5)
    house.hears(Measured(100, [Detection("ball", 1, 0.9, BOX, 2.0, 1.0)]), 11.0)
    assert house.camera.range_errors == [float(number) for number in range(1, 200)] + [1.0]


def test_what_waits_for_its_distances_can_go_on_without_them() -> None:
    house = House(window=True).open()
    units = [house.unit(frame) for frame in range(2)]
    for unit in units:
        house.inferred(unit, FOUND, 10.5)
    house.camera.go_without(11.0)
    assert house.camera.measuring == {}
    assert house.records == [record(unit, "demo", FOUND, 1.0) for unit in units]


def test_a_camera_that_abandons_its_measuring_gives_the_results_back_oldest_first() -> None:
    house = House(window=True).open()
    units = [house.unit(frame) for frame in range(2)]
    for unit in units:
        house.inferred(unit, FOUND, 10.5)
    assert house.camera.abandon(11.0) == [(unit, FOUND) for unit in units]
    assert house.camera.abandon(11.0) == []
    assert house.records == []


def test_results_that_were_held_are_measured_in_order() -> None:
    house = House(window=True).open()
    first, second = house.on_stick(0), house.on_stick(1)
    assert house.inferred(second, FOUND, 10.5) == []
    assert house.inferred(first, FOUND, 10.6) == measure(first) + measure(second)
    house.hears(Exited("exit code 1", 1), 11.0)
    assert house.records == [record(first, "demo", FOUND, 1.0), record(second, "demo", FOUND, 1.0)]
