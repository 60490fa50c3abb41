"""Cameras and the page that shows them: viewers, rings of pictures, rates."""

from __future__ import annotations

import msgspec

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Send
from ncs_cluster.core.events import GATEWAY, Endpoint
from ncs_cluster.messages import DetectionRate
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import CameraName
from tests.core.onecamera import (
    CAMERA,
    HELLO,
    NAME,
    CameraSetup,
    info,
    with_page,
)

CAM1 = CameraSpec(CameraName("cam1"), "synthetic", {}, "another scene")


def ring(name: str = "cam0", width: int = 640, height: int = 480) -> Send:
    return Send(GATEWAY, m.MapPictures(CameraName(name), 4, width, height), pictures=CameraName(name))


def test_a_new_picture_is_told_to_a_page_that_runs_while_the_camera_is_watched() -> None:
    setup = CameraSetup().open()
    setup.camera.viewers = 1
    drawn = m.Drawn(42, 10.0, 10.1)
    assert setup.receive(drawn) == [], "there is no page"
    with_page(setup)
    assert setup.receive(drawn) == [Send(GATEWAY, m.PictureReady(NAME, 42))]
    setup.camera.viewers = 0
    assert setup.receive(drawn) == []
    setup.camera.viewers = 1
    assert setup.cameras.gateway is not None
    setup.cameras.gateway.child.exited("exit code 1", 11.0)
    assert setup.receive(drawn) == []


def test_a_ring_of_pictures_is_sent_to_a_page_that_runs_whenever_a_source_opens() -> None:
    setup = CameraSetup().open()
    assert setup.receive(info(), 1.0) == []
    with_page(setup)
    assert setup.receive(info(), 2.0) == [ring()]
    assert setup.receive(info(320, 240), 3.0)[-1] == ring("cam0", 320, 240)
    assert setup.cameras.gateway is not None
    setup.cameras.gateway.child.exited("exit code 1", 11.0)
    assert setup.receive(info(320, 240), 12.0) == []


def test_the_rings_are_those_of_all_cameras_that_have_a_pool() -> None:
    setup = CameraSetup().open()
    for spec in (CAM1, msgspec.structs.replace(CAM1, name=CameraName("cam2"))):
        setup.cameras.add(spec, 0.0)
    cam1 = setup.cameras.by_name["cam1"]
    cam1.handle(HELLO, 0.0)
    cam1.handle(info(320, 240), 0.0)
    assert setup.cameras.rings() == [ring(), ring("cam1", 320, 240)]


def test_a_camera_that_is_watched_is_told_so_once() -> None:
    setup = CameraSetup().open()
    setup.cameras.add(CAM1, 0.0)
    assert setup.cameras.set_viewers("cam0", 2, 3.0) == [Send(CAMERA, DetectionRate(0.0, True))]
    assert (setup.camera.viewers, setup.cameras.by_name["cam1"].viewers) == (2, 0)
    assert setup.cameras.set_viewers("cam0", 1, 4.0) == []
    assert setup.camera.viewers == 1
    assert setup.cameras.set_viewers("cam0", 0, 5.0) == [Send(CAMERA, DetectionRate(0.0, False))]
    assert setup.cameras.set_viewers("cam9", 1, 6.0) == []


def test_a_camera_is_told_whether_somebody_looks_at_every_picture() -> None:
    setup = CameraSetup().open()
    assert setup.cameras.set_viewers("cam0", 1, 3.0, streamed=False) == [Send(CAMERA, DetectionRate(0.0, True, streamed=False))]
    assert setup.cameras.set_viewers("cam0", 2, 4.0, streamed=False) == []
    assert setup.cameras.set_viewers("cam0", 3, 5.0, streamed=True) == [Send(CAMERA, DetectionRate(0.0, True))]
    assert setup.cameras.set_viewers("cam0", 0, 6.0, streamed=False) == [Send(CAMERA, DetectionRate(0.0, False))]


def test_all_cameras_can_lose_their_viewers_at_once() -> None:
    setup = CameraSetup().open()
    setup.cameras.add(CAM1, 0.0)
    for camera in setup.cameras.by_name.values():
        camera.viewers = 3
    assert setup.cameras.set_viewers(None, 0, 3.0) == []
    assert [camera.viewers for camera in setup.cameras.by_name.values()] == [0, 0]


def test_each_camera_that_listens_is_told_its_rates() -> None:
    setup = CameraSetup().open()
    setup.cameras.add(CAM1, 0.0)
    assert setup.cameras.send_detection_rate(1.0) == [Send(CAMERA, DetectionRate(0.0, False))]
    setup.cameras.by_name["cam1"].handle(HELLO, 1.0)
    assert setup.cameras.send_detection_rate(2.0) == [Send(Endpoint("camera", "cam1"), DetectionRate(0.0, False))]
