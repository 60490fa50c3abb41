"""The engine by itself: start and clock, hand-overs and ticks lead to exact actions."""

from __future__ import annotations

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import LogEvent, MakePool, Send, Spawn
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, GATEWAY, OPERATOR, SINK, Endpoint
from ncs_cluster.core.work import Count
from ncs_cluster.testing.world import installation
from ncs_cluster.types import Outcome, PoolLayout, StickId
from tests.core.onedaemon import (
    CAM0,
    CAMERA,
    CLIENT,
    FOUND,
    HANGS,
    HELLO,
    ONE,
    RECORD,
    TWO,
    Daemon,
    grant,
    infer,
    killed,
    running,
)

# -- begin and clock


def test_a_start_logs_its_notices_and_starts_sink_and_page_first() -> None:
    # alike but for their numbers: each is told
    texts = [f"sim-{number}.json is no calibration" for number in range(4)]
    daemon = Daemon(msgspec.structs.replace(installation(2, gateway=True), notices=texts))
    children = [SINK, GATEWAY, ONE, TWO, CAMERA]
    notices = [LogEvent("info", "daemon", text, group="") for text in texts]
    assert daemon.started == [*notices, *(Spawn(endpoint, "default") for endpoint in children)]
    assert (daemon.engine.began_s, daemon.engine.idle_s, daemon.engine.deadline_s) == (100.0, 100.0, 100.25)
    assert [child.endpoint for child in daemon.engine.children()] == [CAMERA, ONE, TWO, SINK, GATEWAY]


def test_the_limits_of_its_children_can_be_given() -> None:
    engine = Engine(installation(1), 100.0, Limits(starting_s=7.0))
    engine.start(100.0)
    assert [child.deadline_s for child in engine.children()] == [107.0] * 3


def test_a_house_without_results_and_page_has_neither_sink_nor_page() -> None:
    daemon = Daemon(installation(1, results=False))
    assert daemon.started == [Spawn(ONE, "default"), Spawn(CAMERA, "default")]
    assert (daemon.receive(SINK, HELLO), daemon.receive(GATEWAY, HELLO)) == ([], [])


def test_the_deadline_is_the_first_of_all_that_is_due() -> None:
    engine = Daemon(installation(1, stagger_s=0.1)).engine
    engine.workers.regulators["default"].policy_deadline_s = 100.2
    assert engine.deadline_s == 100.2
    engine.workers.regulators["default"].reading_deadline_s = 100.15
    assert engine.deadline_s == 100.15
    engine.sticks.boots.request(StickId("a"), 100.0)
    engine.sticks.boots.request(StickId("b"), 100.0)
    assert engine.deadline_s == 100.1
    engine.dispatcher.choice.deadline_s = 100.05
    assert engine.deadline_s == 100.05


def test_a_tick_comes_each_quarter_of_a_second_and_not_before() -> None:
    daemon = Daemon(installation(1))
    daemon.engine.sticks.by_id[StickId("sim-1")].child.deadline_s = 100.1
    assert daemon.engine.wake(100.249) == []
    assert daemon.engine.wake(100.25) == killed(ONE, "did not start in time")
    assert daemon.engine.deadline_s == 100.5


@pytest.mark.parametrize(
    "endpoint", [Endpoint("worker", "sim-9"), Endpoint("camera", "cam9"), Endpoint("sink", "b"), Endpoint("x")]
)
def test_an_event_of_an_unknown_endpoint_leads_to_no_action(endpoint: Endpoint) -> None:
    assert Daemon(installation(1)).receive(endpoint, m.Heartbeat()) == []


@pytest.mark.parametrize("endpoint", [CLIENT, BUS, OPERATOR, ONE, CAMERA, SINK, GATEWAY])
def test_a_message_that_the_channel_of_an_endpoint_does_not_carry_is_a_fault_of_ours(endpoint: Endpoint) -> None:
    daemon = running(gateway=True)
    with pytest.raises(AssertionError):
        daemon.receive(endpoint, m.AskStatus())


# -- handing over


def test_a_worker_whose_turn_to_boot_has_come_is_sent_its_stick_before_any_tick() -> None:
    daemon = Daemon(installation(2, stagger_s=0.125))
    daemon.receive(ONE, HELLO)
    assert daemon.receive(TWO, HELLO) == []
    spec = daemon.engine.settings.sticks[1]
    assert daemon.engine.wake(100.125) == [Send(TWO, m.OpenStick(spec, daemon.engine.settings.graphs, 1.0))]


@pytest.mark.parametrize("due", ["policy_deadline_s", "reading_deadline_s"])
def test_the_sticks_are_looked_at_when_that_is_due(due: str) -> None:
    daemon = Daemon(installation(1))
    daemon.open(ONE)
    daemon.engine.workers.regulators["default"].active = []
    setattr(daemon.engine.workers.regulators["default"], due, 100.125)
    assert daemon.engine.wake(100.124) == []
    assert daemon.engine.workers.regulators["default"].active == []
    daemon.engine.wake(100.125)
    assert daemon.engine.workers.regulators["default"].active == ["sim-1"]


def test_a_frame_is_sent_with_the_number_of_losses_of_its_stick() -> None:
    daemon = running()
    daemon.engine.sticks.by_id[StickId("sim-1")].reset_epoch = 3
    assert daemon.capture(0) == [grant(2), infer(1, 0, reset_epoch=3)]


def test_ordered_frames_wait_while_the_sink_is_behind() -> None:
    daemon = running(ordered=True)
    daemon.engine.sinks.by_name[""].outbox.closed()
    for _ in range(256):
        daemon.engine.sinks.by_name[""].outbox.put(RECORD)
    assert daemon.capture(0) == []
    daemon.engine.sinks.by_name[""].outbox.opened(1, b"")
    daemon.engine.sinks.by_name[""].outbox.closed()
    assert daemon.engine.wake(101.0) == [infer(1, 0)]


def test_the_daemon_was_idle_last_before_the_frame_that_is_open() -> None:
    daemon = running()
    assert daemon.engine.idle_s == 101.0
    daemon.capture(0)
    daemon.engine.wake(101.1)
    assert daemon.engine.idle_s == 101.0
    daemon.now_s = 101.2
    daemon.receive(ONE, m.Inferred(1, Outcome(), 0.1))
    assert daemon.engine.idle_s == 101.2


# -- ticks


def test_a_quiet_second_leads_to_nothing() -> None:
    assert running(gateway=True, sticks=2).run(110.0) == []


def test_a_loop_that_stood_still_calls_no_child_and_no_frame_late() -> None:
    daemon = running()
    daemon.capture(0)
    daemon.now_s = 130.0
    stood = LogEvent("warning", "daemon", "event loop stalled for 28.8 s; child deadlines extended")
    assert daemon.engine.wake(130.0) == [stood]
    assert [child.deadline_s for child in daemon.engine.children()] == [135.0] * 3
    assert daemon.engine.dispatcher.queues[StickId("sim-1")].last_done_s == 130.0
    assert daemon.camera.measuring_since_s == 130.0


@pytest.mark.parametrize(("now_s", "stood_still"), [(102.25, False), (102.2501, True)])
def test_a_tick_more_than_a_second_late_is_a_stall(now_s: float, stood_still: bool) -> None:
    actions = running().engine.wake(now_s)
    assert [str(action.text)[:10] for action in actions if isinstance(action, LogEvent)] == ["event loop"] * stood_still


def test_a_stick_that_does_not_answer_ends_its_worker() -> None:
    daemon = running(results=False)
    daemon.capture(0)
    assert daemon.run(111.0) == []
    assert daemon.run(111.25) == killed(ONE, HANGS)


def test_a_camera_that_does_not_measure_any_more_is_killed() -> None:
    daemon = running(gateway=True)
    daemon.receive(GATEWAY, m.Watch(CAM0, 1))
    daemon.capture(0)
    daemon.receive(ONE, m.Inferred(1, Outcome(), 0.1))
    assert daemon.run(106.0) == []
    assert daemon.run(106.25) == killed(CAMERA, "no answer for 5 s: camera hangs")


@pytest.mark.parametrize("endpoint", [CAMERA, ONE, SINK, GATEWAY])
def test_a_child_that_is_silent_is_killed(endpoint: Endpoint) -> None:
    daemon = running(gateway=True, sticks=2)
    silent_s = 3.0 if endpoint == GATEWAY else 5.0
    daemon.run(102.0)
    assert daemon.run(101.75 + silent_s, silent=[endpoint]) == []
    assert daemon.run(102.0 + silent_s, silent=[endpoint]) == killed(endpoint, f"no heartbeat for {silent_s:.0f} s")


def test_a_worker_that_waits_for_its_turn_is_not_late() -> None:
    daemon = Daemon(installation(2, stagger_s=1000.0))
    daemon.receive(ONE, HELLO)
    daemon.receive(TWO, HELLO)
    daemon.run(144.0)
    assert daemon.engine.sticks.by_id[StickId("sim-2")].child.deadline_s == 189.0


def test_the_frame_of_a_worker_that_cannot_be_killed_goes_to_another_stick_at_a_tick() -> None:
    daemon = running(sticks=2)
    daemon.capture(0)
    daemon.engine.sticks.by_id[StickId("sim-1")].child.kill(101.0, "hangs")
    fenced = "process 77 survives SIGKILL (blocked in the kernel): fenced until it exits"
    assert daemon.run(105.75) == []
    assert daemon.run(106.0) == [LogEvent("error", "worker sim-1", fenced), infer(2, 0, TWO)]


def test_a_frame_that_waits_for_a_camera_that_cannot_be_killed_is_published_without_distances() -> None:
    daemon = running(gateway=True, results=False)
    daemon.receive(GATEWAY, m.Watch(CAM0, 1))
    daemon.capture(0)
    daemon.receive(ONE, m.Inferred(1, Outcome([FOUND]), 0.1))
    daemon.camera.child.kill(101.0, "hangs")
    daemon.camera.measuring_since_s = 1000.0
    daemon.run(105.75)
    assert daemon.count == Count(begun=1)
    daemon.run(106.0)
    assert (daemon.camera.child.state, daemon.count) == (State.FENCED, Count(begun=1, result=1))


def test_inferences_that_all_fail_are_noted_at_a_tick() -> None:
    daemon = running(results=False)
    daemon.engine.workers.health.failed("no blob", 101.0)
    daemon.engine.workers.health.failed("no blob", 106.0)
    daemon.now_s = 106.0
    assert daemon.run(106.25)[-1] == LogEvent("error", "daemon", "every inference fails: no blob")


def test_a_change_of_the_cluster_size_is_noted_at_a_tick() -> None:
    daemon = Daemon(installation(4, cluster_size=2, results=False))
    daemon.receive(BUS, e.StickGone(StickId("sim-4")))
    assert daemon.run(100.25) == [LogEvent("warning", "clusters", "cluster size is now 1: 3 sticks present")]


def test_a_stick_that_ages_into_the_heat_rests_from_the_next_tick_on() -> None:
    daemon = Daemon(installation(1, results=False))
    daemon.receive(ONE, HELLO)
    daemon.receive(ONE, m.StickOpened("a device", True, 2))
    daemon.receive(ONE, m.Telemetry(64.0))
    daemon.engine.workers.regulators["default"].reading_deadline_s = None
    assert daemon.run(102.0) == []
    assert daemon.run(102.25) == [
        LogEvent("info", "sim-1", "is too hot (65.2 °C): resting", "times a stick was too hot"),
        LogEvent("warning", "clusters", "every stick is too hot: no frame is processed"),
    ]


def test_a_pool_that_is_too_small_for_its_sticks_is_replaced_at_a_tick_and_dropped_once_it_is_idle() -> None:
    daemon = running(results=False)
    daemon.engine.dispatcher.attach(StickId("sim-1"), 2)
    for number in range(2, 14):
        daemon.engine.dispatcher.attach(StickId(f"sim-{number}"), 2)
    layout = PoolLayout(2, 66, 640, 480)
    assert daemon.run(101.25) == [
        MakePool(layout),
        Send(CAMERA, m.MapPool(layout), pool=2),
        Send(ONE, m.MapPool(layout), pool=2),
        Send(CAMERA, m.Grant(2, 0)),
        Send(CAMERA, m.Grant(2, 1)),
    ]


def test_slots_that_have_become_free_are_granted_at_a_tick() -> None:
    daemon = running(results=False)
    assert daemon.camera.slots is not None
    daemon.camera.slots.revoke_grants()
    assert daemon.run(101.25) == [grant(0), grant(1)]


def test_a_camera_is_sent_its_rates_each_second_when_they_have_changed() -> None:
    daemon = running(results=False)
    daemon.camera.viewers = 1
    assert daemon.run(101.75) == []
    assert daemon.run(102.0) == [Send(CAMERA, m.DetectionRate(0.0, True))]
    daemon.camera.viewers = 0
    assert daemon.run(102.75) == []
    assert daemon.run(103.0) == [Send(CAMERA, m.DetectionRate(0.0, False))]
