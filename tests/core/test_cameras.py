"""Cameras are added, changed and removed while the daemon runs, and kept in time: exact actions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.core.actions import DropPool, Kill, LogEvent, MakePictures, MakePool, Send, Spawn
from ncs_cluster.core.cameras import LIVE_FIELDS
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.events import GATEWAY, Endpoint, Exited
from ncs_cluster.core.gateway import Gateway
from ncs_cluster.messages import DetectionRate, MapPool, Measured, OpenSource, SourceEnded, UnmapPool
from ncs_cluster.specs import CameraSpec, GatewaySpec
from ncs_cluster.testing.world import installation as settings
from ncs_cluster.types import CameraName, GraphName, Outcome, PoolLayout, StickId
from tests.core.onecamera import (
    BALL,
    CAMERA,
    FOUND,
    HELLO,
    NAME,
    WORKER,
    House,
    captured,
    granted,
    info,
    measure,
    pictures,
    record,
)

CAM1 = CameraSpec(CameraName("cam1"), "synthetic", {}, "another scene")
STOPPED = Exited("exit code 0", 0)
STOP = Send(CAMERA, m.Stop())
REMOVED = LogEvent("info", "cam0", "is removed")


def changed(house: House, **fields: Any) -> CameraSpec:
    return msgspec.structs.replace(house.camera.spec, **fields)


def with_page(house: House) -> House:
    """A gateway that runs."""
    cameras = house.cameras
    gateway = Gateway(
        GatewaySpec("127.0.0.1", 8080), settings(gateway=True), house.daemon, Limits(), rings=cameras.rings, watched=cameras.watched
    )
    gateway.child.start(0.0)
    gateway.child.hello(0.0)
    gateway.child.ready(0.0)
    cameras.gateway = gateway
    return house


def ring(name: str = "cam0", width: int = 640, height: int = 480) -> Send:
    return Send(GATEWAY, m.MapPictures(CameraName(name), 4, width, height), pictures=CameraName(name))


# -- added


def test_without_graphs_each_frame_is_one_unit_of_a_graph_called_none() -> None:
    assert House(()).streams.graphs == ["none"]
    assert House(("demo", "faces")).streams.graphs == ["demo", "faces"]


def test_cameras_stop_when_the_daemon_stops() -> None:
    house = House()
    assert house.cameras.stopping is False
    house.daemon.stopping = True
    assert house.cameras.stopping is True


def test_all_cameras_must_end_before_the_streams_are_finished_and_none_is_no_end() -> None:
    house = House().open()
    house.cameras.add(CAM1, 0.0)
    house.hears(SourceEnded(0))
    assert house.cameras.finished is False
    house.cameras.by_name.clear()
    assert house.cameras.finished is False


def test_settings_without_a_difference_change_nothing() -> None:
    house = House().open()
    assert house.cameras.configure([changed(house)], 1.0) == []
    assert house.cameras.by_name == {"cam0": house.camera}


def test_a_camera_that_is_new_in_the_settings_is_added() -> None:
    house = House().open()
    endpoint = Endpoint("camera", "cam1")
    assert house.cameras.configure([house.spec, CAM1], 1.0) == [
        LogEvent("info", "cam1", "is added"),
        Spawn(endpoint, "default"),
    ]
    added = house.cameras.by_name["cam1"]
    assert added.handle(HELLO, 2.0) == [Send(endpoint, OpenSource(CAM1, 0))]
    added.handle(info(), 3.0)
    assert list(house.streams.by_name) == ["cam0", "cam1"]


# -- changed


def test_a_new_weight_is_applied_to_the_open_stream_and_restarts_nothing() -> None:
    house = House(("demo", "faces")).open()
    house.hears(captured(0))
    lanes = list(house.dispatcher.lanes.values())
    assert sorted(LIVE_FIELDS) == ["shown", "weight"]
    assert house.cameras.configure([changed(house, weight=4.0, shown="the door")], 1.0) == [
        LogEvent("info", "cam0", "has new settings: shown, weight")
    ]
    assert (house.camera.spec.weight, house.camera.spec.shown, house.stream.weight) == (4.0, "the door", 4.0)
    assert [lane.cost for lane in house.dispatcher.lanes.values()] == [0.5, 0.5]
    assert list(house.dispatcher.lanes.values()) == lanes
    assert (house.pending, house.camera.child.state) == ([(0, 0), (1, 0)], State.RUNNING)


def test_a_new_weight_of_a_camera_that_is_not_open_yet_is_that_of_its_stream() -> None:
    house = House()
    house.cameras.configure([changed(house, weight=4.0)], 1.0)
    assert house.open().stream.weight == 4.0


def test_a_new_source_restarts_the_camera_and_frames_go_on_with_the_next_number() -> None:
    house = House().open()
    house.hears(captured(0))
    old, spec = house.slots, changed(house, source="v4l2", options={"device": 1}, runtime="old")
    assert house.cameras.configure([spec], 11.0) == [LogEvent("info", "cam0", "has new settings: restarting"), STOP]
    assert (house.camera.stream, house.streams.by_name, house.dispatcher.lanes) == (None, {}, {})
    assert house.counted(begun=1, dropped=1)
    # its process had written one more frame before it heard of it
    assert house.hears(captured(1, slot=1), 11.1) == []
    assert house.hears(STOPPED, 11.2) == [Spawn(CAMERA, "old")]
    assert house.hears(HELLO, 11.3) == [Send(CAMERA, OpenSource(spec, 2)), pictures()]
    assert house.hears(info(320, 240), 11.4) == [
        LogEvent("info", "cam0", "opened: a scene, 320x240"),
        MakePool(PoolLayout(2, 30, 320, 240)),
        Send(CAMERA, MapPool(PoolLayout(2, 30, 320, 240)), pool=2),
        MakePictures(NAME, 4, 320, 240),
        pictures(320, 240),
        *granted(0, 1, pool=2),
    ]
    assert (old.granted, old.leased) == (0, 0)
    house.hears(captured(2, pool=2), 12.0)
    assert house.pending == [(0, 2)]
    assert house.counted(begun=2, dropped=1)
    assert (house.camera.child.restarts, house.camera.child.failures) == (0, 0)


def test_another_choice_of_graphs_opens_the_stream_with_those() -> None:
    house = House(("demo", "faces", "hands")).open()
    assert house.stream.graphs == (0, 1, 2)
    house.cameras.configure([changed(house, graphs=[GraphName("hands"), GraphName("faces")])], 11.0)
    house.hears(STOPPED, 11.1)
    house.open()
    assert house.stream.graphs == (1, 2)
    assert list(house.dispatcher.lanes) == [("cam0", 1), ("cam0", 2)]


def test_a_source_that_has_ended_is_opened_again_when_it_is_changed() -> None:
    house = House().open()
    house.hears(SourceEnded(0), 1.0)
    house.hears(STOPPED, 2.0)
    assert house.cameras.finished is True
    assert house.cameras.configure([changed(house, source="video")], 3.0) == [
        LogEvent("info", "cam0", "has new settings: restarting"),
        Spawn(CAMERA, "default"),
    ]
    assert house.cameras.finished is False


def test_results_that_are_measured_or_on_a_stick_while_their_stream_closes_are_dropped() -> None:
    house = House(window=True).open()
    house.dispatcher.attach(StickId("sim-1"), 4).duty = 1.0
    house.hears(captured(0))
    (on_stick,) = house.dispatcher.assign(10.0)
    house.streams.sent(on_stick)
    measured = house.unit(5, ticket=900)
    assert house.inferred(measured, FOUND, 10.5) == []
    assert house.streams.release(20.0) == measure(measured)
    house.cameras.configure([changed(house, source="video")], 21.0)
    assert (house.camera.measuring, measured.ended) == ({}, "dropped")
    house.hears(STOPPED, 21.1)
    house.open()
    assert house.inferred(on_stick, FOUND, 22.0) == []
    assert house.hears(Measured(900, [BALL]), 22.0) == []
    assert house.records == []
    assert house.counted(begun=2, dropped=2)
    assert house.ledger.doubled == house.ledger.lost == 0


# -- removed


def test_a_removed_camera_stops_and_is_forgotten_with_its_pools() -> None:
    house = House(workers=(WORKER,)).open()
    house.hears(captured(0))
    (waiting,) = house.dispatcher.lanes["cam0", 0].pending
    assert house.cameras.configure([], 11.0) == [REMOVED, STOP]
    assert house.cameras.configure([], 11.1) == [], "it is removed already"
    assert (waiting.ended, house.streams.by_name, house.camera.removed) == ("dropped", {}, True)
    assert house.cameras.tick(11.2) == [], "its process may still write"
    assert house.hears(STOPPED, 11.3) == []
    assert house.cameras.tick(11.4) == []
    assert house.cameras.tick(11.5) == [Send(WORKER, UnmapPool(1)), DropPool(1)]
    assert (house.cameras.by_name, house.cameras.pools.by_number) == ({}, {})
    assert house.counted(begun=1, dropped=1), "what it was counted stays"


def test_a_removed_camera_waits_for_the_last_reader_of_its_frames() -> None:
    house = House().open()
    house.dispatcher.attach(StickId("sim-1"), 4).duty = 1.0
    house.hears(captured(0))
    (unit,) = house.dispatcher.assign(10.0)
    house.cameras.configure([], 11.0)
    house.hears(STOPPED, 11.1)
    for now_s in (11.2, 11.3):
        assert house.cameras.tick(now_s) == []
    house.inferred(unit, FOUND, 11.4)
    assert (unit.ended, house.records) == ("dropped", [])
    assert house.cameras.tick(11.5) == [DropPool(1)]
    assert house.cameras.by_name == {}


def test_a_removed_camera_that_never_opened_is_forgotten_at_once() -> None:
    house = House()
    assert house.cameras.configure([], 1.0) == [REMOVED, STOP]
    house.hears(STOPPED, 1.1)
    assert house.cameras.tick(1.2) == []
    assert house.cameras.by_name == {}


def test_a_camera_that_is_configured_again_before_it_has_stopped_starts_again() -> None:
    house = House().open()
    house.hears(captured(0))
    house.cameras.configure([], 11.0)
    assert house.cameras.configure([house.spec], 11.1) == [LogEvent("info", "cam0", "has new settings: restarting")]
    assert house.camera.removed is False
    assert house.hears(STOPPED, 11.2) == [Spawn(CAMERA, "default")]
    assert house.cameras.tick(11.3) == []
    assert house.hears(HELLO, 11.4) == [Send(CAMERA, OpenSource(house.spec, 1)), pictures()]
    assert house.cameras.by_name == {"cam0": house.camera}


@pytest.mark.parametrize("page", [False, True])
def test_a_page_that_runs_is_told_that_a_camera_is_gone_and_is_not_sent_its_pictures_again(page: bool) -> None:
    house = House().open()
    if page:
        with_page(house)
    gone = [Send(GATEWAY, m.CameraGone(NAME))] if page else []
    assert house.cameras.configure([], 11.0) == [REMOVED, STOP, *gone]
    assert house.cameras.rings() == []


def test_a_page_that_does_not_run_is_not_told_that_a_camera_is_gone() -> None:
    house = with_page(House().open())
    assert house.cameras.gateway is not None
    house.cameras.gateway.child.exited("exit code 1", 1.0)
    assert house.cameras.configure([], 11.0) == [REMOVED, STOP]


# -- the page


def test_a_new_picture_is_told_to_a_page_that_runs_while_the_camera_is_watched() -> None:
    house = House().open()
    house.camera.viewers = 1
    drawn = m.Drawn(42, 10.0, 10.1)
    assert house.hears(drawn) == [], "there is no page"
    with_page(house)
    assert house.hears(drawn) == [Send(GATEWAY, m.PictureReady(NAME, 42))]
    house.camera.viewers = 0
    assert house.hears(drawn) == []
    house.camera.viewers = 1
    assert house.cameras.gateway is not None
    house.cameras.gateway.child.exited("exit code 1", 11.0)
    assert house.hears(drawn) == []


def test_a_ring_of_pictures_is_sent_to_a_page_that_runs_whenever_a_source_opens() -> None:
    house = House().open()
    assert house.hears(info(), 1.0) == []
    with_page(house)
    assert house.hears(info(), 2.0) == [ring()]
    assert house.hears(info(320, 240), 3.0)[-1] == ring("cam0", 320, 240)
    assert house.cameras.gateway is not None
    house.cameras.gateway.child.exited("exit code 1", 11.0)
    assert house.hears(info(320, 240), 12.0) == []


def test_the_rings_are_those_of_all_cameras_that_have_a_pool() -> None:
    house = House().open()
    for spec in (CAM1, msgspec.structs.replace(CAM1, name=CameraName("cam2"))):
        house.cameras.add(spec, 0.0)
    cam1 = house.cameras.by_name["cam1"]
    cam1.handle(HELLO, 0.0)
    cam1.handle(info(320, 240), 0.0)
    assert house.cameras.rings() == [ring(), ring("cam1", 320, 240)]


def test_a_camera_that_is_watched_is_told_so_once() -> None:
    house = House().open()
    house.cameras.add(CAM1, 0.0)
    assert house.cameras.watched("cam0", 2, 3.0) == [Send(CAMERA, DetectionRate(0.0, True))]
    assert (house.camera.viewers, house.cameras.by_name["cam1"].viewers) == (2, 0)
    assert house.cameras.watched("cam0", 1, 4.0) == []
    assert house.camera.viewers == 1
    assert house.cameras.watched("cam0", 0, 5.0) == [Send(CAMERA, DetectionRate(0.0, False))]
    assert house.cameras.watched("cam9", 1, 6.0) == []


def test_all_cameras_can_lose_their_viewers_at_once() -> None:
    house = House().open()
    house.cameras.add(CAM1, 0.0)
    for camera in house.cameras.by_name.values():
        camera.viewers = 3
    assert house.cameras.watched(None, 0, 3.0) == []
    assert [camera.viewers for camera in house.cameras.by_name.values()] == [0, 0]


def test_each_camera_that_listens_is_told_its_rates() -> None:
    house = House().open()
    house.cameras.add(CAM1, 0.0)
    assert house.cameras.send_detection_rate(1.0) == [Send(CAMERA, DetectionRate(0.0, False))]
    house.cameras.by_name["cam1"].handle(HELLO, 1.0)
    assert house.cameras.send_detection_rate(2.0) == [Send(Endpoint("camera", "cam1"), DetectionRate(0.0, False))]


# -- time


@pytest.mark.parametrize(("now_s", "late"), [(15.5, False), (15.51, True)])
def test_a_camera_that_does_not_measure_in_five_seconds_is_killed(now_s: float, late: bool) -> None:
    house = House(window=True).open()
    assert house.cameras.overdue(100.0) == []
    house.inferred(house.unit(0), FOUND, 10.5)
    killed = [LogEvent("warning", "camera cam0", "killed: no answer for 5 s: camera hangs"), Kill(CAMERA)]
    assert house.cameras.overdue(now_s) == (killed if late else [])


def test_a_camera_is_not_overdue_for_a_time_in_which_the_supervisor_stood_still() -> None:
    house = House(window=True).open()
    house.inferred(house.unit(0), FOUND, 10.5)
    house.cameras.extend_deadlines(20.0)
    assert house.cameras.overdue(25.0) == []
    assert len(house.cameras.overdue(25.1)) == 2


def test_results_of_a_camera_whose_process_does_not_die_go_on_without_distances() -> None:
    house = House(window=True).open()
    unit = house.unit(0)
    house.inferred(unit, FOUND, 10.5)
    house.camera.child.kill(11.0, "it hangs")
    assert house.cameras.tick(10.75) == []
    assert house.records == []
    house.camera.child.tick(16.0)
    assert house.camera.child.state is State.FENCED
    assert house.cameras.tick(11.0) == []
    assert house.records == [record(unit, "demo", FOUND, 1.0)]
    assert house.slots.granted == 2, "it may still write"


def test_a_pool_that_has_become_too_small_is_replaced_and_goes_when_it_is_idle() -> None:
    house = House(ordered=True, workers=(WORKER,)).open()
    assert house.cameras.tick(1.0) == []
    house.dispatcher.attach(StickId("sim-1"), 24)
    layout = PoolLayout(2, 62, 640, 480)
    assert house.cameras.tick(2.0) == [
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=2),
        Send(WORKER, MapPool(layout), pool=2),
        *granted(0, 1, pool=2),
    ]
    assert house.cameras.tick(3.0) == []
    house.camera.retired[0].revoke_grants()
    assert house.cameras.tick(4.0) == [Send(WORKER, UnmapPool(1)), Send(CAMERA, UnmapPool(1)), DropPool(1)]


def test_slots_that_have_become_free_are_granted_in_time() -> None:
    house = House(ordered=True).open()
    house.slots.revoke_grants()
    for frame in range(256):
        house.outbox.put(record(house.unit(frame), "demo", Outcome(), 0.5))
    assert house.cameras.tick(1.0) == []
    house.outbox.opened(1, b"")
    assert house.cameras.tick(2.0) == granted(0, 1)
