"""One stick as the dispatcher sees it: exact times of its next turn, its end and its patience."""

from __future__ import annotations

import pytest

from ncs_cluster.core.stick_queue import StickQueue
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.status import LatencyStatus
from ncs_cluster.types import CameraName, FrameRef, StickId

STICK = StickId("sim-1")


def a_unit(number: int = 0, *, graph: int = 0, sent_s: float = 10.0, tried: tuple[str, ...] = ()) -> Unit:
    unit = Unit("cam0", Frame(FrameRef(CameraName("cam0"), 1, 0, number, 640, 480), None, 9.0, 1.7e9, None), graph)
    unit.sent_s = sent_s
    unit.tried = [StickId(each) for each in tried]
    return unit


def a_seat(*took_s: float, graph: int = 0) -> StickQueue:
    """A seat of two requests that has answered so often, each after so long."""
    queue = StickQueue(STICK, 2)
    for each in took_s:
        queue.record(graph, each)
    return queue


@pytest.mark.parametrize(("told", "kept"), [(-1, 1), (0, 1), (1, 1), (2, 2), (8, 8)])
def test_a_seat_takes_at_least_one_request(told: int, kept: int) -> None:
    assert StickQueue(STICK, told).max_in_flight == kept


def test_a_new_seat_rests_and_holds_nothing() -> None:
    queue = StickQueue(STICK, 2)
    assert (queue.stick, queue.can_reset, queue.reset_s, queue.duty, queue.in_flight) == ("sim-1", False, None, 0.0, {})
    assert (queue.last_done_s, queue.last_sent_s, queue.throttled, queue.ready_s, queue.isolated) == (0.0, 0.0, False, 0.0, False)
    assert (queue.service.mean_s, queue.latency.status(), queue.done.per_s(0.0)) == (None, LatencyStatus(None, None), 0.0)
    assert queue.pool == "default"
    other = StickQueue(STICK, 2, pool="usb", can_reset=True)
    assert (other.pool, other.can_reset) == ("usb", True)


def test_the_turn_of_an_empty_seat_is_at_once() -> None:
    queue = a_seat(0.1)
    queue.ready_s, queue.isolated = 5.0, True
    queue.recompute()
    assert (queue.ready_s, queue.isolated) == (0.0, False)


def test_the_turn_of_a_busy_seat_comes_a_lead_before_its_expected_end() -> None:
    queue = a_seat(0.25)
    queue.service.deviation_s = 0.0
    queue.in_flight[1] = a_unit(sent_s=10.0)
    queue.recompute()
    assert (queue.expected_end_s(), queue.ready_s, queue.isolated) == (10.25, 10.25 - 0.003, False)


@pytest.mark.parametrize(("sent_s", "last_done_s", "end_s"), [(10.0, 9.0, 10.5), (10.0, 10.0, 10.5), (10.0, 11.0, 11.5)])
def test_a_request_begins_when_it_was_sent_or_when_the_one_before_it_ended(sent_s: float, last_done_s: float, end_s: float) -> None:
    queue = a_seat(0.5)
    queue.last_done_s = last_done_s
    queue.in_flight[1] = a_unit(sent_s=sent_s)
    assert queue.expected_end_s() == end_s


def test_the_first_of_several_requests_is_the_one_on_the_stick() -> None:
    queue = a_seat(0.5)
    queue.in_flight = {1: a_unit(sent_s=10.0), 2: a_unit(sent_s=10.4)}
    assert queue.expected_end_s() == 10.5


def test_a_stick_of_unknown_speed_ends_and_leads_in_no_time() -> None:
    queue = a_seat()
    queue.in_flight[1] = a_unit(sent_s=10.0)
    assert (queue.expected_end_s(), queue.lead_s()) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("mean_s", "change_s", "lead_s"),
    [(0.25, 0.0, 0.003), (0.25, 0.001, 0.0017), (0.25, 0.1, -0.127), (0.002, 0.0, 0.002)],
)
def test_a_stick_whose_times_vary_gets_its_next_request_later(mean_s: float, change_s: float, lead_s: float) -> None:
    queue = StickQueue(STICK, 2)
    queue.service.mean_s, queue.service.change_s = mean_s, change_s
    assert queue.lead_s() == pytest.approx(lead_s, abs=1e-12)


def test_the_whole_deviation_counts_on_a_device_with_several_executors() -> None:
    queue = StickQueue(STICK, 3, executors=2)
    queue.service.mean_s, queue.service.deviation_s = 0.25, 0.02
    assert queue.lead_s() == pytest.approx(0.043, abs=1e-12)


def test_an_answer_is_counted_for_the_stick_and_for_its_graph() -> None:
    queue = a_seat(1.0)
    assert (queue.service.mean_s, queue.service.deviation_s) == (1.0, 0.25)
    queue.record(1, 9.0)
    assert (queue.service.mean_s, queue.service.deviation_s) == (2.0, 0.25 + (8.0 - 0.25) / 4)
    queue.in_flight[1] = a_unit(graph=0)
    assert queue.patience_s() == 10.0, "5 * (1 + 4 * 0.25)"
    queue.in_flight = {2: a_unit(graph=1)}
    assert queue.patience_s() == 90.0, "5 * (9 + 4 * 2.25)"


def test_a_second_answer_of_a_graph_adds_to_the_first() -> None:
    queue = a_seat(1.0, 1.0)
    queue.in_flight[1] = a_unit(graph=0)
    assert queue.patience_s() == 5 * (1.0 + 4 * 0.1875)


@pytest.mark.parametrize(("took_s", "patience_s"), [(0.1, 1.5), (0.15, 1.5), (0.25, 2.5), (1.0, 10.0)])
def test_the_patience_is_five_times_the_service_and_at_least_one_and_a_half_seconds(took_s: float, patience_s: float) -> None:
    queue = a_seat(took_s)
    assert queue.patience_s() == patience_s, "of any graph while it holds nothing"
    queue.in_flight[1] = a_unit()
    assert queue.patience_s() == patience_s


@pytest.mark.parametrize(("max_in_flight", "services"), [(1, 5), (2, 6), (4, 10), (6, 14)])
def test_a_stick_whose_worker_resets_it_may_answer_after_all_that_it_holds(max_in_flight: int, services: int) -> None:
    queue = StickQueue(STICK, max_in_flight, can_reset=True)
    queue.record(0, 1.0)
    assert queue.patience_s() == services * (1.0 + 4 * queue.service.deviation_s)


def test_a_graph_that_has_never_answered_is_waited_for_ten_seconds() -> None:
    queue = a_seat()
    assert queue.patience_s() == 10.0
    queue.record(0, 0.1)
    queue.in_flight[1] = a_unit(graph=1)
    assert queue.patience_s() == 10.0


@pytest.mark.parametrize(("level", "throttled"), [(0, False), (1, True), (2, True)])
def test_a_stick_is_throttled_from_level_1_on(level: int, throttled: bool) -> None:
    queue = a_seat(0.1)
    queue.throttle(level)
    assert (queue.throttled, queue.patience_s()) == (throttled, 15.0 if throttled else 1.5)


def test_a_stick_that_was_throttled_is_waited_for_longer_until_its_next_answer() -> None:
    queue = a_seat(0.1)
    queue.throttle(2)
    queue.throttle(0)
    assert (queue.throttled, queue.patience_s()) == (False, 15.0)
    queue.record(0, 0.1)
    assert queue.patience_s() == 1.5


def test_an_answer_of_a_stick_that_is_still_throttled_does_not_shorten_its_patience() -> None:
    queue = a_seat(0.1)
    queue.throttle(1)
    queue.record(0, 0.1)
    assert queue.patience_s() == 15.0


def test_a_seat_with_a_suspect_among_its_units_is_isolated() -> None:
    queue = a_seat(0.1)
    queue.in_flight = {1: a_unit(0), 2: a_unit(1)}
    assert queue.holds_retry() is False
    queue.in_flight[2] = a_unit(1, tried=("sim-2",))
    assert (queue.holds_retry(), queue.isolated) == (True, False)
    queue.recompute()
    assert queue.isolated is True


def test_it_works_from_its_first_request_to_its_last_answer() -> None:
    queue = StickQueue(STICK, 2)
    assert queue.worked_s(10.0) == 0.0
    queue.begin(10.0)
    queue.begin(10.5)
    assert queue.worked_s(11.0) == 1.0
    queue.end(12.0)
    queue.end(13.0)
    assert queue.worked_s(20.0) == 2.0
    queue.begin(20.0)
    assert queue.worked_s(20.25) == 2.25
    assert queue.worked_s(19.0) == 2.0, "a view of a time before changes nothing"
