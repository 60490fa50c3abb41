"""Results on their way through the camera process to the picture: exact actions."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ncs_cluster import messages as m
from ncs_cluster.core.actions import LogEvent, Send
from ncs_cluster.types import StickId
from tests.core.onecamera import (
    FOUND,
    HELLO,
    CameraSetup,
    captured,
    info,
)


def answered(setup: CameraSetup, graph: int, ticket: int) -> list[object]:
    """A stick answers the frame that waits for this graph; whether the camera is told that it is the last of its frame."""
    unit = setup.dispatcher.lanes["cam0", graph].pending.popleft()
    unit.ticket, unit.stick = ticket, StickId("sim-1")
    setup.tally.begin(unit)
    setup.streams.sent(unit)
    sent = [each.message for each in setup.inferred(unit, FOUND, 11.0) if isinstance(each, Send)]
    return [(each.frame.frame, each.graph, each.last) for each in sent if isinstance(each, m.Measure)]


@pytest.mark.parametrize("ordered", [False, True])
def test_the_camera_is_told_which_result_of_a_frame_is_the_last(ordered: bool) -> None:
    """Also while the first is still with it."""
    setup = CameraSetup(("demo", "faces"), ordered=ordered, window=True).open()
    setup.receive(captured(0))
    assert answered(setup, 0, 1) == [(0, "demo", False)]
    assert answered(setup, 1, 2) == [(0, "faces", True)]
    setup.receive(captured(1, 1))
    assert answered(setup, 1, 3) == [(1, "faces", False)]
    setup.receive(m.Measured(3, FOUND.detections))
    assert answered(setup, 0, 4) == [(1, "demo", True)]


def test_a_graph_that_dropped_the_frame_is_not_waited_for() -> None:
    setup = CameraSetup(("demo", "faces"), window=True).open()
    setup.receive(captured(0))
    setup.tally.end(setup.dispatcher.lanes["cam0", 1].pending.popleft(), "dropped")
    assert answered(setup, 0, 1) == [(0, "demo", True)]


@pytest.mark.parametrize(
    ("background", "depth_scale_m", "told"), [("remove", None, True), ("remove", 0.001, False), ("keep", None, False)]
)
def test_a_background_that_cannot_be_removed_is_an_event(background: str, depth_scale_m: float | None, told: bool) -> None:
    setup = CameraSetup()
    setup.camera.spec = replace(setup.spec, background=background)
    setup.receive(HELLO, 0.0)
    warning = LogEvent("warning", "cam0", "gives no depth: the background is not removed")
    assert (warning in setup.receive(info(depth_scale_m=depth_scale_m), 0.0)) is told


def test_the_detection_rate_is_that_of_each_graph() -> None:
    one, two = CameraSetup(window=True).open(), CameraSetup(("demo", "faces"), window=True).open()
    for setup, each in ((one, 1), (two, 2)):
        for frame in range(50):
            for _ in range(each):
                setup.stream.detection.count(10.0 + frame / 10)
    assert one.stream.detection_fps(15.0) == pytest.approx(10, rel=0.05)
    assert two.stream.detection_fps(15.0) == pytest.approx(10, rel=0.2)
