"""The order in which the results of a lane leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.core.ordering import HOLD_S, HOLD_SHARE, LiveOrder, Reorder
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.types import CameraName, FrameRef, Outcome, StickId


def unit(number: int) -> Unit:
    made = Unit("door", Frame(FrameRef(CameraName("door"), 1, 0, number, 640, 480), None, 100.0, 1.7e9, None), 0)
    made.stick = StickId("sim-1")
    return made


def numbers(leaving: list[tuple[Unit, Outcome]]) -> list[int]:
    return [each.number for each, _ in leaving]


# -- live lanes


def handed(order: LiveOrder, *frames: int) -> list[Unit]:
    """Units of these frames, handed to sticks in this order."""
    units = [unit(number) for number in frames]
    for ticket, each in enumerate(units):
        each.ticket = ticket
        order.sent(each)
    return units


def test_results_are_held_for_10_ms_and_once_the_time_of_their_inference() -> None:
    assert (HOLD_S, HOLD_SHARE) == (0.01, 1.0)
    order = LiveOrder()
    _, second = handed(order, 0, 1)
    assert order.deadline_s is None
    assert order.arrived(second, Outcome(), 0.25, 10.0) is True
    assert order.deadline_s == 10.26
    assert order.holding == [second]


@pytest.mark.parametrize("frames", [[0, 1, 2], [0, 4, 9]])
def test_live_results_that_come_in_order_leave_at_once(frames: list[int]) -> None:
    order = LiveOrder()
    for each in handed(order, *frames):
        outcome = Outcome(error=str(each.number))
        assert order.arrived(each, outcome, 0.1, 10.0)
        assert order.ready(10.0) == [(each, outcome)]
        assert (order.deadline_s, order.holding, order.ready(10.0)) == (None, [], [])


def test_a_result_waits_for_all_earlier_frames_that_are_on_sticks_and_leaves_with_them_in_order() -> None:
    order = LiveOrder()
    units = handed(order, 0, 1, 2, 3)
    outcomes = [Outcome(error=str(number)) for number in range(4)]
    for number in (3, 1):
        order.arrived(units[number], outcomes[number], 0.1, 10.0)
        assert order.ready(10.0) == []
    order.arrived(units[0], outcomes[0], 0.1, 10.01)
    assert order.ready(10.01) == [(units[0], outcomes[0]), (units[1], outcomes[1])]
    order.arrived(units[2], outcomes[2], 0.1, 10.02)
    assert order.ready(10.02) == [(units[2], outcomes[2]), (units[3], outcomes[3])]


def test_a_frame_on_a_stick_that_hangs_is_passed_over_once() -> None:
    order = LiveOrder()
    hung, second, third = handed(order, 0, 1, 2)
    order.arrived(second, Outcome(), 0.25, 10.0)
    assert order.ready(10.25) == []
    assert numbers(order.ready(10.26)) == [1]
    order.arrived(third, Outcome(), 0.25, 10.3)
    assert numbers(order.ready(10.3)) == [2], "it is not waited for again"
    assert order.arrived(hung, Outcome(), 9.0, 19.0) is False
    assert (order.deadline_s, order.ready(99.0)) == (None, [])


def test_a_result_that_is_due_takes_those_of_earlier_frames_with_it() -> None:
    """A fast stick may hold its result for a shorter time than a slow one whose frame was captured before."""
    order = LiveOrder()
    _, slow, fast, _ = handed(order, 0, 1, 2, 3)
    order.arrived(slow, Outcome(), 1.0, 10.0)
    order.arrived(fast, Outcome(), 0.1, 10.1)
    assert order.deadline_s == pytest.approx(10.21)
    assert order.ready(10.2) == []
    assert numbers(order.ready(10.22)) == [1, 2]
    assert order.deadline_s is None


def test_a_result_of_the_frame_that_has_left_or_of_an_earlier_one_is_late() -> None:
    order = LiveOrder()
    arrived = [order.arrived(unit(number), Outcome(), 0.1, 10.0) and bool(order.ready(10.0)) for number in (5, 3, 5, 6)]
    assert arrived == [True, False, False, True]


@pytest.mark.parametrize("over", ["ended", "ticket"])
def test_a_hand_over_that_is_over_is_not_waited_for(over: str) -> None:
    """The unit has ended, or its stick died and it waits for another one."""
    order = LiveOrder()
    first, second = handed(order, 0, 1)
    order.arrived(second, Outcome(), 0.1, 10.0)
    if over == "ended":
        first.ended = "given_up"
    else:
        first.ticket = -1
    assert numbers(order.ready(10.0)) == [1]


def test_a_unit_that_was_handed_out_again_is_waited_for_behind_those_handed_out_before_it() -> None:
    order = LiveOrder()
    first, second, third = handed(order, 0, 1, 2)
    first.ticket = 7
    order.sent(first)
    order.arrived(third, Outcome(), 0.1, 10.0)
    assert order.ready(10.0) == []
    order.arrived(second, Outcome(), 0.1, 10.0)
    assert order.ready(10.0) == []
    order.arrived(first, Outcome(), 0.1, 10.05)
    assert numbers(order.ready(10.05)) == [0, 1, 2]


def test_a_result_does_not_wait_for_frames_that_were_captured_after_its_own() -> None:
    order = LiveOrder()
    first, _ = handed(order, 0, 1)
    order.arrived(first, Outcome(), 0.1, 10.0)
    assert numbers(order.ready(10.0)) == [0]


def test_all_held_results_can_leave_at_once_and_what_comes_later_is_late() -> None:
    order = LiveOrder()
    first, second, third, fourth = handed(order, 0, 1, 2, 3)
    outcome = Outcome(error="2")
    order.arrived(third, outcome, 0.1, 10.0)
    order.arrived(second, Outcome(), 0.1, 10.0)
    assert order.flush() == [(second, Outcome()), (third, outcome)]
    assert (order.flush(), order.deadline_s, order.holding) == ([], None, [])
    assert order.arrived(first, Outcome(), 0.1, 10.1) is False
    assert order.arrived(fourth, Outcome(), 0.1, 10.1) is True
    assert numbers(order.ready(10.1)) == [3], "what was on sticks is forgotten"


def test_a_lane_that_held_nothing_goes_on_after_all_its_results_were_let_go() -> None:
    order = LiveOrder()
    first, second = handed(order, 0, 1)
    assert order.flush() == []
    order.arrived(second, Outcome(), 0.1, 10.0)
    assert numbers(order.ready(10.0)) == [1]
    assert order.arrived(first, Outcome(), 0.1, 10.0) is False


@given(
    frames=st.lists(
        st.tuples(
            st.floats(0.0, 2.0),  # the time on the stick
            st.sampled_from(["answered", "answered", "answered", "hangs", "dies"]),
        ),
        min_size=1,
        max_size=30,
    ),
    gap_s=st.sampled_from([0.0, 0.01, 0.1, 1.0]),
)
def test_whatever_comes_and_is_lost_results_leave_in_order_and_in_time(frames: list[tuple[float, str]], gap_s: float) -> None:
    """Each frame is handed out in its turn and answered after its own time, or never."""
    order, units = LiveOrder(), [unit(number) for number in range(len(frames))]
    events = sorted(
        [(number * gap_s, 0, number) for number in range(len(frames))]
        + [(number * gap_s + took_s, 1, number) for number, (took_s, fate) in enumerate(frames) if fate != "hangs"]
    )
    left: list[int] = []
    late: list[int] = []
    until_s: dict[int, float] = {}
    arrived: set[int] = set()

    def leave(now_s: float) -> None:
        left.extend(numbers(order.ready(now_s)))
        held = [each.number for each in order.holding]
        assert all(until_s[number] > now_s for number in held)
        assert order.deadline_s == min((until_s[number] for number in held), default=None)

    for when_s, kind, number in events:
        while order.deadline_s is not None and order.deadline_s <= when_s:
            leave(order.deadline_s)
        took_s, fate = frames[number]
        if kind == 0:
            units[number].ticket = number
            order.sent(units[number])
        elif fate == "dies":
            units[number].ticket = -1
        else:
            arrived.add(number)
            until_s[number] = when_s + HOLD_S + HOLD_SHARE * took_s
            if not order.arrived(units[number], Outcome(), took_s, when_s):
                late.append(number)
        leave(when_s)
        assert left == sorted(set(left))
    while order.deadline_s is not None:
        leave(order.deadline_s)
    assert sorted(left + late) == sorted(arrived)
    assert all(any(newer > number for newer in left) for number in late)


@given(st.permutations(range(8)))
def test_results_that_come_in_any_order_and_in_time_all_leave_in_order(arrivals: list[int]) -> None:
    """None is late while each comes before any is due."""
    order = LiveOrder()
    units = handed(order, *range(8))
    left: list[int] = []
    for number in arrivals:
        assert order.arrived(units[number], Outcome(), 1.0, 10.0)
        left += numbers(order.ready(10.0))
    assert left == list(range(8))


# -- ordered lanes


def expecting(*frames: int) -> Reorder:
    reorder = Reorder()
    for frame in frames:
        reorder.expect(frame)
    return reorder


def test_results_that_come_in_order_leave_at_once() -> None:
    reorder = expecting(0, 1)
    for number in (0, 1):
        each, outcome = unit(number), Outcome()
        assert reorder.finished(each, outcome) == [(each, outcome)]
        assert reorder.waiting == 0


def test_results_that_come_early_wait_for_their_turn_and_leave_in_order() -> None:
    reorder = expecting(0, 1, 2, 3)
    units = [unit(number) for number in range(4)]
    outcomes = [Outcome(error=str(number)) for number in range(4)]
    assert reorder.finished(units[2], outcomes[2]) == []
    assert reorder.finished(units[1], outcomes[1]) == []
    assert reorder.waiting == 2
    assert reorder.finished(units[0], outcomes[0]) == list(zip(units[:3], outcomes[:3], strict=True))
    assert reorder.waiting == 0
    assert reorder.finished(units[3], outcomes[3]) == [(units[3], outcomes[3])]


def test_a_gap_in_the_frame_numbers_is_not_waited_for() -> None:
    reorder = expecting(4, 9)
    late, early = unit(4), unit(9)
    assert reorder.finished(early, Outcome()) == []
    assert reorder.finished(late, Outcome()) == [(late, Outcome()), (early, Outcome())]


def test_a_result_of_a_frame_that_was_not_expected_stays() -> None:
    reorder = expecting(0)
    assert reorder.finished(unit(1), Outcome()) == []
    first = unit(0)
    assert reorder.finished(first, Outcome()) == [(first, Outcome())]
    assert reorder.waiting == 1


def test_all_results_that_wait_for_their_turn_can_leave_in_order() -> None:
    reorder = expecting(0, 1, 2, 3)
    second, fourth = unit(1), unit(3)
    reorder.finished(fourth, Outcome(error="3"))
    reorder.finished(second, Outcome())
    assert reorder.flush() == [(second, Outcome()), (fourth, Outcome(error="3"))]
    assert (reorder.waiting, reorder.flush()) == (0, [])
    assert reorder.finished(unit(0), Outcome()) == [], "no turn is expected any more"
