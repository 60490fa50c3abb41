"""The choice of the stick and of the lane for each hand-over, and its time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.types import StickId
from tests.core.onedispatcher import A, B, DispatcherSetup, a_unit
from tests.hypothesis_profiles import examples

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


@pytest.mark.parametrize(
    ("duty", "sent_s"), [(0.5, [10.0, 10.25, 10.5, 11.0, 11.5]), (0.25, [10.0, 10.25, 11.0, 12.0, 13.0]), (1.0, [10.0, 10.25])]
)
def test_a_stick_at_a_part_of_its_speed_rests_between_two_frames_once_its_credit_is_spent(duty: float, sent_s: list[float]) -> None:
    setup = DispatcherSetup(A, max_in_flight=1)
    queue = setup.known(A, 0.25, duty)
    now_s = 10.0
    for number, turn_s in enumerate(sent_s):
        setup.offer(number)
        if turn_s > now_s:
            assert setup.assign(now_s) == []
            assert setup.dispatcher.deadline_s == pytest.approx(turn_s)
        assert setup.assign(turn_s) == [("cam0", number, A)]
        setup.dispatcher.answered(A, next(iter(queue.in_flight)), 0.25, turn_s + 0.25)
        now_s = turn_s + 0.25


@settings(deadline=None, max_examples=examples(40))
@given(duty=st.floats(0.02, 0.98), mean_s=st.sampled_from([0.01, 0.05, 0.2]), seed=st.integers(0, 99))
def test_whatever_its_inferences_take_a_paced_stick_works_its_duty_of_the_time(duty: float, mean_s: float, seed: int) -> None:
    """Frames are always there, inferences take up to half more or less, and a turn is taken up to 2 ms late."""
    chance, setup = random.Random(seed), DispatcherSetup(A, ordered=True, max_in_flight=1)
    queue = setup.known(A, mean_s, duty)
    now_s, worked_s = 10.0, 0.0
    setup.offer(*range(200))
    for _ in range(200):
        while not setup.assign(now_s):
            assert setup.dispatcher.deadline_s is not None
            now_s = setup.dispatcher.deadline_s + chance.uniform(0.0, 0.002)
        took_s = mean_s * chance.uniform(0.5, 1.5)
        now_s, worked_s = now_s + took_s, worked_s + took_s
        setup.dispatcher.answered(A, next(iter(queue.in_flight)), took_s, now_s)
    # the credit at the start, and the last inference, whose rest is still to come
    assert abs(worked_s - duty * (now_s - 10.0)) <= 3.5 * mean_s + 0.002


def test_a_stick_that_had_no_frame_at_its_turn_catches_up_with_two_inferences_and_no_more() -> None:
    setup = DispatcherSetup(A, ordered=True, max_in_flight=1)
    queue = setup.known(A, 0.1, 0.1)
    setup.offer(*range(9))
    sent, now_s = 0, 1000.0
    while now_s < 1000.9:
        if setup.assign(now_s):
            sent += 1
            now_s += 0.1
            setup.dispatcher.answered(A, next(iter(queue.in_flight)), 0.1, now_s)
        now_s += 0.01
    assert sent == 2


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


# -- graphs that not every stick has loaded


def two_graphs() -> DispatcherSetup:
    """Stick A has loaded graph 0, stick B both, in another order."""
    setup = DispatcherSetup(ordered=True, graphs=2)
    setup.dispatcher.attach(A, 1, graphs={0: 0})
    setup.dispatcher.attach(B, 1, graphs={1: 0, 0: 1})
    setup.dispatcher.set_duties({A: 1.0, B: 1.0})
    return setup


def test_a_frame_goes_to_a_stick_that_has_loaded_its_graph_by_the_index_that_it_has_there() -> None:
    setup = two_graphs()
    for number in range(2):
        setup.dispatcher.offer(a_unit(number, graph=1))
    assert setup.assign(10.0) == [("cam0", 0, B)]
    setup.dispatcher.offer(a_unit(2, graph=0))
    assert setup.assign(10.0) == [("cam0", 2, A)]
    assert [setup.dispatcher.queues[B].index_of(graph) for graph in (0, 1)] == [1, 0]
    assert setup.dispatcher.attach(A, 1).index_of(1) == 1


def test_a_retried_frame_waits_for_another_stick_only_where_that_has_its_graph() -> None:
    setup = two_graphs()
    unit = a_unit(0, graph=1)
    unit.tried = [B]
    setup.dispatcher.offer(unit)
    assert setup.assign(10.0) == [("cam0", 0, B)]


def test_a_lane_saves_up_no_turns_at_a_stick_that_has_not_loaded_its_graph() -> None:
    setup = DispatcherSetup(ordered=True, graphs=2)
    setup.dispatcher.attach(A, 4, graphs={0: 0})
    setup.dispatcher.set_duties({A: 1.0})
    for number in range(8):
        setup.dispatcher.offer(a_unit(number, graph=0))
        setup.dispatcher.offer(a_unit(number, graph=1))
    assert [number for _, number, _ in setup.assign(10.0)] == [0, 1, 2, 3]
    setup.dispatcher.attach(B, 4, graphs={0: 0, 1: 1})
    setup.dispatcher.set_duties({B: 1.0})
    handed = [unit.graph for unit in setup.dispatcher.assign(10.0)]
    assert sorted(handed) == [0, 0, 1, 1]
