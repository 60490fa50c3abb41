"""Overflow: when neighbours get frames, which ones, and what becomes of those without an answer."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.intake import Intake
from ncs_cluster.core.overflow import FIRST_PAUSE_S, LATE_IN_A_ROW, Overflow
from ncs_cluster.specs import ClusterSpec, OverflowSpec, PoolSpec, Settings, StickSpec
from ncs_cluster.testing.hardware import StickTraits
from ncs_cluster.testing.world import World, cpu_fallback, installation
from ncs_cluster.thermal import Heat, Plant
from ncs_cluster.types import OverflowCounts, StickId
from tests.core.oneengine import drawn
from tests.core.referee import Referee

NET = StickId("net-1")
PERIOD_S = 0.05
"""20 frames per second. Two sticks of 80 ms do 25, one does 12.5."""


def installed(sticks: int = 2, **more: object) -> Settings:
    stick = StickSpec(NET, "nats://server", "neighbours", {"bytes_per_s": 1e6}, pool="overflow")
    given = installation(sticks, **more)  # type: ignore[arg-type]
    return replace(given, overflow=OverflowSpec(PoolSpec(ClusterSpec(), [stick], name="overflow"), "nats://server"))


def world_of(settings: Settings) -> World:
    world = World(settings)
    for name in settings.cameras:
        world.cameras[name.name].period_s = PERIOD_S
    for spec in settings.sticks:
        world.sticks[spec.id].latency_s = 0.08
    world.sticks[NET] = StickTraits(latency_s=0.02, sensor=False, max_in_flight=8)
    return world


def overflow_of(world: World) -> Overflow:
    overflow = world.engine.workers.overflow
    assert overflow is not None
    return overflow


def rate(world: World, for_s: float = 10.0) -> float:
    """Results per second while the world runs on."""
    before = world.engine.tally.count("cam0").result
    world.run(for_s)
    return (world.engine.tally.count("cam0").result - before) / for_s


def test_sticks_that_keep_up_give_neighbours_nothing() -> None:
    world = world_of(installed(2))
    world.start().run(20.0)
    assert world.sticks[NET].done == 0
    assert not overflow_of(world).needed


@pytest.mark.parametrize("trouble", ["pulled", "hot", "both hot"])
def test_a_camera_keeps_its_rate_when_sticks_cannot_work(trouble: str) -> None:
    world = world_of(installed(2))
    referee = Referee(world)
    world.start().run(5.0)
    if trouble == "pulled":
        world.unplug("sim-1")
    else:
        for name in ["sim-1", "sim-2"][: 1 + (trouble == "both hot")]:
            world.sticks[name].temperature_c = 70.0
    world.run(5.0)
    assert rate(world) >= 0.95 / PERIOD_S
    assert overflow_of(world).serving
    shown = drawn(world.engine, world.now_s)
    assert shown.overflow is not None
    assert shown.overflow.serving
    counters = shown.counters
    assert (counters.frames_lost, counters.frames_doubled, counters.out_of_order) == (0, 0, 0)
    referee.check()


def test_neighbours_get_no_more_once_the_sticks_are_back() -> None:
    world = world_of(installed(2))
    world.start().run(5.0)
    world.unplug("sim-1")
    world.run(5.0)
    world.plug("sim-1")
    world.run(12.0)
    done = world.sticks[NET].done
    assert done > 0
    assert not overflow_of(world).needed
    world.run(10.0)
    assert world.sticks[NET].done == done
    assert "neighbours get the rest" in world.log_text
    assert "the sticks keep up with the cameras again: neighbours get no more frames" in world.log_text


def test_sticks_of_this_host_have_as_much_work_as_without_neighbours() -> None:
    alone = world_of(replace(installed(1), overflow=None))
    alone.start().run(30.0)
    helped = world_of(installed(1))
    helped.start().run(30.0)
    assert helped.sticks["sim-1"].done >= 0.95 * alone.sticks["sim-1"].done
    assert helped.sticks[NET].done > 0


def test_what_must_be_whole_stays_on_this_host() -> None:
    world = world_of(installed(1))
    world.cameras["cam0"].ordered, world.cameras["cam0"].frames = True, 150
    referee = Referee(world)
    world.start().run(20.0)
    referee.check()
    assert world.sticks[NET].done == 0
    assert world.engine.tally.count("cam0").result == 150


@pytest.mark.parametrize("why", ["late", "refused"])
def test_frames_without_an_answer_are_counted_once_and_cost_the_sticks_little(why: str) -> None:
    world = world_of(installed(1))
    referee = Referee(world)
    world.sticks[NET].misses, world.sticks[NET].latency_s = why, 0.3 if why == "late" else 0.002
    world.start().run(20.0)
    assert overflow_of(world).needed
    before = world.engine.tally.count("cam0").late
    assert rate(world) >= 0.9 * 12.5
    count = world.engine.tally.count("cam0")
    assert count.given_up == 0
    assert (count.late > before) == (why == "late")
    referee.check()
    assert [reason for reason in drawn(world.engine, world.now_s).daemon.reasons if "net-1" in reason] == []


def test_after_a_pause_neighbours_are_asked_again() -> None:
    world = world_of(installed(1))
    world.sticks[NET].misses, world.sticks[NET].latency_s = "refused", 0.002
    world.start().run(20.0)
    world.sticks[NET].misses, world.sticks[NET].latency_s = "", 0.02
    world.run(12.0)
    assert rate(world) >= 0.95 / PERIOD_S


def test_a_pause_follows_one_refusal_or_several_late_frames_and_grows_until_one_is_answered() -> None:
    world = world_of(installed(1))
    world.start().run(5.0)
    overflow, stick = overflow_of(world), world.engine.sticks.by_id[NET]
    queue = world.engine.dispatcher.spares[NET]
    stick.inferences += 1

    def pause_s(why: str, times: int = 1) -> float:
        queue.paused_until_s = 0.0
        for _ in range(times):
            overflow.missed(stick, why, 100.0)
        return max(0.0, queue.paused_until_s - 100.0)

    assert pause_s("held back", 10) == 0.0
    assert pause_s("late", LATE_IN_A_ROW - 1) == 0.0
    assert pause_s("late") == FIRST_PAUSE_S
    assert [pause_s("refused") for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    stick.inferences += 1
    assert pause_s("refused") == FIRST_PAUSE_S


def test_frames_are_spaced_as_the_share_of_the_link_allows() -> None:
    world = world_of(installed(1))
    world.start().run(10.0)
    world.deliver(Endpoint("worker", NET), m.Overflowed(OverflowCounts(sent=1, bytes=1000, gap_s=0.5)))
    done = world.sticks[NET].done
    world.run(20.0)
    assert 36 <= world.sticks[NET].done - done <= 41


def test_counts_go_on_when_its_worker_starts_again() -> None:
    world = world_of(installed(1))
    world.start().run(5.0)
    worker = Endpoint("worker", NET)
    world.deliver(worker, m.Overflowed(OverflowCounts(sent=10, answered=8, late=2, bytes=5000)))
    world.deliver(worker, m.Overflowed(OverflowCounts(sent=3, answered=3, bytes=600)))
    assert overflow_of(world).counts == OverflowCounts(sent=13, answered=11, late=2, bytes=5600)


def test_the_death_of_its_worker_loses_its_frames_and_nothing_else() -> None:
    world = world_of(installed(1))
    referee = Referee(world)
    world.start().run(20.0)
    world.crash(Endpoint("worker", NET))
    world.run(3.0)
    assert rate(world) >= 0.95 / PERIOD_S
    referee.check()


def test_neighbours_are_no_stick_for_a_fallback_or_for_pictures_of_clients() -> None:
    world = world_of(installed(1, fallback=cpu_fallback(), gateway=True))
    world.sticks["cpu-1"] = StickTraits(latency_s=0.08, sensor=False)
    world.start().run(20.0)
    assert overflow_of(world).serving
    intake: Intake = world.engine.intakes.by_name["api"]
    assert world.engine.intakes.served(world.now_s).sticks == 1
    assert intake.asks == {}
    world.unplug("sim-1")
    world.run(1.0)
    assert world.engine.fallback is not None
    assert world.engine.fallback.serving


def test_its_worker_boots_beside_the_sticks() -> None:
    world = world_of(installed(2, stagger_s=0.3))
    assert a.Spawn(Endpoint("worker", NET), "default") in world.engine.start(world.now_s)


def test_where_the_times_of_sticks_cannot_be_foreseen_no_frame_waits_for_one_in_vain() -> None:
    world = world_of(installed(1))
    referee = Referee(world)
    world.start().run(10.0)
    random = Random(1)

    def vary() -> None:
        world.sticks["sim-1"].latency_s = random.choice((0.02, 0.05, 0.2, 0.3))
        world.after(0.1, vary)

    vary()
    before = world.engine.tally.count("cam0").dropped
    world.run(20.0)
    assert world.engine.tally.count("cam0").dropped - before <= 0.1 * 20.0 / PERIOD_S
    referee.check()


def test_what_is_said_of_sticks_that_are_all_too_hot_is_true_with_and_without_neighbours_that_answer() -> None:
    world = world_of(installed(2))
    world.start().run(5.0)
    world.sticks[NET].misses = "refused"
    for name in ("sim-1", "sim-2"):
        world.sticks[name].temperature_c = 70.0
    world.run(3.0)
    alone = drawn(world.engine, world.now_s)
    assert alone.clusters.shedding
    assert alone.daemon.state == "down"
    assert "every stick is too hot: no frame is processed, neighbours answer none" in alone.daemon.reasons
    world.sticks[NET].misses = ""
    world.run(30.0)
    helped = drawn(world.engine, world.now_s)
    assert not helped.clusters.shedding
    assert (helped.daemon.state, helped.daemon.reasons) == ("degraded", ["every stick is too hot: only neighbours process frames"])
    for name in ("sim-1", "sim-2"):
        world.sticks[name].temperature_c = 40.0
    world.run(10.0)
    assert drawn(world.engine, world.now_s).daemon.state == "ok"
    told = [line for line in world.log_text.splitlines() if "process" in line and "clusters" in line]
    assert len(told) == 2
    assert "every stick is too hot: no frame is processed on this host" in told[0]
    assert "a stick has cooled down: frames are processed again on this host" in told[1]


def test_a_frame_that_was_kept_for_a_stick_in_vain_goes_to_a_neighbour_before_the_next_one_comes() -> None:
    given = installed(2, policy="predictive", time_scale=10.0)
    world = world_of(given)
    world.ambient_c = 45.0
    for spec in given.sticks:
        # the policy changes their duties all the time, so when they take their next frame is never quite known
        world.sticks[spec.id].plant, world.sticks[spec.id].heat = Plant(), Heat(60.0, 60.0)
    world.start().run(30.0)
    before = world.engine.tally.count("cam0")
    done, begun, own = before.result, before.begun, world.sticks["sim-1"].done
    world.run(60.0)
    after = world.engine.tally.count("cam0")
    assert after.result - done >= 0.995 * (after.begun - begun)
    assert world.sticks["sim-1"].done - own > 50
