"""Each message of the gateway leads to exact actions; the gateway receives exact messages about cameras and pictures."""

from __future__ import annotations

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core.actions import LogEvent, Send, Spawn
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import GATEWAY, Endpoint, Exited
from ncs_cluster.core.gateway import Gateway
from ncs_cluster.core.work import Ledger
from ncs_cluster.specs import CameraSpec, GatewaySpec
from ncs_cluster.testing.world import house
from ncs_cluster.types import CameraName

SPEC = GatewaySpec("127.0.0.1", 8080, "token")
HELLO = m.Hello(m.PROTOCOL, 7, "3.11")


def cameras(*names: str) -> Cameras:
    """Those that are named, all of them with a pool but the last one."""
    ledger = Ledger()
    made = Cameras(["demo"], Dispatcher(ledger), ledger, None, Limits())
    for name in names:
        made.add(CameraSpec(CameraName(name), "synthetic", {}, "synthetic"), 0.0)
        if name != names[-1]:
            made.by_name[name].info = m.SourceOpened(640, 480, 30.0, None, False, False, "")
            made.pools.make(made.by_name[name], [])
    return made


def ring(name: str) -> Send:
    return Send(GATEWAY, m.MapPictures(CameraName(name), 4, 640, 480), pictures=CameraName(name))


def started(rooms: Cameras) -> Gateway:
    gateway = Gateway(SPEC, house(gateway=True), rooms, Limits(silent_s=7.0))
    assert gateway.child.start(0.0) == [Spawn(GATEWAY, "default")]
    return gateway


def opened(rooms: Cameras) -> Gateway:
    gateway = started(rooms)
    gateway.handle(HELLO, 1.0)
    gateway.handle(m.GatewayOpened("127.0.0.1", 8080), 2.0)
    return gateway


def listening(camera: Camera) -> Camera:
    camera.child.hello(1.0)
    return camera


def test_a_gateway_that_greets_is_told_what_to_open() -> None:
    gateway = started(cameras("cam0"))
    assert gateway.address is None
    assert gateway.child.limits == Limits(silent_s=7.0)
    assert gateway.handle(HELLO, 1.0) == [Send(GATEWAY, m.OpenGateway(SPEC, "runtime", True))]
    assert gateway.child.state is State.OPENING


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("127.0.0.1", "is at http://127.0.0.1:8081/"),
        ("pi.local", "is at http://pi.local:8081/"),
        ("0.0.0.0", "answers on all addresses of this machine, port 8081"),
        ("::", "answers on all addresses of this machine, port 8081"),
    ],
)
def test_the_address_of_an_open_page_is_logged(host: str, text: str) -> None:
    gateway = started(cameras())
    gateway.handle(HELLO, 1.0)
    assert gateway.handle(m.GatewayOpened(host, 8081), 2.0) == [LogEvent("info", "page", text)]
    assert gateway.address == (host, 8081)
    assert (gateway.child.state, gateway.child.deadline_s) == (State.RUNNING, 9.0)


def test_an_open_page_is_sent_the_picture_ring_of_each_camera_that_has_one() -> None:
    gateway = started(cameras("cam0", "cam1", "cam2"))
    gateway.handle(HELLO, 1.0)
    where = LogEvent("info", "page", "is at http://127.0.0.1:8080/")
    assert gateway.handle(m.GatewayOpened("127.0.0.1", 8080), 2.0) == [where, ring("cam0"), ring("cam1")]


def test_a_camera_that_is_watched_is_told_so_once() -> None:
    rooms = cameras("cam0", "cam1")
    gateway, camera = opened(rooms), listening(rooms.by_name["cam0"])
    told = Send(Endpoint("camera", "cam0"), m.Rates(0.0, True))
    assert gateway.handle(m.Watch(CameraName("cam0"), 2), 3.0) == [told]
    assert (camera.viewers, rooms.by_name["cam1"].viewers) == (2, 0)
    assert gateway.handle(m.Watch(CameraName("cam0"), 1), 4.0) == []
    assert camera.viewers == 1
    assert gateway.handle(m.Watch(CameraName("cam0"), 0), 5.0) == [Send(Endpoint("camera", "cam0"), m.Rates(0.0, False))]


def test_a_camera_that_is_not_known_cannot_be_watched() -> None:
    assert opened(cameras("cam0")).handle(m.Watch(CameraName("cam9"), 1), 3.0) == []


def test_a_page_that_ends_is_started_again_has_no_viewers_and_keeps_its_address() -> None:
    rooms = cameras("cam0", "cam1")
    gateway = opened(rooms)
    for camera in rooms.by_name.values():
        camera.viewers = 3
    assert gateway.handle(Exited("killed by SIGSEGV", -11), 3.0) == [
        LogEvent("warning", "gateway", "ended (killed by SIGSEGV), starting it again"),
        Spawn(GATEWAY, "default"),
    ]
    assert [camera.viewers for camera in rooms.by_name.values()] == [0, 0]
    assert gateway.address == ("127.0.0.1", 8080)


def test_what_every_child_may_say_is_not_for_the_page() -> None:
    gateway = opened(cameras("cam0"))
    assert gateway.handle(m.Heartbeat(), 3.0) == []
    assert gateway.child.deadline_s == 9.0


def test_a_new_picture_is_told_to_a_page_that_runs_while_the_camera_is_watched() -> None:
    rooms = cameras("cam0", "cam1")
    gateway, camera = started(rooms), rooms.by_name["cam0"]
    camera.viewers = 1
    assert gateway.drawn(camera, 41) == []
    gateway.handle(HELLO, 1.0)
    gateway.handle(m.GatewayOpened("127.0.0.1", 8080), 2.0)
    assert gateway.drawn(camera, 42) == [Send(GATEWAY, m.PictureReady(CameraName("cam0"), 42))]
    camera.viewers = 0
    assert gateway.drawn(camera, 43) == []


def test_a_new_ring_of_pictures_is_sent_to_a_page_that_runs() -> None:
    rooms = cameras("cam0", "cam1")
    gateway, camera = started(rooms), rooms.by_name["cam0"]
    assert gateway.reopened(camera) == []
    gateway.handle(HELLO, 1.0)
    gateway.handle(m.GatewayOpened("127.0.0.1", 8080), 2.0)
    assert gateway.reopened(camera) == [ring("cam0")]
