"""The dispatcher alone: exact calls lead to exact hand-overs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.work import Count, Tally
from ncs_cluster.types import StickId
from tests.core.onedispatcher import A, B, DispatcherSetup, a_unit


def test_a_new_dispatcher_has_nothing_to_do() -> None:
    dispatcher = Dispatcher(Tally())
    assert (dispatcher.lanes, dispatcher.queues, dispatcher.permits) == ({}, {}, {})
    assert (dispatcher.deadline_s, dispatcher.assign(1.0), dispatcher.deadline_s) == (None, [], None)
    assert (dispatcher.at_work("default"), dispatcher.waiting(), dispatcher.not_at_fault(A), dispatcher.detach(A)) == (
        0,
        0,
        False,
        [],
    )


def test_a_stick_that_can_work_has_a_new_seat_which_rests() -> None:
    dispatcher = Dispatcher(Tally())
    first = dispatcher.attach(A, 3)
    assert (first.stick, first.max_in_flight, first.can_reset, first.duty) == (A, 3, False, 0.0)
    assert first.pool == "default"
    second = dispatcher.attach(A, 1, pool="usb", can_reset=True)
    assert (dispatcher.queues, second.can_reset, second.pool) == ({A: second}, True, "usb")


def test_a_live_lane_fills_every_executor_at_once_and_one_request_more_just_in_time() -> None:
    setup = DispatcherSetup()
    setup.dispatcher.attach(A, 4, executors=2)
    setup.known(A, 0.010)
    handed = []
    for number in (1, 2, 3):
        setup.offer(number)
        handed += setup.assign(10.0)
    assert (handed, setup.pending()) == ([("cam0", 1, A), ("cam0", 2, A)], [3])
    assert setup.dispatcher.deadline_s == pytest.approx(10.0 + 0.010 - 0.003)
    assert setup.assign(10.007) == [("cam0", 3, A)]
    setup.offer(4)
    assert setup.assign(10.008) == []


def test_the_graphs_of_a_stream_share_its_weight() -> None:
    dispatcher = Dispatcher(Tally())
    dispatcher.open_lanes("cam0", [0, 2], 4.0, ordered=True)
    assert list(dispatcher.lanes) == [("cam0", 0), ("cam0", 2)]
    lane = dispatcher.lanes["cam0", 2]
    assert (lane.stream, lane.graph, lane.cost, lane.ordered, lane.virtual_s, list(lane.pending)) == ("cam0", 2, 0.5, True, 0.0, [])
    assert lane.held is False


def test_another_weight_of_a_stream_is_shared_by_its_graphs_and_by_no_other() -> None:
    dispatcher = Dispatcher(Tally())
    dispatcher.open_lanes("cam0", [0, 1], 4.0, ordered=True)
    dispatcher.open_lanes("cam1", [0], 4.0, ordered=True)
    dispatcher.set_weight("cam0", 8.0)
    assert [lane.cost for lane in dispatcher.lanes.values()] == [0.25, 0.25, 0.25]
    dispatcher.set_weight("cam0", 1.0)
    assert [lane.cost for lane in dispatcher.lanes.values()] == [2.0, 2.0, 0.25]
    dispatcher.set_weight("cam9", 1.0)
    assert [lane.cost for lane in dispatcher.lanes.values()] == [2.0, 2.0, 0.25]


def test_a_unit_is_handed_over_once_with_a_ticket_of_its_own() -> None:
    setup = DispatcherSetup(A, B, ordered=True)
    one, two = setup.offer(1), setup.offer(2)
    assert setup.dispatcher.assign(10.0) == [one, two]
    assert (one.ticket, one.stick, one.sent_s, two.ticket, two.stick, two.sent_s) == (1, A, 10.0, 2, B, 10.0)
    assert (setup.dispatcher.queues[A].in_flight, setup.dispatcher.queues[B].in_flight) == ({1: one}, {2: two})
    assert (setup.dispatcher.queues[A].last_sent_s, setup.dispatcher.at_work("default"), setup.tally.open) == (10.0, 2, {one, two})
    assert setup.dispatcher.assign(10.1) == []


def test_a_live_lane_keeps_its_newest_frame_alone_and_an_ordered_one_all() -> None:
    live, ordered = DispatcherSetup(), DispatcherSetup(ordered=True)
    live.offer(1, 2, 3)
    ordered.offer(1, 2, 3)
    assert (live.pending(), live.tally.count("cam0")) == ([3], Count(begun=3, dropped=2))
    assert (ordered.pending(), ordered.tally.count("cam0")) == ([1, 2, 3], Count(begun=3))
    assert (ordered.dispatcher.waiting(), ordered.dispatcher.waiting("cam0"), ordered.dispatcher.waiting("cam1")) == (3, 3, 0)


@pytest.mark.parametrize(
    ("change", "looks"),
    [
        (lambda setup: None, False),
        (lambda setup: setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=False), True),
        (lambda setup: setup.dispatcher.attach(B, 1), True),
        (lambda setup: setup.dispatcher.detach(B), True),
        (lambda setup: setup.dispatcher.detach(StickId("c")), False),
        (lambda setup: setup.dispatcher.set_duties({A: 0.5}), True),
        (lambda setup: setup.dispatcher.set_duties({A: 1.0}), False),
        (lambda setup: setup.dispatcher.set_duties({StickId("c"): 0.5}), False),
        (lambda setup: setup.dispatcher.set_duties({}), False),
        (lambda setup: setup.dispatcher.permit("default", 3), True),
        (lambda setup: setup.dispatcher.permit("default", 0), False),
        (lambda setup: setup.dispatcher.permit("usb", 1), True),
        (lambda setup: [setup.dispatcher.hold("cam0", held=held) for held in (True, False)], True),
        (lambda setup: setup.dispatcher.hold("cam0", held=False), False),
        (lambda setup: setup.dispatcher.hold("cam9", held=True), False),
        (lambda setup: setup.dispatcher.close_lanes("cam9"), True),
        (lambda setup: setup.dispatcher.set_weight("cam0", 2.0), False),
        (lambda setup: setup.dispatcher.extend_deadlines(10.0), True),
        (lambda setup: setup.dispatcher.answered(B, 1, 0.1, 10.0), True),
        (lambda setup: setup.dispatcher.answered(B, 9, 0.1, 10.0), False),
    ],
)
def test_the_sticks_are_looked_at_again_only_after_a_change(change: Callable[[DispatcherSetup], object], looks: bool) -> None:
    setup = DispatcherSetup(B)
    setup.offer(0)
    assert setup.assign(9.0) == [("cam0", 0, B)]
    setup.dispatcher.set_duties({B: 0.0})
    setup.dispatcher.permit("default", 0)
    setup.dispatcher.attach(A, 1)
    setup.offer(1)
    assert setup.assign(10.0) == []
    setup.dispatcher.queues[A].duty = 1.0
    change(setup)
    assert setup.assign(10.0) == ([("cam0", 1, A)] if looks else [])


def test_a_newer_frame_in_the_place_of_an_older_one_is_no_change_but_one_in_the_place_of_a_suspect_is() -> None:
    for tried, looks in (((), False), ((B,), True)):
        setup = DispatcherSetup()
        setup.dispatcher.attach(A, 1)
        setup.offer(1, tried=tried)
        assert setup.assign(10.0) == []
        setup.dispatcher.queues[A].duty = 1.0
        setup.offer(2)
        assert setup.assign(10.0) == ([("cam0", 2, A)] if looks else [])


def test_a_change_before_a_newer_frame_takes_the_place_of_an_older_one_is_still_acted_on() -> None:
    setup = DispatcherSetup()
    setup.dispatcher.attach(A, 1)
    setup.offer(1)
    assert setup.assign(10.0) == []
    setup.dispatcher.set_duties({A: 1.0})
    setup.offer(2)
    assert setup.assign(10.0) == [("cam0", 2, A)]


def test_before_its_deadline_nothing_is_looked_at_unless_something_changed() -> None:
    setup = DispatcherSetup(A)
    setup.known(A, 0.25)
    setup.offer(1)
    setup.assign(10.0)
    setup.offer(2)
    assert setup.assign(10.0) == []
    setup.dispatcher.queues[A].ready_s = 0.0
    assert setup.assign(10.2) == []
    assert setup.assign(10.25 - 0.003) == [("cam0", 2, A)]


def test_the_first_frame_of_a_lane_is_a_change() -> None:
    setup = DispatcherSetup(A)
    assert setup.assign(10.0) == []
    setup.offer(1)
    assert setup.assign(10.0) == [("cam0", 1, A)]
    assert setup.pending() == []


def test_all_that_is_abandoned_is_forgotten() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=1)
    setup.offer(1, 2)
    setup.assign(10.0)
    setup.dispatcher.abandon()
    assert (setup.held(A), setup.pending(), setup.dispatcher.queues[A].ready_s) == ([], [], 0.0)
    setup.offer(3)
    assert setup.assign(10.0) == [("cam0", 3, A)]


def test_after_all_was_abandoned_the_sticks_are_looked_at_again() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=1)
    setup.offer(1)
    setup.assign(10.0)
    assert setup.assign(10.0) == []
    setup.dispatcher.abandon()
    setup.dispatcher.lanes["cam0", 0].pending.append(a_unit(2))
    assert setup.assign(10.0) == [("cam0", 2, A)]


def test_a_stick_works_while_it_has_a_request_in_flight() -> None:
    setup = DispatcherSetup(A, ordered=True)
    queue = setup.dispatcher.queues[A]
    setup.offer(1, 2)
    setup.assign(10.0)
    tickets = list(queue.in_flight)
    setup.dispatcher.answered(A, tickets[0], 0.1, 10.2)
    assert queue.worked_s(10.3) == pytest.approx(0.3)
    setup.dispatcher.answered(A, tickets[1], 0.1, 10.4)
    assert queue.worked_s(99.0) == pytest.approx(0.4)
