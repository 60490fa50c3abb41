"""Units that come back to the dispatcher: of a stick that died, of a closed stream, at the stop of the daemon; and answers."""

from __future__ import annotations

import pytest

from ncs_cluster.core.work import Count
from ncs_cluster.types import StickId
from tests.core.onedispatcher import A, B, DispatcherSetup, a_unit

# -- a stick dies


def test_a_stick_that_dies_returns_its_frames_to_the_head_of_the_lane_in_their_order() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=3)
    setup.offer(1, 2, 3, 4)
    assert setup.assign(10.0) == [("cam0", 1, A), ("cam0", 2, A), ("cam0", 3, A)]
    units = list(setup.dispatcher.queues[A].in_flight.values())
    assert setup.dispatcher.detach(A) == []
    assert (setup.pending(), setup.dispatcher.queues) == ([1, 2, 3, 4], {})
    assert [(unit.tried, unit.stick, unit.ticket) for unit in units] == [([A], None, -1)] * 3
    assert setup.tally.count("cam0") == Count(begun=4)


def test_a_live_frame_whose_stick_dies_makes_room_for_a_newer_one_else_it_is_tried_again() -> None:
    setup = DispatcherSetup(A)
    setup.offer(1)
    setup.assign(10.0)
    assert (setup.dispatcher.detach(A), setup.pending(), setup.tally.count("cam0")) == ([], [1], Count(begun=1))
    setup.dispatcher.attach(A, 1)
    setup.dispatcher.set_duties({A: 1.0})
    setup.assign(11.0)
    setup.offer(2)
    assert (setup.dispatcher.detach(A), setup.pending(), setup.tally.count("cam0")) == ([], [2], Count(begun=2, dropped=1))


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
        assert (unit.ended, setup.dispatcher.waiting(), setup.tally.count("cam0")) == ("dropped", 0, Count(begun=1, dropped=1))


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
