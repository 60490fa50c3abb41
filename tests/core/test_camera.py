"""What is known of a camera: how it begins, when its pictures are drawn, when its frames are ordered."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import Spawn
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.child import Limits
from ncs_cluster.core.events import Endpoint
from ncs_cluster.messages import SourceOpened
from ncs_cluster.specs import CameraSpec
from ncs_cluster.status import LatencyStatus
from ncs_cluster.types import CameraName


def camera(*, ordered: bool = False, window: bool = False) -> Camera:
    spec = CameraSpec(CameraName("cam0"), "synthetic", {}, "synthetic", ordered=ordered, window=window, runtime="old")
    return Camera(spec, Limits(silent_s=7.0))


def test_a_new_camera_has_given_nothing() -> None:
    new = camera()
    figures = {name: value for name, value in vars(new).items() if name not in ("spec", "child", "detection", "latency", "drawing")}
    assert figures == {
        "info": None,
        "detail": None,
        "signal": False,
        "ended": False,
        "slots": None,
        "retired": [],
        "next_frame": 0,
        "frames": 0,
        "unreadable": 0,
        "reads": True,
        "measuring": {},
        "measuring_since_s": 0.0,
        "orders": {},
        "reorders": {},
        "viewers": 0,
        "told": None,
        "capture_fps": 0.0,
        "preview_fps": 0.0,
        "range_errors": [],
        "published": {},
    }
    assert all(figures[name] is False for name in ("signal", "ended"))
    assert new.detection.per_s(0.0) == 0.0
    assert new.latency.status() == new.drawing.status() == LatencyStatus(None, None)


def test_two_cameras_share_no_figures() -> None:
    first, second = camera(), camera()
    for name, value in vars(first).items():
        if isinstance(value, (dict, list)):
            assert value is not vars(second)[name], name
    assert first.latency is not first.drawing


def test_the_process_of_a_camera_has_its_name_its_runtime_and_its_limits() -> None:
    new = camera()
    assert new.child.start(0.0) == [Spawn(Endpoint("camera", "cam0"), "old")]
    assert new.child.limits == Limits(silent_s=7.0)
    assert new.spec.name == "cam0"


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
