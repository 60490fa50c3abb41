"""What is known of a camera, and each word about its source and its process: exact actions."""

from __future__ import annotations

import pytest

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
from tests.core.onecamera import CAMERA, FOUND, HELLO, NAME, REFUSED, STOPPED, WORKER, House, granted, info, pictures, record

DIED = e.Exited("exit code 1", 1)


def camera(*, ordered: bool = False, window: bool = False) -> Camera:
    house = House()
    house.cameras.limits = Limits(silent_s=7.0)
    spec = CameraSpec(CameraName("cam1"), "synthetic", {}, "synthetic", ordered=ordered, window=window, runtime="old")
    house.cameras.add(spec, 0.0)
    return house.cameras.by_name["cam1"]


# -- what is known


def test_a_new_camera_has_given_nothing() -> None:
    new = camera()
    figures = {name: value for name, value in vars(new).items() if name not in ("spec", "child", "drawing", "_cameras")}
    assert figures == {
        "stream": None,
        "info": None,
        "detail": None,
        "signal": False,
        "ended": False,
        "removed": False,
        "slots": None,
        "retired": [],
        "next_frame": 0,
        "frames": 0,
        "unreadable": 0,
        "reads": True,
        "measuring": {},
        "measuring_since_s": 0.0,
        "viewers": 0,
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
    house = House()
    house.camera.sent_rate = DetectionRate(1.0, True)
    assert house.hears(HELLO, 1.0) == [Send(CAMERA, OpenSource(house.spec, 0))]
    assert (house.camera.child.state, house.camera.child.pid, house.camera.child.deadline_s) == (State.OPENING, 7, 61.0)
    assert house.camera.sent_rate is None
    assert house.hears(HELLO, 2.0) == [], "it has greeted before"


def test_a_camera_of_another_version_is_killed() -> None:
    house = House()
    text = f"killed: uses protocol {m.PROTOCOL + 1}, not {m.PROTOCOL}: install the daemon's version for its interpreter"
    assert house.hears(m.Hello(m.PROTOCOL + 1, 7, "3.11"), 1.0) == [
        LogEvent("warning", "camera cam0", text),
        Kill(CAMERA),
    ]


def test_a_camera_that_greets_again_goes_on_with_its_numbers_and_its_ring_of_pictures() -> None:
    house = House().open()
    house.camera.next_frame = 7
    house.hears(DIED, 1.0)
    assert house.hears(HELLO, 2.0) == [Send(CAMERA, OpenSource(house.spec, 7)), pictures()]


def test_what_a_killed_camera_still_says_does_not_count() -> None:
    house = House().open()
    house.camera.child.kill(1.0, "it misbehaves")
    assert house.hears(SourceLost("cable"), 2.0) == []
    assert (house.camera.signal, house.camera.detail) == (True, None)


def test_any_word_of_a_running_camera_says_that_it_lives() -> None:
    house = House().open()
    for now_s, message in ((3.0, m.Heartbeat()), (4.0, m.Skipped(0)), (5.0, m.Phase("opening"))):
        assert house.hears(message, now_s) == []
        assert house.camera.child.deadline_s == (65.0 if isinstance(message, m.Phase) else now_s + 5.0)
    house.hears(e.Spawned(99), 6.0)
    assert house.camera.child.pid == 99


def test_a_camera_that_opens_its_source_and_says_its_rates_is_waited_for() -> None:
    house = House()
    house.hears(HELLO, 1.0)
    assert house.hears(m.CameraRates(29.5, 10.5), 50.0) == []
    assert (house.camera.capture_fps, house.camera.preview_fps) == (29.5, 10.5)
    assert house.camera.child.deadline_s == 110.0


def test_a_camera_whose_process_ends_holds_no_grant_and_no_result_and_is_started_again() -> None:
    house = House(window=True).open()
    old = house.slots
    house.hears(info(320, 240), 1.0)
    old.retired = False
    old.grant()
    unit = house.unit(0)
    house.inferred(unit, FOUND, 10.5)
    assert house.hears(DIED, 11.0) == [
        LogEvent("warning", "camera cam0", "ended (exit code 1), restarting"),
        Spawn(CAMERA, "default"),
    ]
    assert (house.camera.signal, old.granted, house.slots.granted) == (False, 0, 0)
    assert house.camera.measuring == {}
    assert house.records == [record(unit, "demo", FOUND, 1.0)]


def test_the_end_of_a_process_that_never_had_a_pool_changes_no_slot() -> None:
    house = House()
    house.hears(DIED, 1.0)
    assert house.camera.slots is None


def test_a_process_that_cannot_be_started_is_tried_again_late() -> None:
    house = House()
    text = "ended (could not be started; no python), next try in 60 s"
    assert house.hears(e.SpawnFailed("no python"), 1.0) == [LogEvent("warning", "camera cam0", text)]


def test_a_camera_that_has_ended_is_not_started_again_when_its_process_ends() -> None:
    house = House().open()
    house.hears(SourceEnded(0), 1.0)
    assert house.hears(e.Exited("exit code 0", 0), 2.0) == []
    assert house.camera.child.state is State.DOWN


@pytest.mark.parametrize(("opened", "stopping", "refused"), [(False, False, True), (True, False, False), (False, True, False)])
def test_a_source_that_can_never_open_and_never_has_ends_the_daemon(opened: bool, stopping: bool, refused: bool) -> None:
    house = House()
    if opened:
        house.open()
    house.daemon.stopping = stopping
    assert house.hears(m.Failed("open", "no such file", permanent=True)) == ([REFUSED] if refused else [])
    assert house.daemon.asked == ([("cam0", "no such file")] if refused else [])
    assert house.hears(m.Failed("open", "busy")) == []
    assert house.daemon.asked == ([("cam0", "no such file")] if refused else [])


@pytest.mark.parametrize("stopping", [False, True])
def test_the_key_q_in_a_window_stops_the_daemon_once(stopping: bool) -> None:
    house = House(window=True).open()
    house.daemon.stopping = stopping
    assert house.hears(m.QuitRequested(), 3.0) == ([] if stopping else [STOPPED])
    assert house.daemon.asked == ([] if stopping else [3.0])


# -- its source


def test_a_source_that_opens_gets_a_pool_a_ring_of_pictures_and_two_slots() -> None:
    house = House(("demo", "faces"), workers=(WORKER,))
    house.hears(HELLO, 0.0)
    layout = PoolLayout(1, 32, 640, 480, 0.001)
    assert house.hears(info(depth_scale_m=0.001), 1.0) == [
        LogEvent("info", "cam0", "opened: a scene, 640x480"),
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=1),
        Send(WORKER, MapPool(layout), pool=1),
        MakePictures(NAME, 4, 640, 480),
        pictures(),
        *granted(0, 1),
    ]
    assert (house.camera.signal, house.camera.detail, house.camera.child.state) == (True, None, State.RUNNING)
    assert house.camera.info == info(depth_scale_m=0.001)
    assert house.camera.ever_opened is True
    lanes = [(lane.stream, lane.graph, lane.cost, lane.ordered) for lane in house.dispatcher.lanes.values()]
    assert lanes == [("cam0", 0, 1.0, False), ("cam0", 1, 1.0, False)]
    assert house.streams.by_name == {"cam0": house.stream}
    assert house.stream.producer is house.camera


@pytest.mark.parametrize("source_ordered", [False, True])
def test_the_lanes_of_an_ordered_camera_are_ordered(source_ordered: bool) -> None:
    house = House(ordered=not source_ordered)
    house.open(SourceOpened(640, 480, 30.0, None, True, source_ordered, ""))
    assert [lane.ordered for lane in house.dispatcher.lanes.values()] == [True]
    assert house.stream.ordered is True


def test_a_source_that_describes_itself_is_named_by_that() -> None:
    house = House()
    house.hears(HELLO, 0.0)
    actions = house.hears(info(description="D435 12345"), 1.0)
    assert actions[0] == LogEvent("info", "cam0", "opened: D435 12345, 640x480")


def test_a_source_that_comes_back_in_the_same_size_goes_on_with_its_pool_and_its_stream() -> None:
    house = House(workers=(WORKER,)).open()
    stream = house.stream
    house.hears(SourceLost("cable"))
    again = LogEvent("info", "cam0", "opened: a scene, 640x480")
    assert house.hears(info(), 1.0) == [again]
    assert (house.camera.signal, house.camera.detail) == (True, None)
    assert house.hears(info(), 2.0) == []
    assert house.stream is stream


def test_a_camera_that_was_started_again_is_told_of_its_pool_and_gets_slots() -> None:
    house = House(workers=(WORKER,)).open()
    house.hears(DIED, 1.0)
    house.hears(HELLO, 2.0)
    assert house.hears(info(), 3.0) == [
        LogEvent("info", "cam0", "opened: a scene, 640x480"),
        Send(CAMERA, MapPool(house.slots.layout), pool=1),
        *granted(0, 1),
    ]
    assert len(house.dispatcher.lanes) == 1


def test_a_source_that_changes_its_size_gets_a_new_pool_and_its_old_grants_are_revoked() -> None:
    house = House(workers=(WORKER,)).open()
    old = house.slots
    layout = PoolLayout(2, 30, 320, 240)
    assert house.hears(info(320, 240), 1.0) == [
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=2),
        Send(WORKER, MapPool(layout), pool=2),
        MakePictures(NAME, 4, 320, 240),
        pictures(320, 240),
        *granted(0, 1, pool=2),
    ]
    assert (old.granted, old.retired) == (0, True)


def test_a_lost_source_is_said_once_for_each_reason() -> None:
    house = House().open()
    camera = house.camera
    assert house.hears(SourceLost("cable")) == [LogEvent("warning", "cam0", "no signal: cable")]
    assert (camera.signal, camera.detail) == (False, "cable")
    assert house.hears(SourceLost("cable")) == []
    assert house.hears(SourceLost("busy")) == [LogEvent("warning", "cam0", "no signal: busy")]
    camera.signal = True
    assert house.hears(SourceLost("busy")) == [LogEvent("warning", "cam0", "no signal: busy")]


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
    house = House().open()
    house.camera.frames, house.camera.unreadable = frames, unreadable
    assert house.cameras.finished is False
    assert house.hears(SourceEnded(frames)) == [note]
    assert house.camera.ended is True
    assert house.cameras.finished is True


@pytest.mark.parametrize("word", [info(320, 240), SourceEnded(3), SourceLost("cable")])
def test_what_a_camera_that_was_told_to_stop_says_of_its_source_does_not_count(word: object) -> None:
    """It may be started again with another source, of which this is not true."""
    house = House().open()
    house.camera.child.restart(1.0)
    assert house.hears(word, 2.0) == []
    assert (house.camera.info, house.camera.signal, house.camera.ended, house.camera.detail) == (info(), True, False, None)
    assert house.hears(e.Exited("exit code 0", 0), 3.0) == [Spawn(CAMERA, "default")]


# -- its rates


def test_a_picture_that_was_drawn_counts_from_the_capture_of_its_frame_where_there_was_one() -> None:
    house = House().open()
    assert house.hears(m.Drawn(5, 10.0, 10.25)) == []
    assert house.camera.drawing.status() == LatencyStatus(250.0, 250.0)
    house.hears(m.Drawn(0, 0.0, 99.0))
    assert house.camera.drawing.status() == LatencyStatus(250.0, 250.0)


def test_a_camera_is_told_its_rate_when_it_has_changed() -> None:
    house = House()
    camera = house.camera
    assert camera.send_detection_rate(1.0) == []
    assert camera.sent_rate is None
    house.hears(HELLO, 0.0)
    assert camera.send_detection_rate(1.0) == [Send(CAMERA, DetectionRate(0.0, False))], "its stream is not open yet"
    house.hears(info(), 0.0)
    assert camera.send_detection_rate(1.0) == []
    camera.viewers = 1
    assert camera.send_detection_rate(1.0) == [Send(CAMERA, DetectionRate(0.0, True))]
    for now_s in (1.0, 1.3, 1.6):
        house.stream.detection.count(now_s)
    assert camera.send_detection_rate(1.6) == [Send(CAMERA, DetectionRate(3.3, True))]
    assert camera.sent_rate == DetectionRate(3.3, True)
