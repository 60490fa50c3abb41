"""What is known of a camera, and each word about its source and its process: exact actions."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Kill, LogEvent, MakePictures, MakePool, Send, Spawn
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.events import Endpoint
from ncs_cluster.messages import DetectionRate, MapPool, OpenSource, SourceEnded, SourceLost, SourceOpened
from ncs_cluster.specs import CameraSpec
from ncs_cluster.status import LatencyStatus
from ncs_cluster.types import CameraName, PoolLayout
from tests.core.onecamera import (
    CAMERA,
    FOUND,
    HELLO,
    NAME,
    REFUSED,
    STOPPED,
    WORKER,
    CameraSetup,
    granted,
    info,
    pictures,
    record,
)

DIED = e.Exited("exit code 1", 1)


def camera(*, ordered: bool = False, window: bool = False) -> Camera:
    setup = CameraSetup()
    setup.cameras.limits = Limits(silent_s=7.0)
    spec = CameraSpec(CameraName("cam1"), "synthetic", {}, "synthetic", ordered=ordered, window=window, runtime="old")
    setup.cameras.add(spec, 0.0)
    return setup.cameras.by_name["cam1"]


# -- what is known


def test_a_new_camera_has_given_nothing() -> None:
    new = camera()
    apart = ("spec", "child", "drawing", "unreadable", "_cameras")
    figures = {name: value for name, value in vars(new).items() if name not in apart}
    assert figures == {
        "stream": None,
        "info": None,
        "detail": None,
        "signal": False,
        "ended": False,
        "added": False,
        "removed": False,
        "refused": False,
        "first": 0,
        "progress": None,
        "slots": None,
        "retired": [],
        "next_frame": 0,
        "source_from": 0,
        "starts_over": False,
        "frames": 0,
        "captured_at": 0.0,
        "measuring": {},
        "measuring_since_s": 0.0,
        "viewers": 0,
        "streamed": True,
        "sent_rate": None,
        "capture_fps": 0.0,
        "preview_fps": 0.0,
        "range_errors": [],
    }
    assert all(figures[name] is False for name in ("signal", "ended", "removed"))
    assert new.drawing.status() == LatencyStatus(None, None)
    assert new.ever_opened is False


def test_two_cameras_share_no_figures() -> None:
    first, second = camera(), camera()
    for name, value in vars(first).items():
        if isinstance(value, (dict, list)):
            assert value is not vars(second)[name], name
    assert first.drawing is not second.drawing


def test_the_process_of_a_camera_has_its_name_its_runtime_and_its_limits() -> None:
    new = camera()
    assert new.child.restart(0.0) == [Send(Endpoint("camera", "cam1"), m.Stop())]
    assert new.handle(DIED, 1.0) == [Spawn(Endpoint("camera", "cam1"), "old")]
    assert new.child.limits == Limits(silent_s=7.0)
    assert new.spec.name == "cam1"


@pytest.mark.parametrize(("viewers", "window", "drawn"), [(0, False, False), (1, False, True), (0, True, True), (2, True, True)])
def test_a_camera_is_drawn_while_it_has_viewers_or_a_window(viewers: int, window: bool, drawn: bool) -> None:
    new = camera(window=window)
    new.viewers = viewers
    assert new.drawn is drawn


@pytest.mark.parametrize(
    ("asked", "source", "ordered"),
    [(False, None, False), (False, False, False), (False, True, True), (True, None, True), (True, False, True)],
)
def test_a_camera_is_ordered_when_its_settings_or_its_open_source_say_so(asked: bool, source: bool | None, ordered: bool) -> None:
    new = camera(ordered=asked)
    if source is not None:
        new.info = SourceOpened(640, 480, None, None, True, source, "")
    assert new.ordered is ordered


# -- its process


def test_a_camera_that_greets_is_told_its_source_and_its_next_frame() -> None:
    setup = CameraSetup()
    setup.camera.sent_rate = DetectionRate(1.0, True)
    assert setup.receive(HELLO, 1.0) == [Send(CAMERA, OpenSource(setup.spec, 0))]
    assert (setup.camera.child.state, setup.camera.child.pid, setup.camera.child.deadline_s) == (State.OPENING, 7, 61.0)
    assert setup.camera.sent_rate is None
    assert setup.receive(HELLO, 2.0) == [], "it has greeted before"


def test_a_camera_of_another_version_is_killed() -> None:
    setup = CameraSetup()
    text = f"killed: uses protocol {m.PROTOCOL + 1}, not {m.PROTOCOL}: install the daemon's version for its interpreter"
    assert setup.receive(m.Hello(m.PROTOCOL + 1, 7, "3.11"), 1.0) == [
        LogEvent("warning", "camera cam0", text),
        Kill(CAMERA),
    ]


def test_a_camera_that_greets_again_goes_on_with_its_numbers_and_its_ring_of_pictures() -> None:
    setup = CameraSetup().open()
    setup.camera.next_frame = 7
    setup.receive(DIED, 1.0)
    assert setup.receive(HELLO, 2.0) == [Send(CAMERA, OpenSource(setup.spec, 7, 7)), pictures()]


def test_what_a_killed_camera_still_says_does_not_count() -> None:
    setup = CameraSetup().open()
    setup.camera.child.kill(1.0, "it misbehaves")
    assert setup.receive(SourceLost("cable"), 2.0) == []
    assert (setup.camera.signal, setup.camera.detail) == (True, None)


def test_any_word_of_a_running_camera_says_that_it_lives() -> None:
    setup = CameraSetup().open()
    for now_s, message in ((3.0, m.Heartbeat()), (4.0, m.Skipped(0)), (5.0, m.Phase("opening"))):
        assert setup.receive(message, now_s) == []
        assert setup.camera.child.deadline_s == (65.0 if isinstance(message, m.Phase) else now_s + 5.0)
    setup.receive(e.Spawned(99), 6.0)
    assert setup.camera.child.pid == 99


def test_a_camera_that_opens_its_source_and_says_its_rates_is_waited_for() -> None:
    setup = CameraSetup()
    setup.receive(HELLO, 1.0)
    assert setup.receive(m.CameraRates(29.5, 10.5), 50.0) == []
    assert (setup.camera.capture_fps, setup.camera.preview_fps) == (29.5, 10.5)
    assert setup.camera.child.deadline_s == 110.0


def test_a_camera_whose_process_ends_holds_no_grant_and_no_result_and_is_started_again() -> None:
    setup = CameraSetup(window=True).open()
    old = setup.slots
    setup.receive(info(320, 240), 1.0)
    old.retired = False
    old.grant()
    unit = setup.unit(0)
    setup.inferred(unit, FOUND, 10.5)
    assert setup.receive(DIED, 11.0) == [
        LogEvent("warning", "camera cam0", "ended (exit code 1), restarting"),
        Spawn(CAMERA, "default"),
    ]
    assert (setup.camera.signal, old.granted, setup.slots.granted) == (False, 0, 0)
    assert setup.camera.measuring == {}
    assert setup.records == [record(unit, "demo", FOUND, 1.0)]


def test_the_end_of_a_process_that_never_had_a_pool_changes_no_slot() -> None:
    setup = CameraSetup()
    setup.receive(DIED, 1.0)
    assert setup.camera.slots is None


def test_a_process_that_cannot_be_started_is_tried_again_late() -> None:
    setup = CameraSetup()
    text = "ended (could not be started; no python), next try in 60 s"
    assert setup.receive(e.SpawnFailed("no python"), 1.0) == [LogEvent("warning", "camera cam0", text)]


def test_a_camera_that_has_ended_is_not_started_again_when_its_process_ends() -> None:
    setup = CameraSetup().open()
    setup.receive(SourceEnded(0), 1.0)
    assert setup.receive(e.Exited("exit code 0", 0), 2.0) == []
    assert setup.camera.child.state is State.DOWN


@pytest.mark.parametrize(("opened", "stopping", "refused"), [(False, False, True), (True, False, False), (False, True, False)])
def test_a_source_that_can_never_open_and_never_has_ends_the_daemon(opened: bool, stopping: bool, refused: bool) -> None:
    setup = CameraSetup()
    if opened:
        setup.open()
    setup.daemon.stopping = stopping
    assert setup.receive(m.Failed("open", "no such file", permanent=True)) == ([REFUSED] if refused else [])
    assert setup.daemon.asked == ([("cam0", "no such file")] if refused else [])
    assert setup.receive(m.Failed("open", "busy")) == []
    assert setup.daemon.asked == ([("cam0", "no such file")] if refused else [])


def test_a_source_that_can_never_open_beside_others_costs_itself_alone() -> None:
    setup = CameraSetup()
    spec = replace(setup.spec, name=CameraName("film"))
    setup.cameras.add(spec, 0.0)
    film = setup.cameras.by_name["film"]
    film.handle(HELLO, 1.0)
    why = "film.mp4 is not a video"
    assert film.handle(m.Failed("open", why, permanent=True), 2.0) == [LogEvent("error", "film", f"no signal: {why}")]
    assert (setup.daemon.asked, film.detail) == ([], why)
    setup.open()
    assert not setup.cameras.finished()
    setup.receive(SourceEnded(0))
    assert setup.cameras.finished()
    film.handle(e.Exited("exit code 1", 1), 3.0)
    assert film.child.tick(70.0) == [Spawn(film.child.endpoint, "default")]
    film.handle(HELLO, 71.0)
    film.handle(info(), 72.0)
    assert not setup.cameras.finished(), "somebody has replaced the file"


def test_sources_that_can_all_never_open_end_the_daemon() -> None:
    setup = CameraSetup()
    setup.cameras.add(replace(setup.spec, name=CameraName("film")), 0.0)
    setup.receive(m.Failed("open", "no such file", permanent=True))
    assert setup.daemon.asked == []
    film = setup.cameras.by_name["film"]
    film.handle(HELLO, 1.0)
    assert film.handle(m.Failed("open", "no video", permanent=True), 2.0) == [REFUSED]
    assert setup.daemon.asked == [("film", "no video")]


@pytest.mark.parametrize("stopping", [False, True])
def test_the_key_q_in_a_window_stops_the_daemon_once(stopping: bool) -> None:
    setup = CameraSetup(window=True).open()
    setup.daemon.stopping = stopping
    assert setup.receive(m.QuitRequested(), 3.0) == ([] if stopping else [STOPPED])
    assert setup.daemon.asked == ([] if stopping else [3.0])


# -- its source


def test_a_source_that_opens_gets_a_pool_a_ring_of_pictures_and_two_slots() -> None:
    setup = CameraSetup(("demo", "faces"), workers=(WORKER,))
    setup.receive(HELLO, 0.0)
    layout = PoolLayout(1, 32, 640, 480, 0.001)
    assert setup.receive(info(depth_scale_m=0.001), 1.0) == [
        LogEvent("info", "cam0", "opened: a scene, 640x480"),
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=1),
        Send(WORKER, MapPool(layout), pool=1),
        MakePictures(NAME, 4, 640, 480),
        pictures(),
        *granted(0, 1),
    ]
    assert (setup.camera.signal, setup.camera.detail, setup.camera.child.state) == (True, None, State.RUNNING)
    assert setup.camera.info == info(depth_scale_m=0.001)
    assert setup.camera.ever_opened is True
    lanes = [(lane.stream, lane.graph, lane.cost, lane.ordered) for lane in setup.dispatcher.lanes.values()]
    assert lanes == [("cam0", 0, 1.0, False), ("cam0", 1, 1.0, False)]
    assert setup.streams.by_name == {"cam0": setup.stream}
    assert setup.stream.producer is setup.camera


@pytest.mark.parametrize("source_ordered", [False, True])
def test_the_lanes_of_an_ordered_camera_are_ordered(source_ordered: bool) -> None:
    setup = CameraSetup(ordered=not source_ordered)
    setup.open(SourceOpened(640, 480, 30.0, None, True, source_ordered, ""))
    assert [lane.ordered for lane in setup.dispatcher.lanes.values()] == [True]
    assert setup.stream.ordered is True


def test_a_source_that_describes_itself_is_named_by_that() -> None:
    setup = CameraSetup()
    setup.receive(HELLO, 0.0)
    actions = setup.receive(info(description="D435 12345"), 1.0)
    assert actions[0] == LogEvent("info", "cam0", "opened: D435 12345, 640x480")


def test_a_source_that_comes_back_in_the_same_size_goes_on_with_its_pool_and_its_stream() -> None:
    setup = CameraSetup(workers=(WORKER,)).open()
    stream = setup.stream
    setup.receive(SourceLost("cable"))
    again = LogEvent("info", "cam0", "opened: a scene, 640x480")
    assert setup.receive(info(), 1.0) == [again]
    assert (setup.camera.signal, setup.camera.detail) == (True, None)
    assert setup.receive(info(), 2.0) == []
    assert setup.stream is stream


def test_a_camera_that_was_started_again_is_told_of_its_pool_and_gets_slots() -> None:
    setup = CameraSetup(workers=(WORKER,)).open()
    setup.receive(DIED, 1.0)
    setup.receive(HELLO, 2.0)
    assert setup.receive(info(), 3.0) == [
        LogEvent("info", "cam0", "opened: a scene, 640x480"),
        Send(CAMERA, MapPool(setup.slots.layout), pool=1),
        *granted(0, 1),
    ]
    assert len(setup.dispatcher.lanes) == 1


def test_a_source_that_changes_its_size_gets_a_new_pool_and_its_old_grants_are_revoked() -> None:
    setup = CameraSetup(workers=(WORKER,)).open()
    old = setup.slots
    layout = PoolLayout(2, 30, 320, 240)
    assert setup.receive(info(320, 240), 1.0) == [
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=2),
        Send(WORKER, MapPool(layout), pool=2),
        MakePictures(NAME, 4, 320, 240),
        pictures(320, 240),
        *granted(0, 1, pool=2),
    ]
    assert (old.granted, old.retired) == (0, True)


def test_a_lost_source_is_said_once_for_each_reason() -> None:
    setup = CameraSetup().open()
    camera = setup.camera
    assert setup.receive(SourceLost("cable")) == [LogEvent("warning", "cam0", "no signal: cable")]
    assert (camera.signal, camera.detail) == (False, "cable")
    assert setup.receive(SourceLost("cable")) == []
    assert setup.receive(SourceLost("busy")) == [LogEvent("warning", "cam0", "no signal: busy")]
    camera.signal = True
    assert setup.receive(SourceLost("busy")) == [LogEvent("warning", "cam0", "no signal: busy")]


@pytest.mark.parametrize(
    ("frames", "unreadable", "note"),
    [
        (0, 0, LogEvent("info", "cam0", "ended after 0 frames")),
        (1, 0, LogEvent("info", "cam0", "ended after 1 frame")),
        (2, 0, LogEvent("info", "cam0", "ended after 2 frames")),
        (2, 1, LogEvent("warning", "cam0", "ended after 2 frames, 1 of them unreadable")),
    ],
)
def test_the_end_of_a_source_is_said_with_its_frames(frames: int, unreadable: int, note: LogEvent) -> None:
    setup = CameraSetup().open()
    setup.camera.frames, setup.camera.unreadable.count = frames, unreadable
    assert setup.cameras.finished() is False
    assert setup.receive(SourceEnded(frames)) == [note]
    assert setup.camera.ended is True
    assert setup.cameras.finished() is True


@pytest.mark.parametrize("word", [info(320, 240), SourceEnded(3), SourceLost("cable")])
def test_what_a_camera_that_was_told_to_stop_says_of_its_source_does_not_count(word: object) -> None:
    """It may be started again with another source, of which this is not true."""
    setup = CameraSetup().open()
    setup.camera.child.restart(1.0)
    assert setup.receive(word, 2.0) == []
    assert (setup.camera.info, setup.camera.signal, setup.camera.ended, setup.camera.detail) == (info(), True, False, None)
    assert setup.receive(e.Exited("exit code 0", 0), 3.0) == [Spawn(CAMERA, "default")]


# -- its rates


def test_a_picture_that_was_drawn_counts_from_the_capture_of_its_frame_where_there_was_one() -> None:
    setup = CameraSetup().open()
    assert setup.receive(m.Drawn(5, 10.0, 10.25)) == []
    assert setup.camera.drawing.status() == LatencyStatus(250.0, 250.0)
    setup.receive(m.Drawn(0, 0.0, 99.0))
    assert setup.camera.drawing.status() == LatencyStatus(250.0, 250.0)


def test_a_camera_is_told_its_rate_when_it_has_changed() -> None:
    setup = CameraSetup()
    camera = setup.camera
    assert camera.send_detection_rate(1.0) == []
    assert camera.sent_rate is None
    setup.receive(HELLO, 0.0)
    assert camera.send_detection_rate(1.0) == [Send(CAMERA, DetectionRate(0.0, False))], "its stream is not open yet"
    setup.receive(info(), 0.0)
    assert camera.send_detection_rate(1.0) == []
    camera.viewers = 1
    assert camera.send_detection_rate(1.0) == [Send(CAMERA, DetectionRate(0.0, True))]
    for now_s in (1.0, 1.3, 1.6):
        setup.stream.detection.count(now_s)
    assert camera.send_detection_rate(1.6) == [Send(CAMERA, DetectionRate(3.3, True))]
    assert camera.sent_rate == DetectionRate(3.3, True)
