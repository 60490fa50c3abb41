"""How many requests a stick may have in flight: failures at given times in, limits out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.core.depth import FIRST_TRIAL_S, LAST_TRIAL_S, WINDOW_S, Depth
from ncs_cluster.core.events import Endpoint
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import StickId
from tests.core.referee import ordered

HOUR_S = 3600.0
SIM1 = StickId("sim-1")


def open_stick(device: int = 4, at_s: float = 0.0) -> Depth:
    depth = Depth()
    assert depth.opened(device, at_s) is None
    return depth


def fail(depth: Depth, at_s: float, in_flight: int = 4) -> str | None:
    """It fails and is opened again."""
    depth.failed(in_flight, at_s)
    return depth.opened(4, at_s + 5.0)


def test_a_stick_gets_as_many_as_it_takes_until_it_has_failed_twice() -> None:
    depth = open_stick()
    assert depth.allowed == 4
    assert fail(depth, 100.0) is None
    assert depth.allowed == 4
    assert fail(depth, 400.0) == "failed 2 times with 4 requests in flight: 2 at most from now on"
    assert depth.allowed == 2
    assert fail(depth, 500.0) is None
    assert fail(depth, 600.0) == "failed 2 times with 2 requests in flight: 1 at most from now on"
    assert depth.allowed == 1
    for at_s in (700.0, 800.0, 900.0):
        assert fail(depth, at_s, in_flight=1) is None
    assert depth.allowed == 1


def test_failures_that_have_other_causes_do_not_count() -> None:
    depth = open_stick()
    for at_s in (100.0, 200.0, 300.0):
        assert fail(depth, at_s, in_flight=1) is None, "depth is not the cause"
    assert fail(depth, 400.0) is None
    assert fail(depth, 400.0 + WINDOW_S) is None, "too far apart"
    depth.unplugged(405.0 + WINDOW_S)
    assert fail(depth, 500.0 + WINDOW_S) is None, "it was pulled"


def test_after_an_hour_without_failure_it_gets_more_on_trial_and_keeps_them() -> None:
    depth = open_stick()
    fail(depth, 100.0)
    fail(depth, 200.0)
    assert depth.raise_due(205.0 + FIRST_TRIAL_S - 1) is None
    assert depth.raise_due(205.0 + FIRST_TRIAL_S) == "worked for 1 h without failure: 4 requests in flight at most, on trial"
    assert (depth.allowed, depth.limit) == (4, None)
    passed_s = 205.0 + FIRST_TRIAL_S + WINDOW_S
    assert depth.raise_due(passed_s) is None
    assert fail(depth, passed_s + 10.0) is None, "the trial is over: one failure has other causes again"
    assert depth.allowed == 4


def test_one_failure_ends_a_trial_and_the_next_comes_after_twice_the_time() -> None:
    depth = open_stick()
    fail(depth, 100.0)
    fail(depth, 200.0)
    now_s, wait_s = 205.0, FIRST_TRIAL_S
    for _ in range(8):
        assert depth.raise_due(now_s + wait_s - 1) is None
        now_s += wait_s
        assert depth.raise_due(now_s) is not None
        assert fail(depth, now_s + 60.0) == "failed once with 4 requests in flight: 2 at most from now on"
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
    depth, now_s, failures, since_s = open_stick(device), 0.0, 0, 0.0
    while now_s < hours * HOUR_S:
        now_s += 60.0
        before = depth.allowed
        depth.raise_due(now_s)
        if depth.allowed > before:
            assert depth.allowed <= 2 * before
            since_s = now_s
        if depth.allowed > bears and now_s >= since_s + lasts_s:
            failures += 1
            depth.failed(depth.allowed, now_s)
            depth.opened(device, now_s)
            since_s = now_s
        assert 1 <= depth.allowed <= device
    # twice for each halving, then once a trial: after 1, 2, 4, 8, 16 h, then once a day
    assert failures <= 2 * 3 + 5 + hours // 24 + 1
    if bears >= device:
        assert (failures, depth.allowed) == (0, device)


@given(st.lists(st.tuples(st.floats(0.0, 5 * HOUR_S), st.sampled_from(["fails", "fails idle", "pulled", "tick"])), max_size=60))
def test_it_is_never_raised_soon_after_a_failure_and_never_lowered_without_one(moves: list[tuple[float, str]]) -> None:
    depth, now_s, failed_s = open_stick(), 0.0, float("-inf")
    for after_s, move in moves:
        now_s += after_s
        before = depth.allowed
        if move == "tick":
            depth.raise_due(now_s)
            assert depth.allowed == before or now_s >= failed_s + FIRST_TRIAL_S
        elif move == "pulled":
            depth.unplugged(now_s)
            assert depth.allowed == before
        else:
            failed_s = now_s
            told = fail(depth, now_s, 4 if move == "fails" else 1)
            assert (depth.allowed < before) == (told is not None)
            assert depth.allowed in (before, before // 2)
            if move == "fails idle":
                assert depth.allowed == before or before > 1


def world_of(*, simulated: bool) -> World:
    """One stick that takes four requests, and pictures without end."""
    settings = installation(1)
    sticks = [msgspec.structs.replace(each, simulated=simulated) for each in settings.sticks]
    world = World(msgspec.structs.replace(settings, pools=[msgspec.structs.replace(settings.pools[0], sticks=sticks)]))
    ordered(world, count=1_000_000)
    world.sticks["sim-1"].max_in_flight, world.sticks["sim-1"].can_reset = 4, True
    world.start().run(3.0)
    return world


def depth_of(world: World) -> int:
    queue = world.engine.dispatcher.queues[SIM1]
    assert queue.capacity == 4
    return queue.max_in_flight


def lose(world: World) -> None:
    worker = world.worker("sim-1")
    assert worker is not None
    worker.lose_stick()
    world.run(20.0)


LIMITED = "sim-1: failed 2 times with 4 requests in flight: 2 at most from now on"


@pytest.mark.parametrize(("simulated", "depth"), [(False, 2), (True, 4)])
def test_a_real_stick_that_is_lost_twice_at_depth_gets_fewer_frames_at_once(simulated: bool, depth: int) -> None:
    world = world_of(simulated=simulated)
    assert depth_of(world) == 4
    lose(world)
    assert depth_of(world) == 4
    lose(world)
    assert depth_of(world) == depth
    assert (LIMITED in world.log_text) == (depth == 2)
    worker = world.worker("sim-1")
    assert worker is not None
    assert len(worker.in_hand) == depth
    world.engine.sticks.raise_depth(world.now_s + FIRST_TRIAL_S)
    assert depth_of(world) == 4


def test_a_stick_that_is_pulled_twice_is_not_limited() -> None:
    world = world_of(simulated=False)
    for _ in range(2):
        world.crash(Endpoint("worker", "sim-1"), "exit code 1")
        world.run(1.0)
        world.unplug("sim-1")
        world.run(10.0)
        world.plug("sim-1")
        world.run(10.0)
    assert depth_of(world) == 4
