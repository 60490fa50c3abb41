"""How many requests a stick may have in flight: failures at given times in, limits out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.in_flight_limit import FIRST_TRIAL_S, LAST_TRIAL_S, WINDOW_S, InFlightLimit
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import StickId
from tests.core.referee import ordered

HOUR_S = 3600.0
SIM1 = StickId("sim-1")


def open_stick(device: int = 4, at_s: float = 0.0) -> InFlightLimit:
    limit = InFlightLimit()
    assert limit.opened(device, at_s) is None
    return limit


def fail(limit: InFlightLimit, at_s: float, in_flight: int = 4) -> str | None:
    """It fails and is opened again."""
    limit.failed(in_flight, at_s)
    return limit.opened(4, at_s + 5.0)


def test_a_stick_gets_as_many_as_it_takes_until_it_has_failed_twice() -> None:
    limit = open_stick()
    assert limit.allowed == 4
    assert fail(limit, 100.0) is None
    assert limit.allowed == 4
    assert fail(limit, 400.0) == "failed 2 times with 4 requests in flight: 2 at most from now on"
    assert limit.allowed == 2
    assert fail(limit, 500.0) is None
    assert fail(limit, 600.0) == "failed 2 times with 2 requests in flight: 1 at most from now on"
    assert limit.allowed == 1
    for at_s in (700.0, 800.0, 900.0):
        assert fail(limit, at_s, in_flight=1) is None
    assert limit.allowed == 1


def test_failures_that_have_other_causes_do_not_count() -> None:
    limit = open_stick()
    for at_s in (100.0, 200.0, 300.0):
        assert fail(limit, at_s, in_flight=1) is None, "limit is not the cause"
    assert fail(limit, 400.0) is None
    assert fail(limit, 400.0 + WINDOW_S) is None, "too far apart"
    limit.unplugged(405.0 + WINDOW_S)
    assert fail(limit, 500.0 + WINDOW_S) is None, "it was pulled"


def test_after_an_hour_without_failure_it_gets_more_on_trial_and_keeps_them() -> None:
    limit = open_stick()
    fail(limit, 100.0)
    fail(limit, 200.0)
    assert limit.raise_due(205.0 + FIRST_TRIAL_S - 1) is None
    assert limit.raise_due(205.0 + FIRST_TRIAL_S) == "worked for 1 h without failure: 4 requests in flight at most, on trial"
    assert (limit.allowed, limit.limit) == (4, None)
    passed_s = 205.0 + FIRST_TRIAL_S + WINDOW_S
    assert limit.raise_due(passed_s) is None
    assert fail(limit, passed_s + 10.0) is None, "the trial is over: one failure has other causes again"
    assert limit.allowed == 4


def test_one_failure_ends_a_trial_and_the_next_comes_after_twice_the_time() -> None:
    limit = open_stick()
    fail(limit, 100.0)
    fail(limit, 200.0)
    now_s, wait_s = 205.0, FIRST_TRIAL_S
    for _ in range(8):
        assert limit.raise_due(now_s + wait_s - 1) is None
        now_s += wait_s
        assert limit.raise_due(now_s) is not None
        assert fail(limit, now_s + 60.0) == "failed once with 4 requests in flight: 2 at most from now on"
        now_s, wait_s = now_s + 65.0, min(2 * wait_s, LAST_TRIAL_S)
    assert wait_s == LAST_TRIAL_S


@given(
    device=st.integers(1, 8),
    bears=st.integers(1, 8),
    lasts_s=st.floats(60.0, 2 * HOUR_S),
    hours=st.integers(1, 24 * 14),
)
def test_a_stick_that_bears_so_many_ends_there_and_fails_seldom(device: int, bears: int, lasts_s: float, hours: int) -> None:
    """It fails `lasts_s` after it has more in flight than it bears."""
    limit, now_s, failures, since_s = open_stick(device), 0.0, 0, 0.0
    while now_s < hours * HOUR_S:
        now_s += 60.0
        before = limit.allowed
        limit.raise_due(now_s)
        if limit.allowed > before:
            assert limit.allowed <= 2 * before
            since_s = now_s
        if limit.allowed > bears and now_s >= since_s + lasts_s:
            failures += 1
            limit.failed(limit.allowed, now_s)
            limit.opened(device, now_s)
            since_s = now_s
        assert 1 <= limit.allowed <= device
    # twice for each halving, then once a trial: after 1, 2, 4, 8, 16 h, then once a day
    assert failures <= 2 * 3 + 5 + hours // 24 + 1
    if bears >= device:
        assert (failures, limit.allowed) == (0, device)


@given(st.lists(st.tuples(st.floats(0.0, 5 * HOUR_S), st.sampled_from(["fails", "fails idle", "pulled", "tick"])), max_size=60))
def test_it_is_never_raised_soon_after_a_failure_and_never_lowered_without_one(moves: list[tuple[float, str]]) -> None:
    limit, now_s, failed_s = open_stick(), 0.0, float("-inf")
    for after_s, move in moves:
        now_s += after_s
        before = limit.allowed
        if move == "tick":
            limit.raise_due(now_s)
            assert limit.allowed == before or now_s >= failed_s + FIRST_TRIAL_S
        elif move == "pulled":
            limit.unplugged(now_s)
            assert limit.allowed == before
        else:
            failed_s = now_s
            told = fail(limit, now_s, 4 if move == "fails" else 1)
            assert (limit.allowed < before) == (told is not None)
            assert limit.allowed in (before, before // 2)
            if move == "fails idle":
                assert limit.allowed == before or before > 1


def world_of(*, simulated: bool) -> World:
    """One stick that takes four requests, and pictures without end."""
    settings = installation(1)
    sticks = [msgspec.structs.replace(each, simulated=simulated) for each in settings.sticks]
    world = World(msgspec.structs.replace(settings, pools=[msgspec.structs.replace(settings.pools[0], sticks=sticks)]))
    ordered(world, count=1_000_000)
    world.sticks["sim-1"].max_in_flight, world.sticks["sim-1"].can_reset = 4, True
    world.start().run(3.0)
    return world


def limit_of(world: World) -> int:
    queue = world.engine.dispatcher.queues[SIM1]
    assert queue.capacity == 4
    return queue.max_in_flight


def lose(world: World) -> None:
    worker = world.worker("sim-1")
    assert worker is not None
    worker.lose_stick()
    world.run(20.0)


LIMITED = "sim-1: failed 2 times with 4 requests in flight: 2 at most from now on"


@pytest.mark.parametrize(("simulated", "limit"), [(False, 2), (True, 4)])
def test_a_real_stick_that_is_lost_twice_with_several_frames_gets_fewer_frames_at_once(simulated: bool, limit: int) -> None:
    world = world_of(simulated=simulated)
    assert limit_of(world) == 4
    lose(world)
    assert limit_of(world) == 4
    lose(world)
    assert limit_of(world) == limit
    assert (LIMITED in world.log_text) == (limit == 2)
    worker = world.worker("sim-1")
    assert worker is not None
    assert len(worker.in_hand) == limit
    world.engine.sticks.raise_in_flight(world.now_s + FIRST_TRIAL_S)
    assert limit_of(world) == 4


def test_a_stick_that_is_pulled_twice_is_not_limited() -> None:
    world = world_of(simulated=False)
    for _ in range(2):
        world.crash(Endpoint("worker", "sim-1"), "exit code 1")
        world.run(1.0)
        world.unplug("sim-1")
        world.run(10.0)
        world.plug("sim-1")
        world.run(10.0)
    assert limit_of(world) == 4
