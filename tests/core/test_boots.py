"""One boot after another: who may begin when."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core.boots import EXCLUSIVE_MAX_S, EXCLUSIVE_MIN_S, Boots
from ncs_cluster.core.events import Endpoint
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import StickId
from tests.core.referee import Referee


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0.0, 1.0), st.booleans()), max_size=60))
def test_two_boots_are_never_closer_than_the_stagger_and_nobody_is_forgotten(asks: list[tuple[int, float, bool]]) -> None:
    boots, now_s, began = Boots(0.3), 100.0, []
    waiting: list[StickId] = []
    for number, dt_s, ends in asks:
        now_s += dt_s
        while (due := boots.next_due(now_s)) is not None:
            began.append(now_s)
            assert due == waiting.pop(0), "in the order they came"
        stick = StickId(str(number))
        if ends:
            boots.cancel(stick, now_s)
            waiting = [each for each in waiting if each != stick]
        elif boots.request(stick, now_s):
            began.append(now_s)
        elif stick not in waiting:
            waiting.append(stick)
        assert (boots.deadline_s is None) == (not waiting)
    while boots.deadline_s is not None:
        now_s = max(now_s, boots.deadline_s)
        assert boots.next_due(now_s) == waiting.pop(0)
        began.append(now_s)
    assert not waiting
    assert all(after - before >= 0.3 - 1e-9 for before, after in pairwise(began))


def test_sticks_are_opened_one_after_another_and_nothing_else_is_said_before() -> None:
    world = World(installation(4, stagger_s=0.3))
    Referee(world)
    opened: list[tuple[float, Endpoint]] = []

    def watch(action: a.Action) -> None:
        if isinstance(action, a.Send) and isinstance(action.message, m.OpenStick):
            opened.append((world.now_s, action.to))

    world.watchers.append(watch)
    world.start().run(3.0)
    times = [when_s for when_s, _ in opened]
    assert len({endpoint for _, endpoint in opened}) == 4
    assert all(0.3 - 1e-6 <= after - before < 0.31 for before, after in pairwise(times))
    assert len(world.engine.workers.regulators["default"].active) == 4


def test_a_boot_from_which_something_is_to_be_learned_has_time_to_itself() -> None:
    boots = Boots(0.3)
    assert boots.request(StickId("a"), 10.0, exclusive=True)
    assert not boots.request(StickId("b"), 10.5)
    boots.finish(StickId("a"), 11.0)
    assert boots.next_due(12.9) is None
    assert boots.next_due(10.0 + EXCLUSIVE_MIN_S) == "b"
    assert boots.deadline_s is None
    assert boots.request(StickId("c"), 13.3)


def test_the_next_one_waits_for_the_end_of_such_a_boot_but_not_for_ever() -> None:
    slow, endless = Boots(0.3), Boots(0.3)
    for boots in (slow, endless):
        assert boots.request(StickId("a"), 10.0, exclusive=True)
        assert not boots.request(StickId("b"), 10.5)
        assert boots.next_due(10.0 + EXCLUSIVE_MIN_S) is None
    slow.finish(StickId("b"), 16.0)
    assert slow.next_due(16.0) is None, "the end of another one"
    slow.cancel(StickId("a"), 17.0)
    assert slow.next_due(17.0) == "b"
    assert endless.next_due(10.0 + EXCLUSIVE_MAX_S) == "b"


def test_sticks_that_are_lost_all_at_once_are_opened_again_one_after_another() -> None:
    """As when their hub blinks: it could not feed all their boots together."""
    world = World(installation(4, stagger_s=0.3))
    referee = Referee(world)
    world.start().run(3.0)
    told: list[float] = []

    def watch(action: a.Action) -> None:
        if isinstance(action, a.Send) and isinstance(action.message, m.Reopen):
            told.append(world.now_s)

    world.watchers.append(watch)
    for process in list(world.processes.values()):
        if process.endpoint.kind == "worker":
            process.lose_stick()  # type: ignore[attr-defined]
    world.run(3.0)
    assert len(told) == 4
    assert all(0.3 - 1e-6 <= after - before < 0.31 for before, after in pairwise(told))
    assert len(world.engine.workers.regulators["default"].active) == 4
    referee.check()


def test_a_worker_that_dies_while_it_waits_does_not_keep_the_others_waiting() -> None:
    world = World(installation(3, stagger_s=1.0))
    world.start().run(0.5)
    world.crash(Endpoint("worker", "sim-2"))
    world.run(5.0)
    assert len(world.engine.workers.regulators["default"].active) == 3


# -- each question alone

A, B, C = StickId("a"), StickId("b"), StickId("c")


def test_with_nothing_begun_any_stick_may_begin_and_nothing_is_due() -> None:
    boots = Boots(0.5)
    assert (boots.deadline_s, boots.waiting, boots.next_due(0.0)) == (None, [], None)
    boots.finish(A, 5.0)
    assert boots.request(A, 0.0) is True


@pytest.mark.parametrize(("asked_s", "may"), [(10.0, False), (10.499, False), (10.5, True)])
def test_the_next_stick_may_begin_a_stagger_after_the_one_before(asked_s: float, may: bool) -> None:
    boots = Boots(0.5)
    assert boots.request(A, 10.0) is True
    assert boots.request(B, asked_s) is may
    assert (boots.waiting, boots.deadline_s) == (([], None) if may else ([B], 10.5))


def test_a_stick_waits_behind_those_that_wait_already_and_once() -> None:
    boots = Boots(0.5)
    boots.request(A, 10.0)
    assert (boots.request(B, 10.1), boots.request(C, 11.0), boots.request(B, 11.0)) == (False, False, False)
    assert boots.waiting == [B, C]
    assert (boots.next_due(10.499), boots.next_due(10.5), boots.next_due(10.999), boots.next_due(11.0), boots.next_due(12.0)) == (
        None,
        B,
        None,
        C,
        None,
    )
    assert boots.request(A, 11.5) is True, "a stagger after the last one"


def test_a_stick_that_waited_to_boot_alone_does_so_when_its_turn_comes() -> None:
    boots = Boots(0.5)
    boots.request(A, 10.0)
    boots.request(B, 10.1, exclusive=True)
    boots.request(C, 10.2)
    assert (boots.next_due(11.9), boots.deadline_s) == (None, 25.0), "the first one is still away"
    boots.finish(A, 12.0)
    assert boots.next_due(12.0) == B
    assert boots.deadline_s == 27.0


def test_a_boot_alone_waits_for_no_boot_for_ever_and_not_for_its_own_last_one() -> None:
    boots = Boots(0.5)
    boots.request(A, 10.0)
    assert boots.request(B, 15.0, exclusive=True) is False
    assert (boots.next_due(24.9), boots.next_due(25.0)) == (None, B)
    alone = Boots(0.5)
    alone.request(A, 10.0)
    assert alone.request(A, 11.0, exclusive=True) is True


@pytest.mark.parametrize(
    ("stagger_s", "ended_s", "next_s"), [(0.5, 11.0, 13.0), (0.5, 14.0, 14.0), (4.0, 11.0, 14.0), (20.0, 11.0, 30.0)]
)
def test_after_a_boot_alone_the_next_one_waits_for_its_end_at_least_three_seconds(
    stagger_s: float, ended_s: float, next_s: float
) -> None:
    boots = Boots(stagger_s)
    boots.request(A, 10.0, exclusive=True)
    boots.request(B, 10.1)
    assert boots.deadline_s == 10.0 + max(15.0, stagger_s)
    boots.finish(A, ended_s)
    assert boots.deadline_s == next_s
    boots.finish(A, 99.0)
    assert boots.deadline_s == next_s, "once"


def test_the_end_of_any_other_boot_changes_nothing() -> None:
    boots = Boots(0.5)
    boots.request(A, 10.0, exclusive=True)
    boots.request(B, 10.1)
    boots.finish(B, 11.0)
    assert boots.deadline_s == 25.0
    ordinary = Boots(0.5)
    ordinary.request(A, 10.0)
    ordinary.request(B, 10.1)
    ordinary.finish(A, 12.0)
    assert ordinary.deadline_s == 10.5


def test_a_stick_whose_process_has_ended_waits_no_more_and_its_boot_is_over() -> None:
    boots = Boots(0.5)
    boots.request(A, 10.0, exclusive=True)
    boots.request(B, 10.1)
    boots.request(C, 10.2)
    boots.cancel(B, 11.0)
    assert (boots.waiting, boots.deadline_s) == ([C], 25.0)
    boots.cancel(A, 14.0)
    assert (boots.waiting, boots.deadline_s) == ([C], 14.0)
