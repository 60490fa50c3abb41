"""Cameras are added, changed and removed while the daemon runs, and kept in time: exact actions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core.actions import DropPictures, DropPool, LogEvent, MakePictures, MakePool, Send, Spawn
from ncs_cluster.core.cameras import LIVE_FIELDS
from ncs_cluster.core.child import State
from ncs_cluster.core.events import GATEWAY, Endpoint, Exited
from ncs_cluster.messages import MapPool, Measured, OpenSource, SourceEnded, UnmapPool
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import CameraName, GraphName, PoolLayout, StickId
from tests.core.onecamera import (
    BALL,
    CAMERA,
    FOUND,
    HELLO,
    NAME,
    WORKER,
    CameraSetup,
    captured,
    granted,
    info,
    measure,
    pictures,
    with_page,
)

CAM1 = CameraSpec(CameraName("cam1"), "synthetic", {}, "another scene")
STOPPED = Exited("exit code 0", 0)
STOP = Send(CAMERA, m.Stop())
REMOVED = LogEvent("info", "cam0", "is removed")


def changed(setup: CameraSetup, **fields: Any) -> CameraSpec:
    return msgspec.structs.replace(setup.camera.spec, **fields)


# -- added


def test_without_graphs_each_frame_is_one_unit_of_a_graph_called_none() -> None:
    assert CameraSetup(()).streams.graphs == ["none"]
    assert CameraSetup(("demo", "faces")).streams.graphs == ["demo", "faces"]


def test_cameras_stop_when_the_daemon_stops() -> None:
    setup = CameraSetup()
    assert setup.cameras.stopping is False
    setup.daemon.stopping = True
    assert setup.cameras.stopping is True


def test_all_cameras_must_end_before_the_streams_are_finished_and_none_is_no_end() -> None:
    setup = CameraSetup().open()
    setup.cameras.add(CAM1, 0.0)
    setup.receive(SourceEnded(0))
    assert setup.cameras.finished() is False
    setup.cameras.by_name.clear()
    assert setup.cameras.finished() is False


def test_settings_without_a_difference_change_nothing() -> None:
    setup = CameraSetup().open()
    assert setup.cameras.configure([changed(setup)], 1.0) == []
    assert setup.cameras.by_name == {"cam0": setup.camera}


def test_a_camera_that_is_new_in_the_settings_is_added() -> None:
    setup = CameraSetup().open()
    endpoint = Endpoint("camera", "cam1")
    assert setup.cameras.configure([setup.spec, CAM1], 1.0) == [
        LogEvent("info", "cam1", "is added"),
        Spawn(endpoint, "default"),
    ]
    added = setup.cameras.by_name["cam1"]
    assert added.handle(HELLO, 2.0) == [Send(endpoint, OpenSource(CAM1, 0))]
    added.handle(info(), 3.0)
    assert list(setup.streams.by_name) == ["cam0", "cam1"]


def test_a_source_that_can_never_open_does_not_end_a_daemon_that_ran_before_it_was_configured() -> None:
    setup = CameraSetup()
    wrong = changed(setup, source="video", options={"path": "nope.mp4"})
    setup.cameras.configure([wrong, CAM1], 1.0)
    setup.receive(STOPPED, 1.5)
    for camera in setup.cameras.by_name.values():
        camera.handle(HELLO, 2.0)
        refused = [LogEvent("error", camera.spec.name, "no signal: no such file")]
        assert camera.handle(m.Failed("open", "no such file", permanent=True), 3.0) == refused
        assert (camera.refused, camera.detail) == (True, "no such file")
        text = "ended (exit code 0; no such file), next try in 60 s"
        assert camera.handle(STOPPED, 4.0) == [LogEvent("warning", str(camera.child.endpoint), text)]
    assert setup.daemon.asked == []


# -- changed


def test_a_new_weight_is_applied_to_the_open_stream_and_restarts_nothing() -> None:
    setup = CameraSetup(("demo", "faces")).open()
    setup.receive(captured(0))
    lanes = list(setup.dispatcher.lanes.values())
    assert sorted(LIVE_FIELDS) == ["shown", "weight", "written"]
    assert setup.cameras.configure([changed(setup, weight=4.0, shown="the door")], 1.0) == [
        LogEvent("info", "cam0", "has new settings: shown, weight")
    ]
    assert (setup.camera.spec.weight, setup.camera.spec.shown, setup.stream.weight) == (4.0, "the door", 4.0)
    assert [lane.cost for lane in setup.dispatcher.lanes.values()] == [0.5, 0.5]
    assert list(setup.dispatcher.lanes.values()) == lanes
    assert (setup.pending, setup.camera.child.state) == ([(0, 0), (1, 0)], State.RUNNING)


def test_a_new_weight_of_a_camera_that_is_not_open_yet_is_that_of_its_stream() -> None:
    setup = CameraSetup()
    setup.cameras.configure([changed(setup, weight=4.0)], 1.0)
    assert setup.open().stream.weight == 4.0


def test_a_new_source_restarts_the_camera_and_frames_go_on_with_the_next_number() -> None:
    setup = CameraSetup().open()
    setup.receive(captured(0))
    old, spec = setup.slots, changed(setup, source="v4l2", options={"device": 1}, runtime="old")
    assert setup.cameras.configure([spec], 11.0) == [LogEvent("info", "cam0", "has new settings: restarting"), STOP]
    assert (setup.camera.stream, setup.streams.by_name, setup.dispatcher.lanes) == (None, {}, {})
    assert setup.counted(begun=1, dropped=1)
    # its process had written one more frame before it heard of it
    assert setup.receive(captured(1, slot=1), 11.1) == []
    assert setup.receive(STOPPED, 11.2) == [Spawn(CAMERA, "old")]
    assert setup.receive(HELLO, 11.3) == [Send(CAMERA, OpenSource(spec, 2, 0)), pictures()]
    assert setup.receive(info(320, 240), 11.4) == [
        LogEvent("info", "cam0", "opened: a scene, 320x240"),
        MakePool(PoolLayout(2, 30, 320, 240)),
        Send(CAMERA, MapPool(PoolLayout(2, 30, 320, 240)), pool=2),
        MakePictures(NAME, 4, 320, 240),
        pictures(320, 240),
        *granted(0, 1, pool=2),
    ]
    assert (old.granted, old.leased) == (0, 0)
    setup.receive(captured(2, pool=2), 12.0)
    assert setup.pending == [(0, 2)]
    assert setup.counted(begun=2, dropped=1)
    assert (setup.camera.child.restarts, setup.camera.child.failures) == (0, 0)


def test_another_choice_of_graphs_opens_the_stream_with_those() -> None:
    setup = CameraSetup(("demo", "faces", "hands")).open()
    assert setup.stream.graphs == (0, 1, 2)
    setup.cameras.configure([changed(setup, graphs=[GraphName("hands"), GraphName("faces")])], 11.0)
    setup.receive(STOPPED, 11.1)
    setup.open()
    assert setup.stream.graphs == (1, 2)
    assert list(setup.dispatcher.lanes) == [("cam0", 1), ("cam0", 2)]


def test_a_source_that_has_ended_is_opened_again_when_it_is_changed() -> None:
    setup = CameraSetup().open()
    setup.receive(SourceEnded(0), 1.0)
    setup.receive(STOPPED, 2.0)
    assert setup.cameras.finished() is True
    assert setup.cameras.configure([changed(setup, source="video")], 3.0) == [
        LogEvent("info", "cam0", "has new settings: restarting"),
        Spawn(CAMERA, "default"),
    ]
    assert setup.cameras.finished() is False


def test_results_that_are_measured_or_on_a_stick_while_their_stream_closes_are_dropped() -> None:
    setup = CameraSetup(window=True).open()
    setup.dispatcher.attach(StickId("sim-1"), 4).duty = 1.0
    setup.receive(captured(0))
    (on_stick,) = setup.dispatcher.assign(10.0)
    setup.streams.sent(on_stick)
    measured = setup.unit(5, ticket=900)
    assert setup.inferred(measured, FOUND, 10.5) == []
    assert setup.streams.release(20.0) == measure(measured)
    setup.cameras.configure([changed(setup, source="video")], 21.0)
    assert (setup.camera.measuring, measured.ended) == ({}, "dropped")
    setup.receive(STOPPED, 21.1)
    setup.open()
    assert setup.inferred(on_stick, FOUND, 22.0) == []
    assert setup.receive(Measured(900, [BALL]), 22.0) == []
    assert setup.records == []
    assert setup.counted(begun=2, dropped=2)
    assert setup.tally.doubled == setup.tally.lost == 0


# -- removed


def test_a_removed_camera_stops_and_is_forgotten_with_its_pools() -> None:
    setup = CameraSetup(workers=(WORKER,)).open()
    setup.receive(captured(0))
    (waiting,) = setup.dispatcher.lanes["cam0", 0].pending
    assert setup.cameras.configure([], 11.0) == [REMOVED, STOP]
    assert setup.cameras.configure([], 11.1) == [], "it is removed already"
    assert (waiting.ended, setup.streams.by_name, setup.camera.removed) == ("dropped", {}, True)
    assert setup.cameras.tick(11.2) == [], "its process may still write"
    assert setup.receive(STOPPED, 11.3) == []
    assert setup.cameras.tick(11.4) == [DropPictures(NAME)]
    assert setup.cameras.tick(11.5) == [Send(WORKER, UnmapPool(1)), DropPool(1)]
    assert (setup.cameras.by_name, setup.cameras.pools.by_number) == ({}, {})
    assert setup.counted(begun=1, dropped=1), "what it was counted stays"


def test_a_removed_camera_waits_for_the_last_reader_of_its_frames() -> None:
    setup = CameraSetup().open()
    setup.dispatcher.attach(StickId("sim-1"), 4).duty = 1.0
    setup.receive(captured(0))
    (unit,) = setup.dispatcher.assign(10.0)
    setup.cameras.configure([], 11.0)
    setup.receive(STOPPED, 11.1)
    assert setup.cameras.tick(11.2) == [DropPictures(NAME)]
    assert setup.cameras.tick(11.3) == []
    setup.inferred(unit, FOUND, 11.4)
    assert (unit.ended, setup.records) == ("dropped", [])
    assert setup.cameras.tick(11.5) == [DropPool(1)]
    assert setup.cameras.by_name == {}


def test_a_removed_camera_that_never_opened_is_forgotten_at_once() -> None:
    setup = CameraSetup()
    assert setup.cameras.configure([], 1.0) == [REMOVED, STOP]
    setup.receive(STOPPED, 1.1)
    assert setup.cameras.tick(1.2) == []
    assert setup.cameras.by_name == {}


def test_a_changed_picture_restarts_the_camera_and_its_source_goes_on() -> None:
    setup = CameraSetup().open()
    setup.receive(captured(0))
    spec = changed(setup, picture="exact")
    setup.cameras.configure([spec], 11.0)
    setup.receive(STOPPED, 11.1)
    assert setup.receive(HELLO, 11.2) == [Send(CAMERA, OpenSource(spec, 1, 1)), pictures()]


def test_a_camera_that_is_configured_again_before_it_has_stopped_starts_again() -> None:
    setup = CameraSetup().open()
    setup.receive(captured(0))
    setup.cameras.configure([], 11.0)
    assert setup.cameras.configure([setup.spec], 11.1) == [LogEvent("info", "cam0", "has new settings: restarting")]
    assert setup.camera.removed is False
    assert setup.receive(STOPPED, 11.2) == [Spawn(CAMERA, "default")]
    assert setup.cameras.tick(11.3) == []
    assert setup.receive(HELLO, 11.4) == [Send(CAMERA, OpenSource(setup.spec, 1, 0)), pictures()]
    assert setup.cameras.by_name == {"cam0": setup.camera}


@pytest.mark.parametrize("page", [False, True])
def test_a_page_that_runs_is_told_that_a_camera_is_gone_and_is_not_sent_its_pictures_again(page: bool) -> None:
    setup = CameraSetup().open()
    if page:
        with_page(setup)
    gone = [Send(GATEWAY, m.CameraGone(NAME))] if page else []
    assert setup.cameras.configure([], 11.0) == [REMOVED, STOP, *gone]
    assert setup.cameras.rings() == []


def test_a_page_that_does_not_run_is_not_told_that_a_camera_is_gone() -> None:
    setup = with_page(CameraSetup().open())
    assert setup.cameras.gateway is not None
    setup.cameras.gateway.child.exited("exit code 1", 1.0)
    assert setup.cameras.configure([], 11.0) == [REMOVED, STOP]
