"""What a camera adds to a result: each answer of a stick or of the camera leads to exact actions, records and counts."""

from __future__ import annotations

import pytest

from ncs_cluster.core.events import Exited
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.messages import Measured
from ncs_cluster.types import Classified, Detection, Outcome
from tests.core.onecamera import BALL, FOUND, HELLO, CameraSetup, granted, info, measure, record, ref

BOX = (0.0, 0.0, 1.0, 1.0)


def test_a_result_is_measured_where_the_camera_is_drawn() -> None:
    setup = CameraSetup(window=True).open()
    empty, full = setup.unit(0), setup.unit(1)
    assert setup.inferred(empty, Outcome(), 10.5) == measure(empty, Outcome())
    assert setup.inferred(full, FOUND, 11.0) == measure(full)
    assert setup.camera.measuring == {100: (empty, Outcome()), 101: (full, FOUND)}
    assert setup.camera.measuring_since_s == 10.5
    assert setup.counted(begun=2)
    assert setup.records == []


@pytest.mark.parametrize(
    ("depth_scale_m", "outcome", "measured"),
    [(None, Outcome(), False), (None, FOUND, False), (0.001, Outcome(), False), (0.001, FOUND, True)],
)
def test_a_result_of_a_camera_that_is_not_drawn_is_measured_where_there_is_depth_and_a_detection(
    depth_scale_m: float | None, outcome: Outcome, measured: bool
) -> None:
    setup = CameraSetup().open(info(depth_scale_m=depth_scale_m))
    unit = setup.unit(0)
    assert setup.inferred(unit, outcome, 10.5) == (measure(unit, outcome) if measured else [])
    assert setup.records == ([] if measured else [record(unit, "demo", outcome, 0.5)])
    assert setup.camera.measuring == ({100: (unit, outcome)} if measured else {})


def test_a_result_behind_one_that_is_measured_is_measured_too() -> None:
    """It must not overtake that one."""
    setup = CameraSetup().open(info(depth_scale_m=0.001))
    first, empty = setup.unit(0), setup.unit(1)
    setup.inferred(first, FOUND, 10.5)
    assert setup.inferred(empty, Outcome(), 10.6) == measure(empty, Outcome())


def test_a_result_is_measured_under_the_name_of_its_graph() -> None:
    setup = CameraSetup(("demo", "faces"), window=True).open()
    unit = setup.unit(0, graph=1)
    assert setup.inferred(unit, FOUND, 10.5) == measure(unit, graph="faces")


def test_a_result_of_a_camera_that_is_away_goes_on_unmeasured_behind_those_that_waited() -> None:
    setup = CameraSetup(window=True).open()
    first, second = setup.unit(0), setup.unit(1)
    setup.inferred(first, FOUND, 10.5)
    setup.camera.child.exited("exit code 1", 10.6)
    assert setup.inferred(second, Outcome(), 11.0) == []
    assert setup.camera.measuring == {}
    assert setup.records == [record(first, "demo", FOUND, 1.0), record(second, "demo", Outcome(), 1.0)]


def test_a_camera_that_has_described_no_source_adds_nothing() -> None:
    setup = CameraSetup(window=True)
    setup.receive(HELLO, 0.0)
    assert setup.camera.enrich(setup.unit(0), FOUND, 10.5) is None
    assert setup.camera.measuring == {}


def test_a_measured_result_is_published_with_its_distances() -> None:
    setup = CameraSetup(window=True).open()
    unit, next_one = setup.unit(0), setup.unit(1)
    classes = [Classified("cat", 1, 0.5)]
    setup.inferred(unit, Outcome([BALL], classes), 10.5)
    setup.inferred(next_one, FOUND, 10.6)
    near = Detection("ball", 1, 0.9, BOX, 1.5)
    assert setup.receive(Measured(100, [near]), 11.0) == []
    assert setup.records == [record(unit, "demo", Outcome([near], classes), 1.0)]
    assert setup.camera.measuring == {101: (next_one, FOUND)}
    assert setup.camera.measuring_since_s == 11.0
    assert setup.counted(begun=2, result=1)


def test_the_slot_of_a_measured_frame_may_be_written_again() -> None:
    setup = CameraSetup(window=True).open()
    for _ in range(28):
        setup.slots.grant()
    for slot in range(30):
        setup.slots.written(slot, 1)
    unit = Unit("cam0", Frame(ref(0, 4), setup.slots, 10.0, 1.7e9, None), 0)
    setup.tally.begin(unit)
    assert setup.inferred(unit, FOUND, 10.5) == measure(unit)
    assert setup.receive(Measured(unit.ticket, []), 11.0) == granted(4)


def test_results_that_were_passed_over_by_a_measured_one_are_published_before_it() -> None:
    setup = CameraSetup(window=True).open()
    units = [setup.unit(frame) for frame in range(3)]
    for unit in units:
        setup.inferred(unit, FOUND, 10.5)
    setup.receive(Measured(101, []), 11.0)
    assert setup.records == [record(units[0], "demo", FOUND, 1.0), record(units[1], "demo", Outcome(), 1.0)]
    assert list(setup.camera.measuring) == [102]


def test_an_answer_that_is_not_waited_for_changes_nothing() -> None:
    setup = CameraSetup(window=True).open()
    setup.inferred(setup.unit(0), FOUND, 10.5)
    assert setup.receive(Measured(999, [BALL]), 11.0) == []
    assert (setup.records, list(setup.camera.measuring), setup.camera.measuring_since_s) == ([], [100], 10.5)


@pytest.mark.parametrize(
    ("distance_m", "true_m", "errors"),
    [(1.5, 1.0, [0.5]), (3.0, 4.0, [0.25]), (0.0, 2.0, [1.0]), (None, 1.0, []), (1.5, None, []), (1.5, 0.0, [])],
)
def test_a_distance_is_compared_with_the_true_one_where_both_are_known(
    distance_m: float | None, true_m: float | None, errors: list[float]
) -> None:
    setup = CameraSetup(window=True).open()
    setup.inferred(setup.unit(0), FOUND, 10.5)
    setup.receive(Measured(100, [Detection("ball", 1, 0.9, BOX, distance_m, true_m)]), 11.0)
    assert setup.camera.range_errors == errors


def test_the_last_200_errors_of_distances_are_kept() -> None:
    setup = CameraSetup(window=True).open()
    setup.camera.range_errors = [float(number) for number in range(200)]
    setup.inferred(setup.unit(0), FOUND, 10.5)
    setup.receive(Measured(100, [Detection("ball", 1, 0.9, BOX, 2.0, 1.0)]), 11.0)
    assert setup.camera.range_errors == [float(number) for number in range(1, 200)] + [1.0]


def test_what_waits_for_its_distances_can_go_on_without_them() -> None:
    setup = CameraSetup(window=True).open()
    units = [setup.unit(frame) for frame in range(2)]
    for unit in units:
        setup.inferred(unit, FOUND, 10.5)
    setup.camera.publish_unmeasured(11.0)
    assert setup.camera.measuring == {}
    assert setup.records == [record(unit, "demo", FOUND, 1.0) for unit in units]


def test_a_camera_that_abandons_its_measuring_gives_the_results_back_oldest_first() -> None:
    setup = CameraSetup(window=True).open()
    units = [setup.unit(frame) for frame in range(2)]
    for unit in units:
        setup.inferred(unit, FOUND, 10.5)
    assert setup.camera.abandon(11.0) == [(unit, FOUND) for unit in units]
    assert setup.camera.abandon(11.0) == []
    assert setup.records == []


def test_results_that_were_held_are_measured_in_order() -> None:
    setup = CameraSetup(window=True).open()
    first, second = setup.on_stick(0), setup.on_stick(1)
    assert setup.inferred(second, FOUND, 10.5) == []
    assert setup.inferred(first, FOUND, 10.6) == measure(first) + measure(second)
    setup.receive(Exited("exit code 1", 1), 11.0)
    assert setup.records == [record(first, "demo", FOUND, 1.0), record(second, "demo", FOUND, 1.0)]
