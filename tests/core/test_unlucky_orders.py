"""Orders of events, each harmless alone, after which nobody may wait for ever, be blamed, or be told what is not so."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ncs_cluster import messages as m
from ncs_cluster.core import report
from ncs_cluster.core.child import State
from ncs_cluster.core.events import Endpoint
from ncs_cluster.status import Status
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import StickId
from tests.core.referee import watched

SIM1 = StickId("sim-1")


def status_of(world: World) -> Status:
    return report.status(world.engine, world.now_s, 0.0, version="", pid=1, machine=None, usage={})


def results(world: World, *cameras: str) -> list[int]:
    return [world.engine.tally.count(camera).result for camera in cameras]


@pytest.mark.slow
def test_a_job_that_waited_for_a_full_disk_does_not_starve_the_live_cameras_afterwards() -> None:
    world = World(installation(2, ("job", "live")))
    world.cameras["job"].ordered, world.cameras["job"].period_s = True, 0.001
    world.start().run(20.0)
    world.sink.full = True
    world.run(300.0)
    world.sink.full = False
    world.run(20.0)
    before = results(world, "job", "live")
    world.run(20.0)
    job, live = [after - was for after, was in zip(results(world, "job", "live"), before, strict=True)]
    assert abs(job - live) <= 2


def test_a_quick_graph_says_nothing_of_how_long_a_slow_one_may_take() -> None:
    world, referee = watched(World(installation(1, ("cam0",), ("quick", "other", "slow"))))
    stick = world.sticks["sim-1"]
    stick.latency_s, stick.slower = 0.03, {2: 2.5}
    world.start().run(120.0)
    assert world.engine.sticks.by_id[SIM1].child.restarts == 0
    assert world.engine.streams.by_name["cam0"].published[2] > 3000
    referee.check()


@pytest.mark.parametrize("after", [0, None], ids=["not throttled any more", "not told"])
def test_a_request_that_fell_asleep_in_a_throttled_stick_sleeps_on_when_the_level_is_gone(after: int | None) -> None:
    world = World(installation(1))
    stick = world.sticks["sim-1"]
    stick.max_in_flight, world.cameras["cam0"].period_s = 1, 0.2
    world.start().run(5.0)
    stick.latency_s, stick.throttle_level = 10.0, 2
    world.run(4.5)
    stick.latency_s, stick.throttle_level = 0.1, after
    world.run(12.0)
    assert world.engine.sticks.by_id[SIM1].child.restarts == 0
    before = stick.done
    world.run(5.0)
    assert stick.done > before
    stick.hangs = True
    world.run(5.0)
    assert world.engine.sticks.by_id[SIM1].child.restarts == 1, "and one that hangs later is found as soon as ever"


def test_a_pool_whose_every_inference_fails_is_not_ready_and_says_why() -> None:
    world = World(installation(2))
    for stick in ("sim-1", "sim-2"):
        world.sticks[stick].refuses = True
    world.start().run(60.0)
    seen = status_of(world).daemon
    assert (seen.state, seen.ready) == ("down", False)
    assert seen.reasons[0].startswith("every inference fails: ")
    assert world.log_text.count("every inference fails") == 1
    world.sticks["sim-2"].refuses = False
    world.run(5.0)
    seen = status_of(world).daemon
    assert (seen.state, seen.ready) == ("ok", True)
    assert "inferences succeed again" in world.log_text


def test_results_do_not_wait_for_a_camera_that_cannot_even_be_killed() -> None:
    world = World(installation(1))
    camera = world.cameras["cam0"]
    camera.period_s, world.sticks["sim-1"].latency_s, camera.measure_s = 0.5, 0.1, 0.2
    world.start().run(5.65)
    while not world.engine.cameras.by_name["cam0"].measuring:
        world.run(0.01)
    world.processes[Endpoint("camera", "cam0")].stuck = True
    world.run(60.0)
    assert world.engine.cameras.by_name["cam0"].child.state is State.FENCED
    assert not world.engine.tally.open
    assert status_of(world).daemon.ready


@pytest.mark.parametrize(("sticks", "stagger_s", "exclusive_boot"), [(18, 0.3, True), (6, 10.0, False), (3, 60.0, False)])
def test_waiting_for_ones_turn_to_boot_is_not_starting_slowly(sticks: int, stagger_s: float, exclusive_boot: bool) -> None:
    settings = installation(sticks, stagger_s=stagger_s)
    pool = replace(settings.pools[0], sticks=[replace(stick, exclusive_boot=exclusive_boot) for stick in settings.sticks])
    world = World(replace(settings, pools=[pool]))
    world.start().run(150.0)
    assert [stick.child.restarts for stick in world.engine.sticks.by_id.values()] == [0] * sticks
    assert all(stick.child.running for stick in world.engine.sticks.by_id.values())


def test_a_countdown_is_shown_only_where_a_switch_can_follow() -> None:
    world = World(installation(4, cluster_size=2, interval_s=5.0))
    world.sticks["sim-3"].temperature_c = 70.0
    world.start().run(4.0)
    assert status_of(world).clusters.next_switch_s is not None, "not known yet"
    world.run(20.0)
    assert status_of(world).clusters.next_switch_s is None
    world.sticks["sim-3"].temperature_c = 40.0
    world.run(5.0)
    seen = status_of(world).clusters
    assert seen.switches == 1
    assert seen.next_switch_s is not None


@pytest.mark.parametrize("what", ["pulled", "dead"])
def test_that_the_last_hot_stick_has_gone_is_not_called_cooling_down(what: str) -> None:
    world = World(installation(1))
    world.start().run(3.0)
    world.sticks["sim-1"].temperature_c = 80.0
    world.run(3.0)
    world.unplug("sim-1") if what == "pulled" else world.crash(Endpoint("worker", "sim-1"))
    world.run(3.0)
    assert "cooled down" not in world.log_text


@pytest.mark.parametrize("word", [m.Failed("graph", "bad graph", True), m.Failed("gone", "is gone")], ids=["refused", "gone"])
def test_the_last_words_of_a_worker_whose_stick_was_pulled_do_not_slow_the_next_ones_restart(word: m.Failed) -> None:
    world = World(installation(1))
    world.start().run(3.0)
    endpoint = Endpoint("worker", "sim-1")
    world.deliver(endpoint, word)
    world.unplug("sim-1")
    world.run(5.0)
    world.plug("sim-1")
    world.run(40.0)
    world.crash(endpoint)
    world.run(1.0)
    assert world.engine.sticks.by_id[SIM1].child.running


def test_a_loss_that_ends_the_process_is_a_restart_not_a_reset() -> None:
    world = World(installation(1))
    world.sticks["sim-1"].can_reset = True
    world.start().run(3.0)
    stick = world.engine.sticks.by_id[SIM1]
    for _ in range(4):
        worker = world.worker("sim-1")
        assert worker is not None
        worker.lose_stick()
        world.run(2.0)
    assert (stick.resets, stick.child.restarts) == (3, 1)


def test_throttled_time_is_counted_alike_for_one_stick_and_for_all() -> None:
    world = World(installation(2, time_scale=10.0))
    world.start().run(3.0)
    world.sticks["sim-1"].throttle_level = 1
    world.run(20.0)
    seen = status_of(world)
    assert seen.counters.throttled_s == seen.sticks[0].throttled_s == pytest.approx(20.0, abs=0.5)


def test_a_switch_that_was_refused_does_not_come_later() -> None:
    world = World(installation(2, cluster_size=2, interval_s=0.0))
    world.start()
    world.unplug("sim-2")
    world.run(0.9)
    world.ask_switch()
    assert "no other cluster" in (world.replies[-1].error or "")
    world.plug("sim-2")
    world.run(5.0)
    assert world.engine.workers.regulators["default"].switches == 0


def test_at_the_end_finished_frames_of_an_ordered_stream_do_not_wait_for_those_of_a_stick_that_hangs() -> None:
    world, referee = watched(World(installation(2)))
    world.cameras["cam0"].ordered, world.cameras["cam0"].period_s = True, 0.001
    for stick in (world.sticks["sim-1"], world.sticks["sim-2"]):
        stick.max_in_flight, stick.latency_s = 4, 0.45
    world.start().run(5.0)
    world.sticks["sim-1"].hangs = True
    world.run(0.9)
    world.ask_stop()
    world.run(8.0)
    count = world.engine.tally.count("cam0")
    assert (world.exit_code, count.open) == (0, 0)
    assert len(world.sink.file) == count.result + count.given_up
    referee.check()
