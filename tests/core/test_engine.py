"""The switchboard: for each event the exact actions of the whole core, and what a tick, a stop and a hand-over lead to."""

from __future__ import annotations

from collections.abc import Container

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, Exit, Kill, MakePictures, MakePool, Note, Send, Spawn, Unplug
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, GATEWAY, OPERATOR, SINK, Who
from ncs_cluster.core.status import LatencyStatus
from ncs_cluster.core.work import Count
from ncs_cluster.specs import Settings, SinkSpec, StickSpec
from ncs_cluster.testing.world import house
from ncs_cluster.types import CameraName, Detection, FrameRef, Outcome, PoolLayout, StickId

CAM0 = CameraName("cam0")
CAMERA, CLIENT, ONE, TWO = Who("camera", "cam0"), Who("client", "1"), Who("worker", "sim-1"), Who("worker", "sim-2")
HELLO = m.Hello(m.PROTOCOL, 77, "3.11")
OPENED = m.SourceOpened(640, 480, 30.0, None, False, False, "a scene")
POOL = PoolLayout(1, 30, 640, 480)
RING = m.MapPictures(CAM0, 4, 640, 480)
HANGS = "no answer in time: it hangs"
FOUND = Detection("cat", 1, 0.9, (0.0, 0.0, 1.0, 1.0))
STOPPING = Note("info", "daemon", "stopping: finishing what is under way")


class Daemon:
    """An engine that started at 100 s, and a clock."""

    def __init__(self, settings: Settings, *, ordered: bool = False) -> None:
        cameras = [msgspec.structs.replace(camera, ordered=ordered) for camera in settings.cameras]
        self.engine = Engine(msgspec.structs.replace(settings, cameras=cameras), 100.0)
        self.now_s = 100.0
        self.started = self.engine.start(100.0)

    def hear(self, who: Who, message: object) -> list[Action]:
        return self.engine.handle(who, message, self.now_s)

    def open(self, *whom: Who) -> list[Action]:
        """They say hello, then that they are ready."""
        actions: list[Action] = []
        ready = {
            "worker": m.StickOpened("a device", False, 2),
            "camera": OPENED,
            "sink": m.SinkOpened(0, 0),
            "gateway": m.GatewayOpened("127.0.0.1", 8080),
        }
        for who in whom:
            actions += self.hear(who, HELLO) + self.hear(who, ready[who.kind])
        return actions

    def run(self, until_s: float, silent: Container[Who] = ()) -> list[Action]:
        """A tick each quarter of a second; who is not silent is heard each time."""
        actions: list[Action] = []
        while self.now_s < until_s:
            self.now_s += 0.25
            for child in self.engine.children():
                if child.running and child.who not in silent:
                    actions += self.hear(child.who, m.Heartbeat())
            actions += self.engine.wake(self.now_s)
        return actions

    def capture(self, frame: int) -> list[Action]:
        return self.hear(CAMERA, m.FrameCaptured(ref(frame), self.now_s, 1.7e9))

    @property
    def camera(self) -> Camera:
        return self.engine.cameras.by_name["cam0"]

    @property
    def count(self) -> Count:
        return self.engine.ledger.count("cam0")


def ref(frame: int) -> FrameRef:
    """Frames are written into the slots in turn."""
    return FrameRef(CAM0, 1, frame, frame, 640, 480)


def grant(slot: int) -> Send:
    return Send(CAMERA, m.Grant(1, slot))


def infer(ticket: int, frame: int, who: Who = ONE, losses: int = 0) -> Send:
    return Send(who, m.Infer(ticket, 0, ref(frame), losses))


def killed(who: Who, why: str) -> list[Action]:
    return [Note("warning", str(who), f"killed: {why}"), Kill(who)]


def running(*, ordered: bool = False, page: bool = False, results: bool = True, sticks: int = 1) -> Daemon:
    """Everything is open and a second has passed."""
    daemon = Daemon(house(sticks, page=page, results=results), ordered=ordered)
    daemon.open(*(child.who for child in daemon.engine.children()))
    assert daemon.run(101.0) == [Send(CAMERA, m.Rates(0.0, False))]
    return daemon


# -- begin and clock


def test_a_start_logs_its_notices_and_starts_sink_and_page_first() -> None:
    daemon = Daemon(msgspec.structs.replace(house(2, page=True), notices=["no stick found"]))
    children = [SINK, GATEWAY, ONE, TWO, CAMERA]
    assert daemon.started == [Note("info", "daemon", "no stick found"), *(Spawn(who, "default") for who in children)]
    assert (daemon.engine.began_s, daemon.engine.idle_s, daemon.engine.deadline_s) == (100.0, 100.0, 100.25)
    assert [child.who for child in daemon.engine.children()] == [CAMERA, ONE, TWO, SINK, GATEWAY]


def test_the_limits_of_its_children_can_be_given() -> None:
    engine = Engine(house(1), 100.0, Limits(starting_s=7.0))
    engine.start(100.0)
    assert [child.deadline_s for child in engine.children()] == [107.0] * 3


def test_a_house_without_results_and_page_has_neither_sink_nor_page() -> None:
    daemon = Daemon(house(1, results=False))
    assert daemon.started == [Spawn(ONE, "default"), Spawn(CAMERA, "default")]
    assert (daemon.hear(SINK, HELLO), daemon.hear(GATEWAY, HELLO)) == ([], [])


def test_the_deadline_is_the_first_of_all_that_is_due() -> None:
    engine = Daemon(house(1, stagger_s=0.1)).engine
    engine.sticks.next_s = 100.2
    assert engine.deadline_s == 100.2
    engine.sticks.look_s = 100.15
    assert engine.deadline_s == 100.15
    engine.sticks.boots.ask(StickId("a"), 100.0)
    engine.sticks.boots.ask(StickId("b"), 100.0)
    assert engine.deadline_s == 100.1
    engine.dispatcher.deadline_s = 100.05
    assert engine.deadline_s == 100.05


def test_a_tick_comes_each_quarter_of_a_second_and_not_before() -> None:
    daemon = Daemon(house(1))
    daemon.engine.sticks.by_id[StickId("sim-1")].child.deadline_s = 100.1
    assert daemon.engine.wake(100.249) == []
    assert daemon.engine.wake(100.25) == killed(ONE, "did not start in time")
    assert daemon.engine.deadline_s == 100.5


@pytest.mark.parametrize(
    "who", [Who("worker", "sim-9"), Who("camera", "cam9"), Who("client", "1"), Who("bus"), Who("operator"), Who("worker", "sim-1")]
)
def test_an_event_of_an_unknown_origin_or_kind_leads_to_no_action(who: Who) -> None:
    assert Daemon(house(1)).hear(who, m.AskStatus()) == []


# -- cameras


def test_a_camera_is_sent_its_source_and_then_its_pool_and_its_first_slots() -> None:
    daemon = Daemon(house(2, page=True))
    daemon.open(ONE, GATEWAY)
    assert daemon.hear(CAMERA, HELLO) == [Send(CAMERA, m.OpenSource(daemon.camera.spec, 0))]
    assert daemon.hear(CAMERA, OPENED) == [
        Note("info", "cam0", "gives pictures: a scene, 640x480"),
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
    why = "speaks protocol 1, not 2: install the same version for its interpreter"
    assert Daemon(house(1)).hear(CAMERA, m.Hello(1, 77, "3.11")) == killed(CAMERA, why)


def test_a_frame_goes_to_a_stick_and_its_result_to_the_sink() -> None:
    daemon = running()
    assert daemon.capture(0) == [grant(2), infer(1, 0)]
    daemon.now_s = 101.125
    line = b'"item":null,"stick":"sim-1","graph":"demo","latency_ms":125.0,"detections":[]}'
    record = b'{"schema":1,"camera":"cam0","frame":0,"captured_at":1700000000.0,' + line
    assert daemon.hear(ONE, m.Inferred(1, Outcome(), 0.125)) == [Send(SINK, m.Write(0, record))]
    assert daemon.count == Count(begun=1, result=1)


def test_a_frame_is_measured_before_it_is_published_where_pictures_are_watched() -> None:
    daemon = running(page=True)
    assert daemon.hear(GATEWAY, m.Watch(CAM0, 1)) == [Send(CAMERA, m.Rates(0.0, True))]
    daemon.capture(0)
    assert daemon.hear(ONE, m.Inferred(1, Outcome([FOUND]), 0.1)) == [Send(CAMERA, m.Measure(1, ref(0), "demo", Outcome([FOUND])))]
    daemon.camera.slots.revoke_grants()  # type: ignore[union-attr]
    *grants, write = daemon.hear(CAMERA, m.Measured(1, [FOUND]))
    assert grants == [grant(0), grant(1)]
    assert isinstance(write, Send)
    assert (write.to, write.message.number, daemon.count) == (SINK, 0, Count(begun=1, result=1))


def test_a_picture_is_announced_to_the_page_while_its_camera_has_viewers() -> None:
    daemon = running(page=True)
    assert daemon.hear(CAMERA, m.Drawn(5, 100.0, 100.025)) == []
    daemon.hear(GATEWAY, m.Watch(CAM0, 1))
    assert daemon.hear(CAMERA, m.Drawn(6, 100.0, 100.025)) == [Send(GATEWAY, m.PictureReady(CAM0, 6))]
    assert daemon.camera.drawing.status() == LatencyStatus(25.0, 25.0)


def test_a_picture_without_a_frame_has_no_latency() -> None:
    daemon = running()
    assert daemon.hear(CAMERA, m.Drawn(0, 0.0, 100.0)) == []
    assert daemon.camera.drawing.status() == LatencyStatus(None, None)


def test_a_frame_that_was_skipped_is_counted() -> None:
    daemon = running()
    assert daemon.hear(CAMERA, m.Skipped(4)) == []
    assert (daemon.count, daemon.camera.next_frame, daemon.camera.frames) == (Count(begun=1, dropped=1), 5, 1)


def test_a_source_that_is_lost_or_ends_is_noted() -> None:
    daemon = running()
    assert daemon.hear(CAMERA, m.SourceLost("no cable")) == [Note("warning", "cam0", "no signal: no cable")]
    assert daemon.hear(CAMERA, m.SourceEnded(0)) == [Note("info", "cam0", "has ended after 0 frames")]


def test_the_rates_of_a_camera_are_kept_and_give_it_more_time_to_open() -> None:
    daemon = Daemon(house(1))
    daemon.hear(CAMERA, HELLO)
    daemon.now_s = 110.0
    assert daemon.hear(CAMERA, m.CameraRates(30.0, 15.0)) == []
    assert (daemon.camera.capture_fps, daemon.camera.preview_fps, daemon.camera.child.deadline_s) == (30.0, 15.0, 170.0)


def test_every_message_of_a_camera_or_the_sink_extends_its_deadline() -> None:
    daemon = running()
    daemon.now_s = 104.0
    assert daemon.hear(CAMERA, m.Heartbeat()) + daemon.hear(SINK, m.Heartbeat()) == []
    assert daemon.engine.sink is not None
    assert (daemon.camera.child.deadline_s, daemon.engine.sink.child.deadline_s) == (109.0, 109.0)


def test_late_messages_of_a_camera_or_a_sink_that_was_killed_are_ignored() -> None:
    daemon = running()
    assert daemon.engine.sink is not None
    daemon.camera.child.kill(101.0, "hangs")
    daemon.engine.sink.child.kill(101.0, "hangs")
    assert daemon.hear(CAMERA, m.SourceLost("no cable")) + daemon.hear(SINK, m.SinkBlocked("disk full")) == []


def test_q_in_a_window_stops_the_daemon_once() -> None:
    daemon = running()
    assert daemon.hear(CAMERA, m.QuitAsked()) == [STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    assert daemon.hear(CAMERA, m.QuitAsked()) == []


def test_a_source_that_can_never_work_ends_the_daemon() -> None:
    daemon = Daemon(house(1))
    daemon.hear(CAMERA, HELLO)
    ends = [Note("error", "cam0", "no such file"), Kill(CAMERA), Kill(ONE), Kill(SINK), Exit(78)]
    assert daemon.hear(CAMERA, m.Failed("source", "no such file", True)) == ends


@pytest.mark.parametrize("case", ["not permanent", "was open before", "is stopping"])
def test_any_other_failure_of_a_source_ends_its_process_alone(case: str) -> None:
    daemon = Daemon(house(1))
    daemon.hear(CAMERA, HELLO)
    if case == "was open before":
        daemon.hear(CAMERA, OPENED)
    if case == "is stopping":
        daemon.hear(OPERATOR, e.StopAsked())
    assert daemon.hear(CAMERA, m.Failed("source", "no such file", case != "not permanent")) == []
    daemon.hear(CAMERA, e.Exited("exit code 1", 1))
    assert daemon.camera.child.last_error == (None if case == "is stopping" else "no such file")


def test_a_camera_that_dies_starts_again_and_its_grants_are_free() -> None:
    daemon = running()
    text = "ended (killed by SIGSEGV), starting it again"
    assert daemon.hear(CAMERA, e.Exited("killed by SIGSEGV", -11)) == [
        Note("warning", "camera cam0", text),
        Spawn(CAMERA, "default"),
    ]
    assert daemon.camera.slots is not None
    assert (daemon.camera.signal, daemon.camera.slots.granted) == (False, 0)


def test_a_camera_whose_source_has_ended_is_not_started_again() -> None:
    daemon = running()
    daemon.hear(CAMERA, m.SourceEnded(0))
    assert daemon.hear(CAMERA, e.Exited("exit code 0", 0)) == []
    assert daemon.camera.child.state is State.DOWN


def test_the_process_id_of_camera_and_sink_is_recorded() -> None:
    daemon = Daemon(house(1))
    assert daemon.hear(CAMERA, e.Spawned(5)) + daemon.hear(SINK, e.Spawned(6)) == []
    assert daemon.engine.sink is not None
    assert (daemon.camera.child.pid, daemon.engine.sink.child.pid) == (5, 6)


# -- sink and page


def test_sink_and_page_are_sent_what_to_open() -> None:
    daemon = Daemon(house(1, page=True))
    assert daemon.engine.settings.gateway is not None
    assert daemon.hear(SINK, HELLO) == [Send(SINK, m.OpenSink(SinkSpec("results.jsonl"), None))]
    assert daemon.hear(GATEWAY, HELLO) == [Send(GATEWAY, m.OpenGateway(daemon.engine.settings.gateway, "runtime", True))]
    assert daemon.hear(GATEWAY, m.GatewayOpened("127.0.0.1", 8080)) == [Note("info", "page", "is at http://127.0.0.1:8080/")]
    assert daemon.hear(SINK, m.SinkOpened(0, 0)) == []


def test_a_sink_of_another_version_is_killed() -> None:
    why = "speaks protocol 1, not 2: install the same version for its interpreter"
    assert Daemon(house(1)).hear(SINK, m.Hello(1, 77, "3.11")) == killed(SINK, why)


@pytest.mark.parametrize("who", [SINK, GATEWAY])
def test_a_sink_or_a_page_that_can_never_work_ends_the_daemon(who: Who) -> None:
    daemon = Daemon(house(1, page=True))
    daemon.hear(who, HELLO)
    ends = [Note("error", who.kind, "denied"), Kill(CAMERA), Kill(ONE), Kill(SINK), Kill(GATEWAY), Exit(78)]
    assert daemon.hear(who, m.Failed("open", "denied", True)) == ends


@pytest.mark.parametrize("who", [SINK, GATEWAY])
@pytest.mark.parametrize("case", ["not permanent", "was open before", "is stopping"])
def test_any_other_failure_of_sink_or_page_is_only_tried_again(who: Who, case: str) -> None:
    daemon = Daemon(house(1, page=True))
    daemon.open(*((who,) if case == "was open before" else ()))
    if case == "is stopping":
        daemon.hear(OPERATOR, e.StopAsked())
    assert daemon.hear(who, m.Failed("open", "denied", case != "not permanent")) == []
    wait_s = 1 if case == "not permanent" else 60
    assert daemon.hear(who, e.Exited("exit code 1", 1)) == [
        Note("warning", who.kind, f"ended (exit code 1; denied), next try in {wait_s} s")
    ]


def test_a_reader_of_standard_output_that_goes_away_stops_the_daemon_once() -> None:
    daemon = Daemon(msgspec.structs.replace(house(1), sink=SinkSpec("-")))
    daemon.open(SINK)
    gone = m.Failed("write", "broken pipe", True)
    note = Note("info", "sink", "broken pipe: nothing is left to do")
    assert daemon.hear(SINK, gone) == [note, STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    assert daemon.hear(SINK, gone) == []


# -- bus and clients


def test_a_stick_that_is_plugged_in_is_noted_once() -> None:
    daemon = Daemon(house(1))
    spec = StickSpec(StickId("sim-9"), "port", "simulated")
    plugged: list[Action] = [Note("info", "sim-9", "is plugged in"), Spawn(Who("worker", "sim-9"), "default")]
    assert daemon.hear(BUS, e.StickFound(spec)) == plugged
    assert daemon.hear(BUS, e.StickFound(spec)) == []


def test_a_stick_that_is_plugged_in_while_the_daemon_stops_is_left_alone() -> None:
    daemon = Daemon(house(1))
    daemon.hear(OPERATOR, e.StopAsked())
    assert daemon.hear(BUS, e.StickFound(StickSpec(StickId("sim-9"), "port", "simulated"))) == []


def test_a_stick_that_is_pulled_gets_no_more_work() -> None:
    daemon = running(sticks=2)
    gone = [Note("warning", "sim-1", "is gone: unplugged"), *killed(ONE, "its stick is gone")]
    assert daemon.hear(BUS, e.StickGone(StickId("sim-1"))) == gone
    assert daemon.capture(0) == [grant(2), infer(1, 0, TWO)]
    text = "was left booted by another process; once reset it is called by the port it waits at"
    renamed = [Note("info", "sim-2", text), *killed(TWO, "its stick is gone")]
    assert daemon.hear(BUS, e.StickGone(StickId("sim-2"), renamed=True)) == renamed


def replied(text: str) -> Send:
    return Send(CLIENT, m.Reply(body=msgspec.Raw(msgspec.msgpack.encode({"text": text}))))


def clusters_of_one() -> Daemon:
    daemon = Daemon(house(2, cluster_size=1, results=False))
    daemon.open(ONE, TWO)
    return daemon


def test_a_switch_is_refused_where_there_is_one_cluster() -> None:
    assert running().hear(CLIENT, m.AskSwitch()) == [Send(CLIENT, m.Reply(error="there is no other cluster to switch to"))]


def test_a_switch_within_the_dwell_is_promised_and_later_made() -> None:
    daemon = clusters_of_one()
    daemon.now_s = 101.0
    assert daemon.hear(CLIENT, m.AskSwitch()) == [replied("will switch as soon as the dwell is over")]
    assert daemon.engine.deadline_s == 100.25
    daemon.engine.wake(101.9)
    assert daemon.engine.deadline_s == 102.0
    assert daemon.engine.wake(102.0) == [Note("info", "clusters", "switch to sim-2: asked for by the operator")]


def test_a_switch_after_the_dwell_is_made_at_once() -> None:
    daemon = clusters_of_one()
    daemon.now_s = 102.0
    assert daemon.hear(CLIENT, m.AskSwitch()) == [
        Note("info", "clusters", "switch to sim-2: asked for by the operator"),
        replied("switched to sim-2"),
    ]


def test_a_switch_names_every_stick_of_the_next_cluster() -> None:
    daemon = Daemon(house(4, cluster_size=2, results=False))
    daemon.open(*(Who("worker", f"sim-{number}") for number in range(1, 5)))
    daemon.now_s = 102.0
    assert daemon.hear(CLIENT, m.AskSwitch())[-1] == replied("switched to sim-3, sim-4")


def test_a_switch_is_refused_where_every_other_cluster_is_too_hot() -> None:
    daemon = clusters_of_one()
    zone = daemon.engine.sticks.by_id[StickId("sim-2")].zone
    zone.open(True)
    zone.read(70.0, 102.0)
    daemon.now_s = 102.0
    assert daemon.hear(CLIENT, m.AskSwitch()) == [
        Note("info", "sim-2", "is too hot (70.0 °C): resting"),
        Send(CLIENT, m.Reply(error="every other cluster is too hot; the cool sticks work on")),
    ]


def test_trouble_is_made_for_simulated_sticks() -> None:
    text = "sim-1 is pulled, and plugged in again after 5 s"
    asked = m.AskTrouble("unplug", StickId("sim-1"))
    assert running().hear(CLIENT, asked) == [Note("warning", "trouble", text), Unplug(StickId("sim-1")), replied(text)]
    real = house(1)
    real = msgspec.structs.replace(real, sticks=[StickSpec(StickId("sim-1"), "port", "myriad")])
    why = "trouble can only be made with simulated sticks (--backend simulated)"
    assert Daemon(real).hear(CLIENT, asked) == [Send(CLIENT, m.Reply(error=why))]


# -- handing over


def test_a_worker_whose_turn_to_boot_has_come_is_sent_its_stick_before_any_tick() -> None:
    daemon = Daemon(house(2, stagger_s=0.125))
    daemon.hear(ONE, HELLO)
    assert daemon.hear(TWO, HELLO) == []
    spec = daemon.engine.settings.sticks[1]
    assert daemon.engine.wake(100.125) == [Send(TWO, m.OpenStick(spec, daemon.engine.settings.graphs, 1.0))]


@pytest.mark.parametrize("due", ["next_s", "look_s"])
def test_the_sticks_are_looked_at_when_that_is_due(due: str) -> None:
    daemon = Daemon(house(1))
    daemon.open(ONE)
    daemon.engine.sticks.active = []
    setattr(daemon.engine.sticks, due, 100.125)
    assert daemon.engine.wake(100.124) == []
    assert daemon.engine.sticks.active == []
    daemon.engine.wake(100.125)
    assert daemon.engine.sticks.active == ["sim-1"]


def test_a_frame_is_sent_with_the_number_of_losses_of_its_stick() -> None:
    daemon = running()
    daemon.engine.sticks.by_id[StickId("sim-1")].losses = 3
    assert daemon.capture(0) == [grant(2), infer(1, 0, losses=3)]


def test_ordered_frames_wait_while_the_sink_is_behind() -> None:
    daemon = running(ordered=True)
    assert daemon.engine.sink is not None
    daemon.engine.sink.outbox.closed()
    for _ in range(256):
        daemon.engine.sink.outbox.put(b"x")
    assert daemon.capture(0) == []
    daemon.engine.sink.outbox.opened(1)
    daemon.engine.sink.outbox.closed()
    assert daemon.engine.wake(101.0) == [infer(1, 0)]


def test_the_daemon_was_idle_last_before_the_frame_that_is_open() -> None:
    daemon = running()
    assert daemon.engine.idle_s == 101.0
    daemon.capture(0)
    daemon.engine.wake(101.1)
    assert daemon.engine.idle_s == 101.0
    daemon.now_s = 101.2
    daemon.hear(ONE, m.Inferred(1, Outcome(), 0.1))
    assert daemon.engine.idle_s == 101.2


# -- ticks


def test_a_quiet_second_leads_to_nothing() -> None:
    assert running(page=True, sticks=2).run(110.0) == []


def test_a_loop_that_stood_still_calls_no_child_and_no_frame_late() -> None:
    daemon = running()
    daemon.capture(0)
    daemon.now_s = 130.0
    stood = Note("warning", "daemon", "stood still for a while (stopped, or starved of CPU); nobody is called late for it")
    assert daemon.engine.wake(130.0) == [stood]
    assert [child.deadline_s for child in daemon.engine.children()] == [135.0] * 3
    assert daemon.engine.dispatcher.seats[StickId("sim-1")].last_done_s == 130.0
    assert daemon.camera.measuring_since_s == 130.0


@pytest.mark.parametrize(("now_s", "stood_still"), [(102.25, False), (102.2501, True)])
def test_a_tick_more_than_a_second_late_is_a_stall(now_s: float, stood_still: bool) -> None:
    actions = running().engine.wake(now_s)
    assert [str(action.text)[:11] for action in actions if isinstance(action, Note)] == ["stood still"] * stood_still


def test_a_stick_that_does_not_answer_ends_its_worker() -> None:
    daemon = running(results=False)
    daemon.capture(0)
    assert daemon.run(111.0) == []
    assert daemon.run(111.25) == killed(ONE, HANGS)


def test_a_camera_that_does_not_measure_any_more_is_killed() -> None:
    daemon = running(page=True)
    daemon.hear(GATEWAY, m.Watch(CAM0, 1))
    daemon.capture(0)
    daemon.hear(ONE, m.Inferred(1, Outcome(), 0.1))
    assert daemon.run(106.0) == []
    assert daemon.run(106.25) == killed(CAMERA, HANGS)


@pytest.mark.parametrize("who", [CAMERA, ONE, SINK, GATEWAY])
def test_a_child_that_is_silent_is_killed(who: Who) -> None:
    daemon = running(page=True, sticks=2)
    daemon.run(102.0)
    assert daemon.run(106.75, silent=[who]) == []
    assert daemon.run(107.0, silent=[who]) == killed(who, "not a word in 5 s")


def test_a_worker_that_waits_for_its_turn_is_not_late() -> None:
    daemon = Daemon(house(2, stagger_s=1000.0))
    daemon.hear(ONE, HELLO)
    daemon.hear(TWO, HELLO)
    daemon.run(144.0)
    assert daemon.engine.sticks.by_id[StickId("sim-2")].child.deadline_s == 189.0


def test_the_frame_of_a_worker_that_cannot_be_killed_goes_to_another_stick_at_a_tick() -> None:
    daemon = running(sticks=2)
    daemon.capture(0)
    daemon.engine.sticks.by_id[StickId("sim-1")].child.kill(101.0, "hangs")
    fenced = "process 77 does not die (stuck in the kernel): fenced until it is gone"
    assert daemon.run(105.75) == []
    assert daemon.run(106.0) == [Note("error", "worker sim-1", fenced), infer(2, 0, TWO)]


def test_a_frame_that_waits_for_a_camera_that_cannot_be_killed_is_published_without_distances() -> None:
    daemon = running(page=True, results=False)
    daemon.hear(GATEWAY, m.Watch(CAM0, 1))
    daemon.capture(0)
    daemon.hear(ONE, m.Inferred(1, Outcome([FOUND]), 0.1))
    daemon.camera.child.kill(101.0, "hangs")
    daemon.camera.measuring_since_s = 1000.0
    daemon.run(105.75)
    assert daemon.count == Count(begun=1)
    daemon.run(106.0)
    assert (daemon.camera.child.state, daemon.count) == (State.FENCED, Count(begun=1, result=1))


def test_inferences_that_all_fail_are_noted_at_a_tick() -> None:
    daemon = running(results=False)
    daemon.engine.inferences.failed("no blob", 101.0)
    daemon.engine.inferences.failed("no blob", 106.0)
    daemon.now_s = 106.0
    assert daemon.run(106.25)[-1] == Note("error", "daemon", "every inference fails: no blob")


def test_a_change_of_the_cluster_size_is_noted_at_a_tick() -> None:
    daemon = Daemon(house(4, cluster_size=2, results=False))
    daemon.hear(BUS, e.StickGone(StickId("sim-4")))
    assert daemon.run(100.25) == [Note("warning", "clusters", "cluster size is now 1: 3 sticks are there")]


def test_a_stick_that_ages_into_the_heat_rests_from_the_next_tick_on() -> None:
    daemon = Daemon(house(1, results=False))
    daemon.hear(ONE, HELLO)
    daemon.hear(ONE, m.StickOpened("a device", True, 2))
    daemon.hear(ONE, m.Telemetry(64.0))
    daemon.engine.sticks.look_s = None
    assert daemon.run(102.0) == []
    assert daemon.run(102.25) == [
        Note("info", "sim-1", "is too hot (65.2 °C): resting"),
        Note("warning", "clusters", "every stick is too hot: no frame is worked on"),
    ]


def test_a_pool_that_is_too_small_for_its_sticks_is_replaced_at_a_tick_and_dropped_once_it_is_idle() -> None:
    daemon = running(results=False)
    daemon.engine.dispatcher.seat(StickId("sim-1"), 2)
    for number in range(2, 14):
        daemon.engine.dispatcher.seat(StickId(f"sim-{number}"), 2)
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
    assert daemon.run(102.0) == [Send(CAMERA, m.Rates(0.0, True))]
    daemon.camera.viewers = 0
    assert daemon.run(102.75) == []
    assert daemon.run(103.0) == [Send(CAMERA, m.Rates(0.0, False))]


# -- the end


def finished() -> Daemon:
    daemon = running(ordered=True)
    daemon.capture(0)
    daemon.hear(CAMERA, m.SourceEnded(1))
    return daemon


def test_the_daemon_stops_by_itself_when_every_source_has_ended_and_every_result_is_written() -> None:
    daemon = finished()
    assert daemon.run(101.25) == [], "a frame is under way"
    daemon.hear(ONE, m.Inferred(1, Outcome(), 0.1))
    assert daemon.run(101.5) == [], "a record is not written yet"
    daemon.hear(SINK, m.Acked(0, 100))
    over = Note("info", "daemon", "all sources have ended and every result is out")
    assert daemon.run(101.75) == [over, STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    assert daemon.run(102.0) == []


def test_a_daemon_without_results_stops_by_itself_too() -> None:
    daemon = running(results=False)
    daemon.hear(CAMERA, m.SourceEnded(0))
    over = Note("info", "daemon", "all sources have ended and every result is out")
    assert daemon.run(101.25) == [over, STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]


def test_only_the_operators_stop_stops() -> None:
    daemon = running()
    assert daemon.hear(OPERATOR, None) == []
    assert daemon.hear(OPERATOR, e.StopAsked()) == [STOPPING, Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]


def test_a_second_stop_kills_everything_at_once() -> None:
    daemon = running(page=True)
    daemon.hear(OPERATOR, e.StopAsked())
    again = Note("warning", "daemon", "asked again: ending at once")
    kills = [Kill(CAMERA), Kill(ONE), Kill(SINK), Kill(GATEWAY)]
    assert daemon.hear(OPERATOR, e.StopAsked()) == [again, *kills, Exit(0)]


def test_a_stop_waits_for_what_is_under_way_and_drops_what_waits() -> None:
    daemon = running()
    daemon.capture(0)
    daemon.capture(1)
    assert daemon.hear(OPERATOR, e.StopAsked()) == [STOPPING]
    assert (daemon.count, daemon.engine.cameras.stopping) == (Count(begun=2, dropped=1), True)
    assert daemon.engine.dispatcher.waiting() == 0
    assert daemon.run(101.25) == []
    assert daemon.capture(2) == [], "no new frames"
    (write,) = daemon.hear(ONE, m.Inferred(1, Outcome(), 0.1))
    assert isinstance(write, Send)
    assert write.to == SINK
    assert daemon.run(101.5) == [Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    daemon.hear(CAMERA, e.Exited("exit code 0", 0))
    daemon.hear(ONE, e.Exited("exit code 0", 0))
    assert daemon.run(101.75) == [], "a record is not written yet"
    daemon.hear(SINK, m.Acked(0, 100))
    assert daemon.run(102.0) == [Send(SINK, m.Stop())]
    daemon.hear(SINK, e.Exited("exit code 0", 0))
    assert daemon.run(102.25) == [Note("info", "daemon", "stopped"), Exit(0)]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_frame_that_a_stick_died_with_was_under_way_in_an_ordered_stream_alone(ordered: bool) -> None:
    daemon = running(ordered=ordered, sticks=1)
    daemon.capture(0)
    daemon.hear(ONE, e.Exited("killed by SIGSEGV", -11))
    assert daemon.engine.dispatcher.waiting() == 1
    daemon.hear(OPERATOR, e.StopAsked())
    left = Count(begun=1) if ordered else Count(begun=1, dropped=1)
    assert (daemon.count, daemon.engine.dispatcher.waiting()) == (left, 1 if ordered else 0)


def test_a_frame_that_comes_back_while_the_daemon_drains_is_handed_over_again() -> None:
    daemon = running(ordered=True, sticks=2)
    daemon.capture(0)
    daemon.hear(OPERATOR, e.StopAsked())
    assert daemon.hear(ONE, e.Exited("killed by SIGSEGV", -11)) == [
        Note("warning", "worker sim-1", "ended (killed by SIGSEGV), starting it again"),
        Spawn(ONE, "default"),
        infer(2, 0, TWO),
    ]


def test_frames_that_were_never_handed_over_are_dropped_at_a_stop_in_an_ordered_stream_too() -> None:
    daemon = running(ordered=True)
    for frame in range(3):
        daemon.capture(frame)
    daemon.hear(OPERATOR, e.StopAsked())
    assert (daemon.count, daemon.engine.dispatcher.waiting()) == (Count(begun=3, dropped=1), 0)


def test_while_sticks_are_closed_nothing_is_handed_over_or_waited_for() -> None:
    daemon = running(ordered=True)
    daemon.capture(0)
    daemon.hear(OPERATOR, e.StopAsked())
    daemon.run(103.0)
    assert daemon.run(103.25) == [Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    daemon.engine.dispatcher.unseat(StickId("sim-1"))
    seat = daemon.engine.dispatcher.seat(StickId("sim-2"), 2)
    seat.rate, daemon.engine.dispatcher.deadline_s = 1.0, 103.3
    assert daemon.engine.wake(103.3) == []
    assert (daemon.engine.dispatcher.deadline_s, seat.in_flight) == (None, {})


def test_what_is_not_finished_in_time_is_given_up_and_written_with_its_reason() -> None:
    daemon = running(ordered=True)
    daemon.capture(0)
    daemon.hear(OPERATOR, e.StopAsked())
    assert daemon.run(103.5) == [Send(CAMERA, m.Stop()), Send(ONE, m.Stop())]
    assert (daemon.count, daemon.engine.dispatcher.at_work) == (Count(begun=1), 1)
    (write,) = daemon.run(103.75)
    assert isinstance(write, Send)
    assert b'"error":"not finished: the daemon was stopped"' in write.message.record
    assert (daemon.count, daemon.engine.dispatcher.at_work) == (Count(begun=1, given_up=1), 0)


def test_a_result_that_waits_for_its_distances_is_written_without_them_when_the_time_is_over() -> None:
    daemon = running(page=True)
    daemon.hear(GATEWAY, m.Watch(CAM0, 1))
    daemon.capture(0)
    daemon.hear(ONE, m.Inferred(1, Outcome([FOUND]), 0.1))
    daemon.hear(OPERATOR, e.StopAsked())
    daemon.run(103.5)
    assert daemon.count == Count(begun=1)
    daemon.run(103.75)
    assert daemon.count == Count(begun=1, result=1)


def test_records_that_could_not_be_written_are_counted_at_the_end() -> None:
    daemon = running()
    daemon.capture(0)
    daemon.hear(ONE, m.Inferred(1, Outcome(), 0.1))
    daemon.hear(OPERATOR, e.StopAsked())
    for who in (CAMERA, ONE):
        daemon.hear(who, e.Exited("exit code 0", 0))
    daemon.run(104.25)
    assert daemon.hear(SINK, e.Exited("exit code 0", 0)) == []
    assert daemon.run(104.5) == [
        Note("error", "sink", "1 result could not be written before the end"),
        Note("info", "daemon", "stopped"),
        Exit(0),
    ]
