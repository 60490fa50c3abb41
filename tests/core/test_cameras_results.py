"""The way of a result: each answer of a stick or a camera leads to exact actions, records and counts."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import Action, Send
from ncs_cluster.core.publish import record
from ncs_cluster.core.work import Unit
from ncs_cluster.messages import (
    Measure,
)
from ncs_cluster.types import Classified, Detection, Outcome
from tests.core.onecamera import BALL, CAMERA, FOUND, House, info


def measure(unit: Unit, outcome: Outcome = FOUND, graph: str = "demo") -> list[Action]:
    return [Send(CAMERA, Measure(unit.ticket, unit.frame.ref, graph, outcome))]


# -- results come


def test_a_result_is_measured_where_the_camera_is_drawn() -> None:
    house = House(window=True).open()
    empty, full = house.unit(0), house.unit(1)
    assert house.cameras.inferred(empty, Outcome(), 10.5) == measure(empty, Outcome())
    assert house.cameras.inferred(full, FOUND, 11.0) == measure(full)
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
    assert house.cameras.inferred(unit, outcome, 10.5) == (measure(unit, outcome) if measured else [])
    assert house.records == ([] if measured else [record(unit, "demo", outcome, 0.5)])
    assert house.camera.measuring == ({100: (unit, outcome)} if measured else {})


def test_a_result_behind_one_that_is_measured_is_measured_too() -> None:
    """It must not overtake that one."""
    house = House().open(info(depth_scale_m=0.001))
    first, empty = house.unit(0), house.unit(1)
    house.cameras.inferred(first, FOUND, 10.5)
    assert house.cameras.inferred(empty, Outcome(), 10.6) == measure(empty, Outcome())


def test_a_result_is_measured_under_the_name_of_its_graph() -> None:
    house = House(("demo", "faces"), window=True).open()
    unit = house.unit(0, graph=1)
    assert house.cameras.inferred(unit, FOUND, 10.5) == measure(unit, graph="faces")


def test_an_inference_that_failed_is_given_up_with_its_reason() -> None:
    for ordered, records in ((False, 0), (True, 1)):
        house = House(ordered=ordered, window=True).open()
        unit = house.unit(0)
        house.cameras._reorder(house.camera, 0).expect(0)
        assert house.cameras.inferred(unit, Outcome(error="no memory"), 10.5) == []
        assert house.counted(begun=1, given_up=1)
        assert house.records == [record(unit, "demo", Outcome(error="no memory"), None)] * records


def test_a_live_result_behind_a_newer_one_of_its_graph_is_late() -> None:
    house = House(("demo", "faces")).open()
    older, newer, other = house.unit(0), house.unit(1), house.unit(0, graph=1)
    for unit in (newer, older, other):
        assert house.cameras.inferred(unit, FOUND, 10.5) == []
    assert house.counted(begun=3, result=2, late=1)
    assert (older.ended, house.ledger.doubled) == ("late", 0)
    assert house.records == [record(newer, "demo", FOUND, 0.5), record(other, "faces", FOUND, 0.5)]


def test_an_ordered_result_is_never_late() -> None:
    house = House(ordered=True).open()
    for frame in (0, 1):
        house.cameras._reorder(house.camera, 0).expect(frame)
    first, second = house.unit(0), house.unit(1)
    house.cameras.inferred(second, FOUND, 10.5)
    assert house.records == []
    house.cameras.inferred(first, FOUND, 11.0)
    assert house.records == [record(first, "demo", FOUND, 1.0), record(second, "demo", FOUND, 1.0)]
    assert house.counted(begun=2, result=2)


def test_a_result_of_a_camera_that_is_away_goes_on_unmeasured_behind_those_that_waited() -> None:
    house = House(window=True).open()
    first, second = house.unit(0), house.unit(1)
    house.cameras.inferred(first, FOUND, 10.5)
    house.camera.child.exited("exit code 1", 10.6)
    assert house.cameras.inferred(second, Outcome(), 11.0) == []
    assert house.camera.measuring == {}
    assert house.records == [record(first, "demo", FOUND, 1.0), record(second, "demo", Outcome(), 1.0)]


def test_a_result_of_a_camera_that_has_told_no_source_goes_on_unmeasured() -> None:
    house = House(window=True)
    house.cameras.hello(house.camera, 0.0)
    unit = house.unit(0)
    assert house.cameras.inferred(unit, FOUND, 10.5) == []
    assert house.records == [record(unit, "demo", FOUND, 0.5)]


def test_a_measured_result_is_published_with_its_distances() -> None:
    house = House(window=True).open()
    unit, next_one = house.unit(0), house.unit(1)
    classes = [Classified("cat", 1, 0.5)]
    house.cameras.inferred(unit, Outcome([BALL], classes), 10.5)
    house.cameras.inferred(next_one, FOUND, 10.6)
    near = Detection("ball", 1, 0.9, (0.0, 0.0, 1.0, 1.0), 1.5)
    house.cameras.measured(house.camera, 100, [near], 11.0)
    assert house.records == [record(unit, "demo", Outcome([near], classes), 1.0)]
    assert house.camera.measuring == {101: (next_one, FOUND)}
    assert house.camera.measuring_since_s == 11.0
    assert house.counted(begun=2, result=1)


def test_results_that_were_passed_over_by_a_measured_one_are_published_before_it() -> None:
    house = House(window=True).open()
    units = [house.unit(frame) for frame in range(3)]
    for unit in units:
        house.cameras.inferred(unit, FOUND, 10.5)
    house.cameras.measured(house.camera, 101, [], 11.0)
    assert house.records == [record(units[0], "demo", FOUND, 1.0), record(units[1], "demo", Outcome(), 1.0)]
    assert list(house.camera.measuring) == [102]


def test_an_answer_that_is_not_waited_for_changes_nothing() -> None:
    house = House(window=True).open()
    house.cameras.inferred(house.unit(0), FOUND, 10.5)
    house.cameras.measured(house.camera, 999, [BALL], 11.0)
    assert (house.records, list(house.camera.measuring), house.camera.measuring_since_s) == ([], [100], 10.5)


@pytest.mark.parametrize(
    ("distance_m", "true_m", "errors"),
    [(1.5, 1.0, [0.5]), (3.0, 4.0, [0.25]), (0.0, 2.0, [1.0]), (None, 1.0, []), (1.5, None, []), (1.5, 0.0, [])],
)
def test_a_distance_is_compared_with_the_true_one_where_both_are_known(
    distance_m: float | None, true_m: float | None, errors: list[float]
) -> None:
    house = House(window=True).open()
    house.cameras.inferred(house.unit(0), FOUND, 10.5)
    house.cameras.measured(house.camera, 100, [Detection("ball", 1, 0.9, (0.0, 0.0, 1.0, 1.0), distance_m, true_m)], 11.0)
    assert house.camera.range_errors == errors


def test_the_last_200_errors_of_distances_are_kept() -> None:
    house = House(window=True).open()
    house.camera.range_errors = [float(number) for number in range(200)]
    house.cameras.inferred(house.unit(0), FOUND, 10.5)
    house.cameras.measured(house.camera, 100, [Detection("ball", 1, 0.9, (0.0, 0.0, 1.0, 1.0), 2.0, 1.0)], 11.0)
    assert house.camera.range_errors == [float(number) for number in range(1, 200)] + [1.0]


def test_what_waits_for_its_distances_can_go_on_without_them() -> None:
    house = House(window=True).open()
    units = [house.unit(frame) for frame in range(2)]
    for unit in units:
        house.cameras.inferred(unit, FOUND, 10.5)
    house.cameras.go_without(house.camera, 11.0)
    assert house.camera.measuring == {}
    assert house.records == [record(unit, "demo", FOUND, 1.0) for unit in units]


@pytest.mark.parametrize(("now_s", "late"), [(15.5, False), (15.51, True)])
def test_a_camera_that_does_not_measure_in_five_seconds_is_overdue(now_s: float, late: bool) -> None:
    house = House(window=True).open()
    assert house.cameras.overdue(100.0) == []
    house.cameras.inferred(house.unit(0), FOUND, 10.5)
    assert house.cameras.overdue(now_s) == ([house.camera] if late else [])


def test_a_camera_is_not_overdue_for_a_time_in_which_the_supervisor_stood_still() -> None:
    house = House(window=True).open()
    house.cameras.inferred(house.unit(0), FOUND, 10.5)
    house.cameras.extend_deadlines(20.0)
    assert house.cameras.overdue(25.0) == []
    assert house.cameras.overdue(25.1) == [house.camera]


def test_a_published_result_counts_for_the_rate_and_the_latency() -> None:
    house = House().open()
    for frame, now_s in ((0, 10.5), (1, 11.0), (2, 11.5)):
        house.cameras.publish(house.camera, house.unit(frame), Outcome(), now_s)
    assert house.camera.detection.per_s(11.5) == pytest.approx(2.0)
    status = house.camera.latency.status()
    assert (status.p50, status.p99) == (1000.0, 1500.0)


def test_a_unit_that_has_ended_is_neither_published_nor_given_up_again() -> None:
    house = House(ordered=True).open()
    house.cameras._reorder(house.camera, 0).expect(0)
    unit = house.unit(0)
    house.cameras.publish(house.camera, unit, Outcome(), 10.5)
    house.cameras.publish(house.camera, unit, Outcome(), 10.6)
    house.cameras.give_up(house.camera, unit, "why", 10.7)
    assert house.records == [record(unit, "demo", Outcome(), 0.5)]
    assert house.counted(begun=1, result=1)
    assert house.ledger.doubled == 2
    assert house.camera.latency.status().p99 == 500.0


def test_a_result_that_leaves_behind_a_later_one_of_its_graph_is_counted_as_out_of_order() -> None:
    house = House(("demo", "faces")).open()
    seen = []
    for frame, graph in ((0, 0), (1, 0), (0, 1), (1, 0), (0, 0)):
        house.cameras.publish(house.camera, house.unit(frame, graph=graph), Outcome(), 10.5)
        seen.append(house.ledger.out_of_order)
    assert seen == [0, 0, 0, 1, 2]
    assert house.camera.published == {0: 0, 1: 0}


@pytest.mark.parametrize("ordered", [False, True])
def test_records_of_live_cameras_may_be_lost_and_those_of_ordered_ones_may_not(ordered: bool) -> None:
    house = House(ordered=ordered).open()
    house.cameras._reorder(house.camera, 0).expect(0)
    house.cameras.publish(house.camera, house.unit(0), Outcome(), 10.5)
    assert [kept.live for kept in house.outbox._kept] == [not ordered]


def test_without_a_sink_results_are_published_and_not_kept() -> None:
    house = House(sink=False).open()
    house.cameras.publish(house.camera, house.unit(0), Outcome(), 10.5)
    assert house.counted(begun=1, result=1)
    assert house.outbox.kept == 0
