"""Frame pools: how large they are, which messages name them, and when a retired one goes."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import DropPictures, DropPool, MakePool, Send
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import GATEWAY, Endpoint
from ncs_cluster.core.frame_pools import FramePools, fits
from ncs_cluster.core.work import Tally
from ncs_cluster.messages import MapPictures, MapPool, SourceOpened, UnmapPool
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import CameraName, PoolLayout, StickId
from tests.core.onecamera import CameraSetup

CAMERA = Endpoint("camera", "cam0")
WORKERS = [Endpoint("worker", "sim-1"), Endpoint("worker", "sim-2")]


def info(width: int = 640, height: int = 480, depth_scale_m: float | None = None) -> SourceOpened:
    return SourceOpened(width, height, 30.0, depth_scale_m, False, False, "")


def camera(name: str = "cam0", *, ordered: bool = False) -> Camera:
    """One that runs and gives pictures."""
    made = Camera(CameraSpec(CameraName(name), "synthetic", {}, "synthetic", ordered=ordered), CameraSetup().cameras)
    made.info = info()
    made.child.start(0.0)
    made.child.hello(0.0)
    made.child.ready(0.0)
    return made


def pools(graphs: int = 1, depths: tuple[int, ...] = ()) -> FramePools:
    """`depths`: of the sticks that are seated."""
    dispatcher = Dispatcher(Tally())
    for number, max_in_flight in enumerate(depths):
        dispatcher.attach(StickId(f"sim-{number + 1}"), max_in_flight)
    return FramePools(graphs, dispatcher)


@pytest.mark.parametrize(
    ("graphs", "depths", "ordered", "slots"),
    [
        (1, (), False, 30),
        (3, (), False, 34),
        (1, (4,) * 4, False, 30),
        (1, (4,) * 5, False, 34),
        (1, (1,) * 5, False, 34),
        (1, (4, 4), True, 30),
        (1, (4, 5), True, 32),
        (2, (64,), True, 144),
    ],
)
def test_a_pool_has_twice_the_slots_that_sticks_lanes_and_camera_may_hold(
    graphs: int, depths: tuple[int, ...], ordered: bool, slots: int
) -> None:
    """2 * (2 granted + one per graph + 4 being measured + 8 or what the sticks hold: 2 each, their depth where ordered)."""
    made = pools(graphs, depths).make(camera(ordered=ordered), [])
    assert made[0] == MakePool(PoolLayout(1, slots, 640, 480))


def test_the_first_pool_of_a_camera_is_made_and_told_to_the_camera_then_to_the_workers() -> None:
    setup, cam0 = pools(), camera()
    cam0.info = info(1280, 720, 0.001)
    layout = PoolLayout(1, 30, 1280, 720, 0.001)
    assert setup.make(cam0, WORKERS) == [
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=1),
        Send(WORKERS[0], MapPool(layout), pool=1),
        Send(WORKERS[1], MapPool(layout), pool=1),
    ]
    assert cam0.slots is not None
    assert cam0.slots.layout == layout
    assert setup.by_number == {1: cam0.slots}
    assert cam0.retired == []


def test_a_new_pool_retires_the_one_before_it() -> None:
    setup, cam0 = pools(), camera()
    setup.make(cam0, [])
    first = cam0.slots
    assert first is not None
    cam0.info = info(320, 240)
    layout = PoolLayout(2, 30, 320, 240)
    assert setup.make(cam0, []) == [MakePool(layout), Send(CAMERA, MapPool(layout), pool=2)]
    assert cam0.slots is not None
    assert cam0.retired == [first]
    assert (first.retired, cam0.slots.retired) == (True, False)
    assert setup.by_number == {1: first, 2: cam0.slots}


def test_pools_are_numbered_over_all_cameras_and_a_new_worker_is_sent_all_of_them() -> None:
    setup, cam0, cam1 = pools(), camera("cam0"), camera("cam1")
    worker = WORKERS[0]
    assert setup.maps(worker) == []
    for each in (cam0, cam1, cam0):
        setup.make(each, [])
    assert setup.maps(worker) == [Send(worker, MapPool(PoolLayout(number, 30, 640, 480)), pool=number) for number in (1, 2, 3)]


def test_the_pool_of_a_camera_is_told_to_those_that_are_named() -> None:
    setup, cam0 = pools(), camera()
    setup.make(cam0, [])
    layout = PoolLayout(1, 30, 640, 480)
    assert setup.map(cam0, []) == []
    assert setup.map(cam0, WORKERS) == [Send(endpoint, MapPool(layout), pool=1) for endpoint in WORKERS]


def test_the_ring_of_pictures_has_four_slots_of_the_size_of_the_frames() -> None:
    setup, cam0 = pools(), camera()
    setup.make(cam0, [])
    ring = MapPictures(CameraName("cam0"), 4, 640, 480)
    assert setup.pictures(cam0, GATEWAY) == Send(GATEWAY, ring, pictures=CameraName("cam0"))


def test_a_retired_pool_goes_when_its_last_frame_is_released() -> None:
    setup, cam0 = pools(), camera()
    setup.make(cam0, [])
    first = cam0.slots
    assert first is not None
    first.grant()
    first.written(0, 1)
    setup.make(cam0, [])
    assert setup.drop_idle(cam0, WORKERS) == []
    first.release(0)
    gone = UnmapPool(1)
    assert setup.drop_idle(cam0, WORKERS) == [Send(WORKERS[0], gone), Send(WORKERS[1], gone), Send(CAMERA, gone), DropPool(1)]
    assert cam0.retired == []
    assert setup.by_number == {2: cam0.slots}
    assert setup.drop_idle(cam0, WORKERS) == []


def test_a_pool_in_use_stays_although_nothing_lies_in_it() -> None:
    setup, cam0 = pools(), camera()
    setup.make(cam0, [])
    assert setup.drop_idle(cam0, WORKERS) == []
    assert setup.by_number == {1: cam0.slots}


def test_all_idle_retired_pools_go_at_once_and_a_camera_that_does_not_listen_is_not_told() -> None:
    setup, cam0 = pools(), camera()
    for _ in range(3):
        setup.make(cam0, [])
    cam0.child.exited("exit code 1", 100.0)
    assert setup.drop_idle(cam0, []) == [DropPool(1), DropPool(2)]
    assert setup.by_number == {3: cam0.slots}


def test_the_pool_of_a_camera_that_is_gone_for_good_goes_with_its_last_frame_and_its_grants_at_once() -> None:
    setup, cam0 = pools(), camera()
    setup.make(cam0, [])
    slots = cam0.slots
    assert slots is not None
    slots.grant()
    slots.grant()
    slots.written(0, 1)
    assert setup.retire(cam0) == [DropPictures(cam0.spec.name)]
    assert (cam0.slots, cam0.retired, slots.retired, slots.granted, slots.leased) == (None, [slots], True, 0, 1)
    assert setup.retire(cam0) == []
    assert cam0.retired == [slots]
    assert setup.drop_idle(cam0, WORKERS) == []
    slots.release(0)
    cam0.child.exited("exit code 0", 100.0)
    assert setup.drop_idle(cam0, WORKERS) == [Send(WORKERS[0], UnmapPool(1)), Send(WORKERS[1], UnmapPool(1)), DropPool(1)]
    assert (setup.by_number, cam0.retired) == ({}, [])


@pytest.mark.parametrize(("max_in_flight", "too_small"), [(22, False), (23, False), (24, True)])
def test_a_pool_is_too_small_when_more_slots_are_wanted_than_it_has(max_in_flight: int, too_small: bool) -> None:
    """Of its 30 slots 7 are for lane and camera."""
    dispatcher = Dispatcher(Tally())
    setup, cam0 = FramePools(1, dispatcher), camera(ordered=True)
    setup.make(cam0, [])
    dispatcher.attach(StickId("sim-1"), max_in_flight)
    assert setup.too_small(cam0) is too_small


def test_a_camera_without_a_pool_or_that_does_not_run_has_none_that_is_too_small() -> None:
    dispatcher = Dispatcher(Tally())
    setup, cam0 = FramePools(1, dispatcher), camera(ordered=True)
    dispatcher.attach(StickId("sim-1"), 1)
    assert setup.too_small(cam0) is False
    setup.make(cam0, [])
    dispatcher.attach(StickId("sim-1"), 64)
    assert setup.too_small(cam0) is True
    cam0.child.exited("exit code 1", 100.0)
    assert setup.too_small(cam0) is False


@pytest.mark.parametrize(
    ("opened", "same"),
    [
        (info(), True),
        (info(width=641), False),
        (info(height=479), False),
        (info(depth_scale_m=0.001), False),
        (info(480, 640), False),
    ],
)
def test_a_pool_fits_a_source_of_the_same_size_and_depth(opened: SourceOpened, same: bool) -> None:
    assert fits(PoolLayout(9, 30, 640, 480, None), opened) is same
