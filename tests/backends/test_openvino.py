"""The openvino backend on this CPU, against what independent runtimes found on the same pictures."""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster.backends.base import FaultInjection, Reopening
from ncs_cluster.backends.openvino import OpenVino, Options
from ncs_cluster.decoders.ssd import Options as DecoderOptions
from ncs_cluster.decoders.ssd import decode
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import Box, Detection, GraphName, StickId


def stick(**options: Any) -> StickSpec:
    return StickSpec(StickId("cpu-1"), "cpu", "openvino", options)


def nothing(name: str) -> None:
    pass


def detect(backend: OpenVino, graph: GraphSpec, picture: Path) -> list[Detection]:
    image = cv2.imread(str(picture))
    assert image is not None
    backend.submit(7, 0, image.astype(np.uint8, copy=False))
    assert backend.wake_fd is not None
    assert select.select([backend.wake_fd], [], [], 10)[0]
    (completed,) = backend.collect()
    assert completed.tag == 7
    assert completed.latency_s > 0
    assert completed.outputs is not None
    return decode(completed.outputs, graph, completed.transform, DecoderOptions()).detections


def iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


@pytest.fixture(scope="module")
def coco(published: Callable[..., GraphSpec]) -> Iterator[tuple[OpenVino, GraphSpec]]:
    graph = published("ssd_mobilenet_v1_coco", threshold=0.3)
    backend = OpenVino()
    backend.open(stick(), [graph], nothing)
    yield backend, graph
    backend.close()


def test_it_finds_what_the_same_network_finds_elsewhere(coco: tuple[OpenVino, GraphSpec], test_data: Path) -> None:
    expected = json.loads((test_data / "media/expected.json").read_text())["images"]
    wanted = missed = 0
    for name, picture in expected.items():
        detections = detect(*coco, test_data / "media" / name)
        for thing in picture["objects"]:
            if "ssd_litert" in thing["found_by"]:
                wanted += 1
                names = [thing["cls"], *thing["aliases"]]
                missed += not any(d.label in names and iou(d.box, thing["box"]) >= 0.5 for d in detections)
    assert wanted >= 15
    assert missed <= 1


def test_it_finds_faces(published: Callable[..., GraphSpec], test_data: Path) -> None:
    graph = published("face-detection-retail-0004", threshold=0.4)
    backend = OpenVino()
    backend.open(stick(threads=1), [graph], nothing)
    expected = json.loads((test_data / "media/expected.json").read_text())["faces"]
    for name in ("ulfg_2.jpg", "voc_000001.jpg", "voc_000456.jpg"):
        detections = detect(backend, graph, test_data / "media" / name)
        boxes = expected[name]["boxes"]
        assert len(detections) == len(boxes), name
        assert all(any(d.label == "face" and iou(d.box, box) >= 0.5 for d in detections) for box in boxes), name
    backend.close()


@pytest.mark.parametrize("streams", [1, 2])
def test_latency_leaves_out_the_wait_for_a_free_stream(published: Callable[..., GraphSpec], streams: int) -> None:
    """`depth` requests are always in flight, so with their waits the latencies would add up to `depth` times the time passed."""
    backend = OpenVino()
    depth = backend.open(stick(streams=streams, depth=6), [published("face-detection-retail-0004")], nothing).max_in_flight
    picture = np.zeros((300, 300, 3), np.uint8)
    latencies_s: list[float] = []
    submitted, began_s = 0, time.monotonic()
    while len(latencies_s) < 60:
        while submitted - len(latencies_s) < depth:
            backend.submit(submitted, 0, picture)
            submitted += 1
        assert select.select([backend.wake_fd], [], [], 10)[0]
        latencies_s += [completed.latency_s for completed in backend.collect()]
    assert sum(latencies_s) <= 1.1 * streams * (time.monotonic() - began_s)
    backend.close()


def test_by_default_each_core_has_a_stream_and_half_as_many_requests_wait(identity: Any) -> None:
    streams = min(len(os.sched_getaffinity(0)), 8)
    for options, depth in (({}, streams + (streams + 1) // 2), ({"threads": 1}, 2), ({"streams": 4, "depth": 2}, 4)):
        backend = OpenVino()
        assert backend.open(stick(**options), [identity((1, 3, 6, 8))], nothing).max_in_flight == depth
        backend.close()


def test_it_has_no_sensor_and_says_what_it_runs_on(identity: Any) -> None:
    backend = OpenVino()
    phases: list[str] = []
    device = backend.open(stick(depth=3, streams=1), [identity((1, 3, 6, 8))], phases.append)
    assert (device.has_sensor, device.max_in_flight) == (False, 3)
    assert device.name
    assert phases == ["opening", "compiling"]
    assert backend.read_sensor().temperature_c is None
    assert backend.collect() == []
    assert not isinstance(backend, FaultInjection)
    assert not isinstance(backend, Reopening)
    backend.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [({"device": "ABACUS"}, 'no device "ABACUS"'), ({"precision": "f3"}, "precision"), ({"speed": 9}, "speed")],
)
def test_options_that_cannot_be_met_are_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(StickError, match=says) as caught:
        OpenVino().open(stick(**options), [], nothing)
    assert caught.value.reason == "open"


def test_a_graph_that_is_not_there_is_a_permanent_failure() -> None:
    with pytest.raises(StickError) as caught:
        OpenVino().open(stick(), [GraphSpec(GraphName("g"), "/nowhere/g.xml", "ssd")], nothing)
    assert caught.value.reason == "graph"


def test_options_refuse_numbers_out_of_range() -> None:
    wrongs: list[dict[str, Any]] = [{"depth": -1}, {"streams": -1}, {"threads": -1}]
    for wrong in wrongs:
        with pytest.raises(ValueError):
            Options(**wrong)
