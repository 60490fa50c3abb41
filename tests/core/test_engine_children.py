"""Events of cameras, sink, page, bus and clients lead to exact actions of the engine."""

from __future__ import annotations

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, Exit, Kill, LogEvent, MakePictures, MakePool, Send, Spawn, Unplug
from ncs_cluster.core.child import State
from ncs_cluster.core.events import BUS, GATEWAY, OPERATOR, SINK, Endpoint
from ncs_cluster.core.work import Count
from ncs_cluster.specs import SinkSpec, StickSpec
from ncs_cluster.status import LatencyStatus
from ncs_cluster.testing.world import installation
from ncs_cluster.types import Outcome, Record, StickId
from tests.core.onedaemon import (
    CAM0,
    CAMERA,
    CLIENT,
    FOUND,
    HELLO,
    ONE,
    OPENED,
    POOL,
    RING,
    STOPPING,
    TWO,
    Daemon,
    grant,
    infer,
    killed,
    ref,
    running,
)

# -- cameras


def test_a_camera_is_sent_its_source_and_then_its_pool_and_its_first_slots() -> None:
    daemon = Daemon(installation(2, gateway=True))
    daemon.open(ONE, GATEWAY)
    assert daemon.receive(CAMERA, HELLO) == [Send(CAMERA, m.OpenSource(daemon.camera.spec, 0))]
    assert daemon.receive(CAMERA, OPENED) == [
        LogEvent("info", "cam0", "opened: a scene, 640x480"),
        MakePool(POOL),
        Send(CAMERA, m.MapPool(POOL), pool=1),
        Send(ONE, m.MapPool(POOL), pool=1),
        MakePictures(CAM0, 4, 640, 480),
        Send(CAMERA, RING, pictures=CAM0),
        grant(0),
        grant(1),
        Send(GATEWAY, RING, pictures=CAM0),
    ]
    assert daemon.camera.child.pid == 77


def test_a_camera_of_another_version_is_killed() -> None:
    why = f"uses protocol 1, not {m.PROTOCOL}: install the daemon's version for its interpreter"
    assert Daemon(installation(1)).receive(CAMERA, m.Hello(1, 77, "3.11")) == killed(CAMERA, why)


def test_a_frame_goes_to_a_stick_and_its_result_to_the_sink() -> None:
    daemon = running()
    assert daemon.capture(0) == [grant(2), infer(1, 0)]
    daemon.now_s = 101.125
    record = Record("cam0", 0, 1.7e9, None, "sim-1", "demo", 0.125, Outcome())
    assert daemon.receive(ONE, m.Inferred(1, Outcome(), 0.125)) == [Send(SINK, m.Write(0, record))]
    assert daemon.count == Count(begun=1, result=1)


def test_a_frame_is_measured_before_it_is_published_where_pictures_are_watched() -> None:
    daemon = running(gateway=True)
    assert daemon.receive(GATEWAY, m.Watch(CAM0, 1)) == [Send(CAMERA, m.DetectionRate(0.0, True))]
    daemon.capture(0)
    assert daemon.receive(ONE, m.Inferred(1, Outcome([FOUND]), 0.1)) == [
        Send(CAMERA, m.Measure(1, ref(0), "demo", Outcome([FOUND])))
    ]
    daemon.camera.slots.revoke_grants()  # type: ignore[union-attr]
    *grants, write = daemon.receive(CAMERA, m.Measured(1, [FOUND]))
    assert grants == [grant(0), grant(1)]
    assert isinstance(write, Send)
    assert (write.to, write.message.number, daemon.count) == (SINK, 0, Count(begun=1, result=1))


def test_a_picture_is_announced_to_the_page_while_its_camera_has_viewers() -> None:
    daemon = running(gateway=True)
    assert daemon.receive(CAMERA, m.Drawn(5, 100.0, 100.025)) == []
    daemon.receive(GATEWAY, m.Watch(CAM0, 1))
    assert daemon.receive(CAMERA, m.Drawn(6, 100.0, 100.025)) == [Send(GATEWAY, m.PictureReady(CAM0, 6))]
    assert daemon.camera.drawing.status() == LatencyStatus(25.0, 25.0)


def test_a_picture_without_a_frame_has_no_latency() -> None:
    daemon = running()
    assert daemon.receive(CAMERA, m.Drawn(0, 0.0, 100.0)) == []
    assert daemon.camera.drawing.status() == LatencyStatus(None, None)


def test_a_frame_that_was_skipped_is_counted() -> None:
    daemon = running()
    assert daemon.receive(CAMERA, m.Skipped(4)) == []
    assert (daemon.count, daemon.camera.next_frame, daemon.camera.frames) == (Count(begun=1, dropped=1), 5, 1)


def test_a_source_that_is_lost_or_ends_is_noted() -> None:
    daemon = running()
    assert daemon.receive(CAMERA, m.SourceLost("no cable")) == [LogEvent("warning", "cam0", "no signal: no cable")]
    assert daemon.receive(CAMERA, m.SourceEnded(0)) == [LogEvent("info", "cam0", "ended after 0 frames")]


def test_the_rates_of_a_camera_are_kept_and_give_it_more_time_to_open() -> None:
    daemon = Daemon(installation(1))
    daemon.receive(CAMERA, HELLO)
    daemon.now_s = 110.0
    assert daemon.receive(CAMERA, m.CameraRates(30.0, 15.0)) == []
    assert (daemon.camera.capture_fps, daemon.camera.preview_fps, daemon.camera.child.deadline_s) == (30.0, 15.0, 170.0)


def test_every_message_of_a_camera_or_the_sink_extends_its_deadline() -> None:
    daemon = running()
    daemon.now_s = 104.0
    assert daemon.receive(CAMERA, m.Heartbeat()) + daemon.receive(SINK, m.Heartbeat()) == []
    assert (daemon.camera.child.deadline_s, daemon.engine.sinks.by_name[""].child.deadline_s) == (109.0, 109.0)


def test_late_messages_of_a_camera_or_a_sink_that_was_killed_are_ignored() -> None:
    daemon = running()
    daemon.camera.child.kill(101.0, "hangs")
    daemon.engine.sinks.by_name[""].child.kill(101.0, "hangs")
    assert daemon.receive(CAMERA, m.SourceLost("no cable")) + daemon.receive(SINK, m.SinkBlocked("disk full")) == []


def test_q_in_a_window_stops_the_daemon_once() -> None:
    daemon = running()
    assert daemon.receive(CAMERA, m.QuitRequested()) == [STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    assert daemon.receive(CAMERA, m.QuitRequested()) == []


def test_a_source_that_can_never_work_ends_the_daemon() -> None:
    daemon = Daemon(installation(1))
    daemon.receive(CAMERA, HELLO)
    ends = [LogEvent("error", "cam0", "no such file"), Kill(CAMERA), Kill(ONE), Kill(SINK), Exit(78)]
    assert daemon.receive(CAMERA, m.Failed("source", "no such file", True)) == ends


@pytest.mark.parametrize("case", ["not permanent", "was open before", "is stopping"])
def test_any_other_failure_of_a_source_ends_its_process_alone(case: str) -> None:
    daemon = Daemon(installation(1))
    daemon.receive(CAMERA, HELLO)
    if case == "was open before":
        daemon.receive(CAMERA, OPENED)
    if case == "is stopping":
        daemon.receive(OPERATOR, e.StopRequested())
    assert daemon.receive(CAMERA, m.Failed("source", "no such file", case != "not permanent")) == []
    daemon.receive(CAMERA, e.Exited("exit code 1", 1))
    assert daemon.camera.child.last_error == (None if case == "is stopping" else "no such file")


def test_a_camera_that_dies_starts_again_and_its_grants_are_free() -> None:
    daemon = running()
    text = "ended (killed by SIGSEGV), restarting"
    assert daemon.receive(CAMERA, e.Exited("killed by SIGSEGV", -11)) == [
        LogEvent("warning", "camera cam0", text),
        Spawn(CAMERA, "default"),
    ]
    assert daemon.camera.slots is not None
    assert (daemon.camera.signal, daemon.camera.slots.granted) == (False, 0)


def test_a_camera_whose_source_has_ended_is_not_started_again() -> None:
    daemon = running()
    daemon.receive(CAMERA, m.SourceEnded(0))
    assert daemon.receive(CAMERA, e.Exited("exit code 0", 0)) == []
    assert daemon.camera.child.state is State.DOWN


def test_the_process_id_of_camera_and_sink_is_recorded() -> None:
    daemon = Daemon(installation(1))
    assert daemon.receive(CAMERA, e.Spawned(5)) + daemon.receive(SINK, e.Spawned(6)) == []
    assert (daemon.camera.child.pid, daemon.engine.sinks.by_name[""].child.pid) == (5, 6)


# -- sink and page


def test_sink_and_page_are_sent_what_to_open() -> None:
    daemon = Daemon(installation(1, gateway=True))
    assert daemon.engine.settings.gateway is not None
    assert daemon.receive(SINK, HELLO) == [
        Send(SINK, m.OpenSink(SinkSpec("jsonl", {"path": "results.jsonl"}, "results.jsonl"), 0, None))
    ]
    page = daemon.engine.settings.gateway
    assert daemon.receive(GATEWAY, HELLO) == [Send(GATEWAY, m.OpenGateway(page, "runtime", True, "state"))]
    assert daemon.receive(GATEWAY, m.GatewayOpened("127.0.0.1", 8080)) == [
        LogEvent("info", "page", "serves http://127.0.0.1:8080/")
    ]
    assert daemon.receive(SINK, m.SinkOpened(0, b"")) == []


def test_a_sink_of_another_version_is_killed() -> None:
    why = f"uses protocol 1, not {m.PROTOCOL}: install the daemon's version for its interpreter"
    assert Daemon(installation(1)).receive(SINK, m.Hello(1, 77, "3.11")) == killed(SINK, why)


@pytest.mark.parametrize("endpoint", [SINK, GATEWAY])
def test_a_sink_or_a_page_that_can_never_work_ends_the_daemon(endpoint: Endpoint) -> None:
    daemon = Daemon(installation(1, gateway=True))
    daemon.receive(endpoint, HELLO)
    ends = [LogEvent("error", endpoint.kind, "denied"), Kill(CAMERA), Kill(ONE), Kill(SINK), Kill(GATEWAY), Exit(78)]
    assert daemon.receive(endpoint, m.Failed("open", "denied", True)) == ends


@pytest.mark.parametrize("endpoint", [SINK, GATEWAY])
@pytest.mark.parametrize("case", ["not permanent", "was open before", "is stopping"])
def test_any_other_failure_of_sink_or_page_is_only_tried_again(endpoint: Endpoint, case: str) -> None:
    daemon = Daemon(installation(1, gateway=True))
    daemon.open(*((endpoint,) if case == "was open before" else ()))
    if case == "is stopping":
        daemon.receive(OPERATOR, e.StopRequested())
    assert daemon.receive(endpoint, m.Failed("open", "denied", case != "not permanent")) == []
    wait_s = 1 if case == "not permanent" else 60
    assert daemon.receive(endpoint, e.Exited("exit code 1", 1)) == [
        LogEvent("warning", endpoint.kind, f"ended (exit code 1; denied), next try in {wait_s} s")
    ]


def test_a_reader_of_standard_output_that_goes_away_stops_the_daemon_once() -> None:
    daemon = Daemon(msgspec.structs.replace(installation(1), sinks=[SinkSpec("jsonl", {"path": "-"}, "-")]))
    daemon.open(SINK)
    gone = m.Failed(m.NO_READER, "broken pipe", True)
    note = LogEvent("info", "sink", "broken pipe: stopping")
    assert daemon.receive(SINK, gone) == [note, STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    assert daemon.receive(SINK, gone) == []


# -- bus and clients


def test_a_stick_that_is_plugged_in_is_noted_once() -> None:
    daemon = Daemon(installation(1))
    spec = StickSpec(StickId("sim-9"), "port", "simulated")
    plugged: list[Action] = [LogEvent("info", "sim-9", "is plugged in"), Spawn(Endpoint("worker", "sim-9"), "default")]
    assert daemon.receive(BUS, e.StickFound(spec)) == plugged
    assert daemon.receive(BUS, e.StickFound(spec)) == []


def test_a_stick_that_is_plugged_in_while_the_daemon_stops_is_left_alone() -> None:
    daemon = Daemon(installation(1))
    daemon.receive(OPERATOR, e.StopRequested())
    assert daemon.receive(BUS, e.StickFound(StickSpec(StickId("sim-9"), "port", "simulated"))) == []


def test_a_stick_that_is_pulled_gets_no_more_work() -> None:
    daemon = running(sticks=2)
    gone = [LogEvent("warning", "sim-1", "is unplugged"), *killed(ONE, "its stick is unplugged")]
    assert daemon.receive(BUS, e.StickGone(StickId("sim-1"))) == gone
    assert daemon.capture(0) == [grant(2), infer(1, 0, TWO)]
    text = "was left booted by another process; after a reset its id is its boot port"
    renamed = [LogEvent("info", "sim-2", text), *killed(TWO, "its stick is unplugged")]
    assert daemon.receive(BUS, e.StickGone(StickId("sim-2"), renamed=True)) == renamed


def replied(text: str) -> Send:
    return Send(CLIENT, m.Reply(body=msgspec.Raw(msgspec.msgpack.encode({"text": text}))))


def clusters_of_one() -> Daemon:
    daemon = Daemon(installation(2, cluster_size=1, results=False))
    daemon.open(ONE, TWO)
    return daemon


def test_a_switch_is_refused_where_there_is_one_cluster() -> None:
    assert running().receive(CLIENT, m.AskSwitch()) == [Send(CLIENT, m.Reply(error="no other cluster to switch to"))]


def test_a_switch_within_the_dwell_is_promised_and_later_made() -> None:
    daemon = clusters_of_one()
    daemon.now_s = 101.0
    assert daemon.receive(CLIENT, m.AskSwitch()) == [replied("will switch when the dwell time ends")]
    assert daemon.engine.deadline_s == 100.25
    daemon.engine.wake(101.9)
    assert daemon.engine.deadline_s == 102.0
    assert daemon.engine.wake(102.0) == [LogEvent("info", "clusters", "switch to sim-2: requested by the operator", "")]


def test_a_switch_after_the_dwell_is_made_at_once() -> None:
    daemon = clusters_of_one()
    daemon.now_s = 102.0
    assert daemon.receive(CLIENT, m.AskSwitch()) == [
        LogEvent("info", "clusters", "switch to sim-2: requested by the operator", ""),
        replied("switched to sim-2"),
    ]


def test_a_switch_names_every_stick_of_the_next_cluster() -> None:
    daemon = Daemon(installation(4, cluster_size=2, results=False))
    daemon.open(*(Endpoint("worker", f"sim-{number}") for number in range(1, 5)))
    daemon.now_s = 102.0
    assert daemon.receive(CLIENT, m.AskSwitch())[-1] == replied("switched to sim-3, sim-4")


def test_a_switch_is_refused_where_every_other_cluster_is_too_hot() -> None:
    daemon = clusters_of_one()
    zone = daemon.engine.sticks.by_id[StickId("sim-2")].zone
    zone.open(True)
    zone.read(70.0, 102.0)
    daemon.now_s = 102.0
    assert daemon.receive(CLIENT, m.AskSwitch()) == [
        LogEvent("info", "sim-2", "is too hot (70.0 °C): resting", "times a stick was too hot"),
        Send(CLIENT, m.Reply(error="every other cluster is too hot; the active sticks stay active")),
    ]


def test_trouble_is_made_for_simulated_sticks() -> None:
    text = "sim-1 is unplugged for 5 s"
    asked = m.AskFault("unplug", StickId("sim-1"))
    assert running().receive(CLIENT, asked) == [LogEvent("warning", "fault", text), Unplug(StickId("sim-1")), replied(text)]
    real = installation(1)
    pool = msgspec.structs.replace(real.pools[0], sticks=[StickSpec(StickId("sim-1"), "port", "myriad")])
    real = msgspec.structs.replace(real, pools=[pool])
    why = "faults are for simulated sticks only (--backend simulated)"
    assert Daemon(real).receive(CLIENT, asked) == [Send(CLIENT, m.Reply(error=why))]
