"""The dispatcher alone: exact calls lead to exact hand-overs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.stick_queue import StickQueue
from ncs_cluster.core.work import Count, Frame, Ledger, Unit
from ncs_cluster.types import CameraName, FrameRef, StickId

A, B = StickId("a"), StickId("b")


def a_unit(number: int, stream: str = "cam0", graph: int = 0) -> Unit:
    return Unit(stream, Frame(FrameRef(CameraName(stream), 1, 0, number, 640, 480), None, 0.0, 0.0, None), graph)


class DispatcherSetup:
    """A dispatcher with one stream, cam0, and sticks at full speed."""

    def __init__(self, *sticks: StickId, ordered: bool = False, max_in_flight: int = 2, graphs: int = 1) -> None:
        self.ledger = Ledger()
        self.dispatcher = Dispatcher(self.ledger)
        self.dispatcher.open_lanes("cam0", range(graphs), 1.0, ordered=ordered)
        for stick in sticks:
            self.dispatcher.attach(stick, max_in_flight)
        self.dispatcher.set_duties(dict.fromkeys(sticks, 1.0))

    def offer(self, *numbers: int, stream: str = "cam0", tried: tuple[StickId, ...] = ()) -> Unit:
        for number in numbers:
            unit = a_unit(number, stream)
            unit.tried = list(tried)
            self.dispatcher.offer(unit)
        return unit

    def assign(self, now_s: float) -> list[tuple[str, int, str | None]]:
        """Stream, frame and stick of what is handed over."""
        units = self.dispatcher.assign(now_s)
        assert all(unit.sent_s == now_s for unit in units)
        return [(unit.stream, unit.number, unit.stick) for unit in units]

    def known(self, stick: StickId, mean_s: float, duty: float = 1.0) -> StickQueue:
        """The stick takes so long, always."""
        queue = self.dispatcher.queues[stick]
        queue.service.mean_s, queue.service.deviation_s = mean_s, 0.0
        self.dispatcher.set_duties({each: duty if each == stick else old.duty for each, old in self.dispatcher.queues.items()})
        return queue

    def pending(self, stream: str = "cam0", graph: int = 0) -> list[int]:
        return [unit.number for unit in self.dispatcher.lanes[stream, graph].pending]

    def held(self, stick: StickId) -> list[int]:
        return [unit.number for unit in self.dispatcher.queues[stick].in_flight.values()]


def test_a_new_dispatcher_has_nothing_to_do() -> None:
    dispatcher = Dispatcher(Ledger())
    assert (dispatcher.lanes, dispatcher.queues, dispatcher.permits) == ({}, {}, {})
    assert (dispatcher.deadline_s, dispatcher.assign(1.0), dispatcher.deadline_s) == (None, [], None)
    assert (dispatcher.at_work("default"), dispatcher.waiting(), dispatcher.not_at_fault(A), dispatcher.detach(A)) == (
        0,
        0,
        False,
        [],
    )


def test_a_stick_that_can_work_has_a_new_seat_which_rests() -> None:
    dispatcher = Dispatcher(Ledger())
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
    dispatcher = Dispatcher(Ledger())
    dispatcher.open_lanes("cam0", [0, 2], 4.0, ordered=True)
    assert list(dispatcher.lanes) == [("cam0", 0), ("cam0", 2)]
    lane = dispatcher.lanes["cam0", 2]
    assert (lane.stream, lane.graph, lane.cost, lane.ordered, lane.virtual_s, list(lane.pending)) == ("cam0", 2, 0.5, True, 0.0, [])
    assert lane.held is False


def test_another_weight_of_a_stream_is_shared_by_its_graphs_and_by_no_other() -> None:
    dispatcher = Dispatcher(Ledger())
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
    assert (setup.dispatcher.queues[A].last_sent_s, setup.dispatcher.at_work("default"), setup.ledger.open) == (10.0, 2, {one, two})
    assert setup.dispatcher.assign(10.1) == []


def test_a_live_lane_keeps_its_newest_frame_alone_and_an_ordered_one_all() -> None:
    live, ordered = DispatcherSetup(), DispatcherSetup(ordered=True)
    live.offer(1, 2, 3)
    ordered.offer(1, 2, 3)
    assert (live.pending(), live.ledger.count("cam0")) == ([3], Count(begun=3, dropped=2))
    assert (ordered.pending(), ordered.ledger.count("cam0")) == ([1, 2, 3], Count(begun=3))
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


# -- a stick dies


def test_a_stick_that_dies_returns_its_frames_to_the_head_of_the_lane_in_their_order() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=3)
    setup.offer(1, 2, 3, 4)
    assert setup.assign(10.0) == [("cam0", 1, A), ("cam0", 2, A), ("cam0", 3, A)]
    units = list(setup.dispatcher.queues[A].in_flight.values())
    assert setup.dispatcher.detach(A) == []
    assert (setup.pending(), setup.dispatcher.queues) == ([1, 2, 3, 4], {})
    assert [(unit.tried, unit.stick, unit.ticket) for unit in units] == [([A], None, -1)] * 3
    assert setup.ledger.count("cam0") == Count(begun=4)


def test_a_live_frame_whose_stick_dies_makes_room_for_a_newer_one_else_it_is_tried_again() -> None:
    setup = DispatcherSetup(A)
    setup.offer(1)
    setup.assign(10.0)
    assert (setup.dispatcher.detach(A), setup.pending(), setup.ledger.count("cam0")) == ([], [1], Count(begun=1))
    setup.dispatcher.attach(A, 1)
    setup.dispatcher.set_duties({A: 1.0})
    setup.assign(11.0)
    setup.offer(2)
    assert (setup.dispatcher.detach(A), setup.pending(), setup.ledger.count("cam0")) == ([], [2], Count(begun=2, dropped=1))


@pytest.mark.parametrize(("tried", "given_up"), [(0, False), (1, False), (2, True)])
def test_a_frame_that_the_third_stick_dies_with_is_given_up(tried: int, given_up: bool) -> None:
    setup = DispatcherSetup(A)
    unit = setup.offer(1, tried=(B,) * tried)
    setup.assign(10.0)
    assert setup.dispatcher.detach(A) == ([unit] if given_up else [])
    assert (setup.pending(), unit.ended) == ([] if given_up else [1], None)


def test_a_lane_whose_frame_comes_back_does_not_save_up_turns() -> None:
    setup = DispatcherSetup(A, B, ordered=True, max_in_flight=1)
    setup.offer(1, 2)
    setup.assign(10.0)
    lane = setup.dispatcher.lanes["cam0", 0]
    lane.virtual_s = 0.5
    setup.dispatcher.detach(A)
    assert lane.virtual_s == 1.0, "as that of the frame handed over last"


def test_a_suspect_travels_alone_and_its_stick_is_blameless() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=3)
    setup.offer(1, tried=(B,))
    setup.offer(2)
    assert setup.dispatcher.not_at_fault(A) is False
    assert setup.assign(10.0) == [("cam0", 1, A)]
    assert setup.dispatcher.not_at_fault(A) is True
    setup.dispatcher.answered(A, 1, 0.1, 10.1)
    assert setup.assign(10.1) == [("cam0", 2, A)]
    assert setup.dispatcher.not_at_fault(A) is False


def test_a_suspect_goes_to_a_stick_that_has_not_died_with_it_where_there_is_one_at_work() -> None:
    setup = DispatcherSetup(A, B)
    setup.offer(1, tried=(A,))
    assert setup.assign(10.0) == [("cam0", 1, B)]
    alone = DispatcherSetup(A)
    alone.offer(1, tried=(A,))
    assert alone.assign(10.0) == [("cam0", 1, A)]
    resting = DispatcherSetup(A, B)
    resting.dispatcher.set_duties({B: 0.0})
    resting.offer(1, tried=(A,))
    assert resting.assign(10.0) == [("cam0", 1, A)]


def test_a_suspect_waits_for_a_stick_that_is_idle() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=3)
    setup.offer(1)
    setup.assign(10.0)
    setup.offer(2, tried=(B,))
    assert setup.assign(10.0) == []
    setup.dispatcher.answered(A, 1, 0.1, 10.1)
    assert setup.assign(10.1) == [("cam0", 2, A)]


@pytest.mark.parametrize("quick", [A, B])
def test_the_stick_that_will_be_idle_first_gets_nothing_on_top_while_a_suspect_waits(quick: StickId) -> None:
    setup = DispatcherSetup(A, B, ordered=True, max_in_flight=4)
    setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=True)
    for stick in (A, B):
        setup.known(stick, 1.0 if stick == quick else 2.0)
    setup.offer(1, 2)
    assert setup.assign(10.0) == [("cam0", 1, A), ("cam0", 2, B)]
    setup.offer(3, tried=(StickId("c"),))
    setup.offer(4, 5, 6, 7, stream="cam1")
    other = B if quick == A else A
    assert setup.assign(10.0) == [("cam1", 4, other), ("cam1", 5, other), ("cam1", 6, other)]


def test_the_stick_with_the_fewest_frames_is_idle_first() -> None:
    setup = DispatcherSetup(A, B, ordered=True, max_in_flight=3)
    setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=True)
    setup.known(A, 1.0)
    setup.known(B, 9.0)
    setup.offer(1, 2, 3)
    assert setup.assign(10.0) == [("cam0", 1, A), ("cam0", 2, B), ("cam0", 3, A)]
    setup.offer(4, tried=(StickId("c"),))
    setup.offer(5, 6, stream="cam1")
    assert setup.assign(10.0) == [("cam1", 5, A)]


def test_a_suspect_in_a_lane_that_is_held_keeps_no_stick_free() -> None:
    setup = DispatcherSetup(A, max_in_flight=2)
    setup.dispatcher.open_lanes("job", [0], 1.0, ordered=True)
    setup.known(A, 0.001)
    setup.offer(1)
    setup.assign(10.0)
    setup.offer(2, stream="job", tried=(B,))
    setup.offer(3)
    assert setup.assign(10.0) == []
    setup.dispatcher.hold("job", held=True)
    assert setup.assign(10.0) == [("cam0", 3, A)]


def test_a_resting_stick_is_not_kept_free_for_a_suspect() -> None:
    setup = DispatcherSetup(A, B, ordered=True, max_in_flight=2)
    setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=True)
    setup.offer(1, 2)
    setup.assign(10.0)
    setup.dispatcher.set_duties({A: 0.0})
    setup.offer(3, tried=(StickId("c"),))
    setup.offer(4, stream="cam1")
    assert setup.assign(10.0) == [], "stick b is kept free, though a would be idle first"


# -- a stream is closed


def test_the_frames_that_wait_in_the_lanes_of_a_closed_stream_are_returned_and_others_stay() -> None:
    setup = DispatcherSetup(ordered=True, graphs=2)
    setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=True)
    setup.offer(1, 2)
    other = a_unit(1, graph=1)
    setup.dispatcher.offer(other)
    setup.offer(9, stream="cam1")
    closed = setup.dispatcher.close_lanes("cam0")
    assert [(unit.number, unit.graph, unit.ended, unit.closed) for unit in closed] == [
        (1, 0, None, False),
        (2, 0, None, False),
        (1, 1, None, False),
    ]
    assert (list(setup.dispatcher.lanes), setup.pending("cam1"), setup.dispatcher.waiting()) == ([("cam1", 0)], [9], 1)
    assert setup.dispatcher.close_lanes("cam0") == []


def test_the_frames_of_a_closed_stream_that_sticks_have_are_marked_and_come_back() -> None:
    setup = DispatcherSetup(A, B, ordered=True, max_in_flight=1)
    setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=True)
    unit, other = setup.offer(1), setup.offer(2, stream="cam1")
    setup.assign(10.0)
    assert setup.dispatcher.close_lanes("cam0") == []
    assert (unit.closed, other.closed, setup.held(A)) == (True, False, [1])
    setup.dispatcher.close_lanes("cam1")
    assert (unit.closed, other.closed) == (True, True)
    assert setup.dispatcher.answered(A, 1, 0.1, 10.1) is unit


def test_a_frame_of_a_closed_stream_whose_stick_dies_is_dropped_also_where_a_new_stream_has_its_name() -> None:
    for opened_again in (False, True):
        setup = DispatcherSetup(A, ordered=True)
        unit = setup.offer(1)
        setup.assign(10.0)
        setup.dispatcher.close_lanes("cam0")
        if opened_again:
            setup.dispatcher.open_lanes("cam0", [0], 1.0, ordered=True)
        assert setup.dispatcher.detach(A) == []
        assert (unit.ended, setup.dispatcher.waiting(), setup.ledger.count("cam0")) == ("dropped", 0, Count(begun=1, dropped=1))


def test_a_closed_stream_whose_lanes_are_opened_again_begins_without_frames() -> None:
    setup = DispatcherSetup(ordered=True)
    setup.offer(1)
    setup.dispatcher.hold("cam0", held=True)
    setup.dispatcher.close_lanes("cam0")
    setup.dispatcher.open_lanes("cam0", [0], 1.0, ordered=True)
    assert (setup.pending(), setup.dispatcher.lanes["cam0", 0].held) == ([], False)


def test_where_the_last_live_stream_is_closed_ordered_lanes_fill_the_sticks() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=3)
    setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=False)
    setup.offer(1, 2, 3)
    assert setup.assign(10.0) == [("cam0", 1, A)]
    setup.dispatcher.close_lanes("cam1")
    assert setup.assign(10.0) == [("cam0", 2, A), ("cam0", 3, A)]


# -- the daemon stops


def test_all_frames_that_wait_are_taken_out_but_those_of_an_ordered_stream_that_have_been_on_a_stick() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=2)
    setup.dispatcher.open_lanes("live", [0], 1.0, ordered=False)
    live = setup.offer(7, stream="live", tried=(B,))
    setup.offer(1, tried=(B,))
    two, three = setup.offer(2), setup.offer(3)
    assert setup.dispatcher.drain() == [two, three, live]
    assert (setup.pending(), setup.pending("live"), live.ended) == ([1], [], None)
    assert setup.assign(10.0) == [("cam0", 1, A)]
    assert (setup.dispatcher.drain(), setup.held(A)) == ([], [1])


# -- which stick, and when


def test_of_idle_sticks_the_one_that_has_rested_longest_is_chosen_and_a_throttled_one_last() -> None:
    setup = DispatcherSetup(A, B, StickId("c"), ordered=True, max_in_flight=1)
    for stick, sent_s, throttled in ((A, 1.0, True), (B, 3.0, False), (StickId("c"), 2.0, False)):
        setup.dispatcher.queues[stick].last_sent_s, setup.dispatcher.queues[stick].throttled = sent_s, throttled
    setup.offer(1, 2, 3, 4)
    assert setup.assign(10.0) == [("cam0", 1, "c"), ("cam0", 2, B), ("cam0", 3, A)]


def test_a_stick_that_rests_gets_nothing() -> None:
    setup = DispatcherSetup(A, B)
    setup.dispatcher.set_duties({A: 0.0})
    setup.offer(1)
    assert setup.assign(10.0) == [("cam0", 1, B)]
    assert (setup.dispatcher.queues[A].duty, setup.dispatcher.queues[B].duty) == (0.0, 1.0)


def test_the_duties_of_sticks_that_are_not_named_stay() -> None:
    setup = DispatcherSetup(A, B)
    setup.dispatcher.set_duties({A: 0.25, StickId("c"): 0.5})
    assert {stick: queue.duty for stick, queue in setup.dispatcher.queues.items()} == {A: 0.25, B: 1.0}


@pytest.mark.parametrize(("permits", "handed"), [(0, 2), (1, 1), (2, 2)])
def test_no_more_sticks_are_at_work_than_are_permitted(permits: int, handed: int) -> None:
    setup = DispatcherSetup(A, B, ordered=True, max_in_flight=1)
    setup.dispatcher.permit("default", permits)
    setup.offer(1, 2)
    assert setup.assign(10.0) == [("cam0", 1, A), ("cam0", 2, B)][:handed]
    assert setup.dispatcher.at_work("default") == handed


def test_where_no_further_stick_is_permitted_those_at_work_are_filled() -> None:
    setup = DispatcherSetup(A, B, ordered=True, max_in_flight=2)
    setup.dispatcher.permit("default", 1)
    setup.offer(1, 2, 3)
    assert setup.assign(10.0) == [("cam0", 1, A), ("cam0", 2, A)]


C, D = StickId("c"), StickId("d")


def two_pools(max_in_flight: int = 1) -> DispatcherSetup:
    """The sticks a and c of the pool usb, b and d of the pool cpu."""
    setup = DispatcherSetup(ordered=True)
    for stick, pool in ((A, "usb"), (B, "cpu"), (C, "usb"), (D, "cpu")):
        setup.dispatcher.attach(stick, max_in_flight, pool=pool)
    setup.dispatcher.set_duties(dict.fromkeys((A, B, C, D), 1.0))
    return setup


@pytest.mark.parametrize(
    ("usb", "cpu", "handed"),
    [(0, 0, [A, B, C, D]), (1, 0, [A, B, D]), (1, 1, [A, B]), (0, 1, [A, B, C]), (2, 1, [A, B, C]), (1, 2, [A, B, D])],
)
def test_each_pool_has_its_own_number_of_sticks_at_work(usb: int, cpu: int, handed: list[StickId]) -> None:
    setup = two_pools()
    setup.dispatcher.permit("usb", usb)
    setup.dispatcher.permit("cpu", cpu)
    setup.offer(1, 2, 3, 4)
    assert [stick for _, _, stick in setup.assign(10.0)] == handed
    assert [setup.dispatcher.at_work(pool) for pool in ("usb", "cpu", "other")] == [
        len({A, C} & set(handed)),
        len({B, D} & set(handed)),
        0,
    ]


def test_a_pool_of_which_nothing_was_said_has_no_limit() -> None:
    setup = two_pools()
    setup.dispatcher.permit("usb", 1)
    setup.offer(1, 2, 3, 4)
    assert [stick for _, _, stick in setup.assign(10.0)] == [A, B, D]


def test_a_stick_that_becomes_free_makes_room_for_one_of_its_own_pool() -> None:
    setup = two_pools()
    setup.dispatcher.permit("usb", 1)
    setup.dispatcher.permit("cpu", 1)
    setup.offer(1, 2, 3)
    assert setup.assign(10.0) == [("cam0", 1, A), ("cam0", 2, B)]
    setup.dispatcher.answered(B, 2, 0.1, 10.1)
    assert setup.assign(10.1) == [("cam0", 3, D)]


def test_ordered_lanes_alone_fill_the_stick_with_the_fewest_frames_first() -> None:
    setup = DispatcherSetup(A, B, ordered=True, max_in_flight=3)
    setup.offer(*range(1, 8))
    assert [stick for _, _, stick in setup.assign(10.0)] == [A, B, A, B, A, B]
    assert setup.pending() == [7]


def test_of_busy_sticks_with_equally_many_frames_the_one_is_chosen_that_was_sent_one_the_longest_ago() -> None:
    setup = DispatcherSetup(A, B, ordered=True)
    setup.offer(1, 2)
    setup.assign(10.0)
    setup.dispatcher.queues[A].last_sent_s = 11.0
    setup.offer(3)
    assert setup.assign(12.0) == [("cam0", 3, B)]


@pytest.mark.parametrize(
    ("mean_s", "max_in_flight", "duty", "handed"),
    [
        (None, 2, 1.0, False),
        (0.001, 2, 1.0, True),
        (0.005999, 2, 1.0, True),
        (0.006, 2, 1.0, False),
        (0.001, 1, 1.0, False),
        (0.001, 2, 0.99, False),
    ],
)
def test_a_busy_stick_gets_a_live_frame_at_once_where_it_is_too_quick_for_a_timer(
    mean_s: float | None, max_in_flight: int, duty: float, handed: bool
) -> None:
    setup = DispatcherSetup(A, max_in_flight=max_in_flight)
    setup.offer(1)
    setup.assign(10.0)
    setup.dispatcher.queues[A].service.mean_s = mean_s
    setup.dispatcher.queues[A].recompute()
    setup.dispatcher.set_duties({A: duty})
    setup.offer(2)
    assert setup.assign(10.0) == ([("cam0", 2, A)] if handed else [])


def test_a_busy_stick_gets_a_live_frame_just_before_it_ends_the_present_one() -> None:
    setup = DispatcherSetup(A, max_in_flight=8)
    setup.known(A, 0.25)
    setup.offer(1)
    setup.assign(10.0)
    setup.offer(2)
    assert setup.assign(10.0) == []
    turn_s = 10.25 - 0.003
    assert setup.dispatcher.deadline_s == turn_s
    assert setup.assign(turn_s - 0.001) == []
    assert setup.dispatcher.deadline_s == turn_s
    assert setup.assign(turn_s) == [("cam0", 2, A)]
    assert setup.dispatcher.deadline_s is None
    setup.offer(3)
    assert setup.assign(10.3) == [], "never a third"
    assert setup.dispatcher.deadline_s is None


def test_the_first_turn_of_several_busy_sticks_is_the_deadline() -> None:
    setup = DispatcherSetup(A, B)
    setup.known(A, 0.5)
    setup.known(B, 0.25)
    setup.offer(1)
    setup.assign(10.0)
    setup.offer(2)
    setup.assign(10.0)
    setup.offer(3)
    assert setup.assign(10.0) == []
    assert setup.dispatcher.deadline_s == 10.25 - 0.003
    setup.known(A, 0.1).recompute()
    assert setup.dispatcher.assign(10.0) == []
    setup.dispatcher.extend_deadlines(10.0)
    assert setup.assign(10.0) == []
    assert setup.dispatcher.deadline_s == 10.1 - 0.003


def test_an_ordered_lane_beside_a_live_one_is_handed_over_like_that() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=3)
    setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=False)
    setup.known(A, 0.25)
    setup.offer(1, 2)
    assert setup.assign(10.0) == [("cam0", 1, A)]
    assert setup.assign(10.25) == [("cam0", 2, A)]


@pytest.mark.parametrize(("duty", "turn_s"), [(0.5, 10.5), (0.25, 11.0), (1.0, 10.25)])
def test_a_stick_at_a_part_of_its_speed_rests_between_two_frames(duty: float, turn_s: float) -> None:
    setup = DispatcherSetup(A, max_in_flight=1)
    setup.known(A, 0.25, duty)
    setup.dispatcher.queues[A].last_sent_s = 10.0
    setup.offer(1)
    if duty < 1.0:
        assert setup.assign(turn_s - 0.01) == []
        assert setup.dispatcher.deadline_s == turn_s
    assert setup.assign(turn_s) == [("cam0", 1, A)]
    assert setup.dispatcher.deadline_s is None


def test_a_stick_at_full_speed_that_has_answered_early_gets_the_next_frame_at_once() -> None:
    setup = DispatcherSetup(A, max_in_flight=1)
    setup.known(A, 0.25)
    setup.dispatcher.queues[A].last_sent_s = 10.0
    setup.offer(1)
    assert setup.assign(10.1) == [("cam0", 1, A)]


def test_a_slowed_stick_of_unknown_speed_is_tried_at_once() -> None:
    setup = DispatcherSetup(A)
    setup.dispatcher.set_duties({A: 0.5})
    setup.dispatcher.queues[A].last_sent_s = 10.0
    setup.offer(1)
    assert setup.assign(10.0) == [("cam0", 1, A)]


# -- whose turn it is


def test_ordered_lanes_take_turns_by_weight() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=9)
    setup.dispatcher.open_lanes("cam1", [0], 2.0, ordered=True)
    setup.dispatcher.lanes["cam0", 0].virtual_s = 0.25
    setup.offer(*range(5))
    setup.offer(*range(10, 19), stream="cam1")
    handed = [number for _, number, _ in setup.assign(10.0)]
    assert handed == [10, 0, 11, 12, 1, 13, 14, 2, 15]
    assert [lane.virtual_s for lane in setup.dispatcher.lanes.values()] == [3.25, 3.0]


def test_a_lane_that_was_empty_does_not_save_up_its_turns() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=9)
    setup.dispatcher.open_lanes("cam1", [0], 1.0, ordered=True)
    setup.offer(*range(4))
    setup.assign(10.0)
    setup.offer(10, 11, stream="cam1")
    assert setup.dispatcher.lanes["cam1", 0].virtual_s == 3.0
    setup.dispatcher.lanes["cam1", 0].virtual_s = 1.0
    setup.offer(12, stream="cam1")
    assert setup.dispatcher.lanes["cam1", 0].virtual_s == 1.0, "it was not empty"


def test_the_lanes_of_a_stream_wait_while_they_are_held_and_others_do_not() -> None:
    setup = DispatcherSetup(A, B, max_in_flight=1)
    setup.dispatcher.open_lanes("job", [0], 1.0, ordered=True)
    setup.dispatcher.open_lanes("other", [0], 1.0, ordered=True)
    setup.dispatcher.hold("job", held=True)
    setup.offer(1)
    setup.offer(2, stream="job")
    setup.offer(3, stream="other")
    assert setup.assign(10.0) == [("cam0", 1, A), ("other", 3, B)]
    setup.dispatcher.answered(A, 1, 0.1, 10.1)
    assert setup.assign(10.1) == []
    setup.dispatcher.hold("job", held=False)
    assert setup.assign(10.1) == [("job", 2, A)]


def test_a_lane_that_was_held_does_not_save_up_its_turns() -> None:
    setup = DispatcherSetup(A)
    setup.dispatcher.open_lanes("job", [0], 1.0, ordered=True)
    live, job = setup.dispatcher.lanes["cam0", 0], setup.dispatcher.lanes["job", 0]
    live.virtual_s = 5.0
    setup.offer(1)
    setup.assign(10.0)
    setup.dispatcher.hold("job", held=True)
    assert (live.virtual_s, job.virtual_s) == (6.0, 0.0)
    setup.dispatcher.hold("job", held=False)
    assert (live.virtual_s, job.virtual_s) == (6.0, 5.0)


# -- answers


@pytest.mark.parametrize(
    ("latency_s", "last_done_s", "took_s"), [(0.125, 0.0, 0.125), (0.0, 0.0, 0.5), (0.75, 0.0, 0.5), (0.75, 10.25, 0.25)]
)
def test_the_service_time_of_an_answer_is_bounded_by_its_latency(latency_s: float, last_done_s: float, took_s: float) -> None:
    setup = DispatcherSetup(A)
    unit = setup.offer(1)
    setup.assign(10.0)
    queue = setup.dispatcher.queues[A]
    queue.last_done_s, unit.stick = last_done_s, None
    assert setup.dispatcher.answered(A, 1, latency_s, 10.5) is unit
    assert (unit.stick, queue.service.mean_s, queue.last_done_s, queue.in_flight, queue.ready_s) == (A, took_s, 10.5, {}, 0.0)
    assert queue.latency.status().p50 == latency_s * 1000
    setup.offer(2)
    setup.assign(11.0)
    setup.dispatcher.answered(A, 2, latency_s, 11.5)
    assert queue.done.per_s(11.5) == pytest.approx(1.0)


def test_an_answer_to_no_ticket_and_of_no_stick_is_dropped() -> None:
    setup = DispatcherSetup(A)
    setup.offer(1)
    setup.assign(10.0)
    assert (setup.dispatcher.answered(A, 2, 0.1, 10.1), setup.dispatcher.answered(B, 1, 0.1, 10.1)) == (None, None)
    assert setup.held(A) == [1]


def test_a_stick_is_overdue_when_its_frame_takes_longer_than_its_patience() -> None:
    setup = DispatcherSetup(A, B)
    setup.offer(1)
    setup.assign(10.0)
    assert (setup.dispatcher.overdue(20.0), setup.dispatcher.overdue(20.001)) == ([], [A])
    setup.dispatcher.queues[A].last_done_s = 11.0
    assert (setup.dispatcher.overdue(21.0), setup.dispatcher.overdue(21.001)) == ([], [A])


def test_after_a_stall_each_stick_has_its_whole_patience_again() -> None:
    setup = DispatcherSetup(A)
    setup.known(A, 0.5)
    setup.offer(1)
    setup.assign(10.0)
    setup.dispatcher.extend_deadlines(30.0)
    assert (setup.dispatcher.queues[A].last_done_s, setup.dispatcher.queues[A].ready_s) == (30.0, 30.5 - 0.003)
    assert (setup.dispatcher.overdue(40.0), setup.dispatcher.overdue(40.001)) == ([], [A])
    setup.dispatcher.extend_deadlines(29.0)
    assert setup.dispatcher.queues[A].last_done_s == 30.0
