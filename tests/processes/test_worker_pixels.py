"""A real worker that looks at pixels: frame pools, graphs, decoding."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster import openvino_library
from ncs_cluster.backends._model import fold, read
from ncs_cluster.ipc import pool as pools
from ncs_cluster.messages import (
    Failed,
    FromWorker,
    Infer,
    Inferred,
    MapPool,
    OpenStick,
    Phase,
    StickOpened,
    UnmapPool,
)
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.testing.children import Child, running
from ncs_cluster.types import CameraName, FrameRef, GraphName, Outcome, PoolLayout, StickId
from tests import small_graph

WORKER = "ncs_cluster.processes.worker"
LAYOUT = PoolLayout(pool=3, slots=2, max_width=1280, max_height=720)


@pytest.fixture
def coco(test_data: Path) -> GraphSpec:
    folder = test_data / "models/ssd_mobilenet_v1_coco"
    labels = dict(enumerate((folder / "labels.txt").read_text().splitlines(), 1))
    return GraphSpec(GraphName("coco"), str(folder / "ssd_mobilenet_v1_coco.xml"), "ssd", labels, 0.5)


@pytest.fixture
def small(tmp_path: Path) -> GraphSpec:
    small_graph.write(tmp_path)
    return GraphSpec(GraphName("small"), os.fspath(tmp_path / "small.xml"), "ssd")


@contextmanager
def worker(backend: str, graphs: list[GraphSpec], **options: Any) -> Iterator[Child]:
    with running(WORKER, FromWorker) as child:
        child.send(OpenStick(StickSpec(StickId("s"), "here", backend, options), graphs))
        child.expect(StickOpened, 60)
        yield child


@contextmanager
def mapped(child: Child, layout: PoolLayout = LAYOUT) -> Iterator[pools.FramePool]:
    """A pool the child has, writable here."""
    fd = pools.create(layout)
    child.send(MapPool(layout), fd)
    frames = pools.FramePool(fd, layout, writable=True)
    yield frames
    frames.close()


def show(frames: pools.FramePool, slot: int, picture: Path | None = None) -> FrameRef:
    """Put a picture into a slot, black without one."""
    image = cv2.imread(str(picture)) if picture else None
    height, width = (48, 64) if image is None else image.shape[:2]
    frames.colour(slot, width, height)[:] = 0 if image is None else image
    return FrameRef(CameraName("cam"), frames.layout.pool, slot, 0, width, height)


@pytest.mark.parametrize("backend", ["simulated", "openvino"])
def test_what_lies_in_the_slot_is_detected(backend: str, coco: GraphSpec, test_data: Path) -> None:
    with worker(backend, [coco]) as child, mapped(child) as frames:
        child.send(Infer(11, 0, show(frames, 1, test_data / "media/cat_720p.jpg")))
        child.send(Infer(12, 0, show(frames, 0)))
        # two requests may end in either order
        answers = {answer.ticket: answer for answer in (child.expect(Inferred), child.expect(Inferred))}
        cat, black = answers[11], answers[12]
        assert cat.outcome.detections[0].label == "cat"
        assert black.outcome.detections == []
        assert Phase("compiling") in child.received


def test_a_simulated_stick_keeps_its_latency_while_it_really_infers(coco: GraphSpec) -> None:
    with worker("simulated", [coco], latency_ms=150) as child, mapped(child) as frames:
        frame = show(frames, 0)
        for ticket in range(5):
            child.send(Infer(ticket, 0, frame))
        answers = [child.expect(Inferred) for _ in range(5)]
        assert all(answer.latency_s >= 0.15 - 1e-9 for answer in answers)


def test_two_graphs_answer_for_themselves(coco: GraphSpec, test_data: Path) -> None:
    folder = test_data / "models/face-detection-retail-0004"
    faces = GraphSpec(GraphName("faces"), str(folder / "face-detection-retail-0004.xml"), "ssd", {1: "face"}, 0.4)
    with worker("openvino", [coco, faces], threads=1) as child, mapped(child) as frames:
        frame = show(frames, 0, test_data / "media/voc_000001.jpg")
        child.send(Infer(1, 0, frame))
        child.send(Infer(2, 1, frame))
        found = {answer.ticket: answer.outcome.detections for answer in (child.expect(Inferred), child.expect(Inferred))}
        assert "person" in [d.label for d in found[1]]
        assert [d.label for d in found[2]] == ["face"]


def test_a_frame_whose_pool_is_gone_is_answered_with_an_error_and_the_next_pool_works() -> None:
    with worker("simulated", [], preprocess=True, latency_ms=5) as child:
        with mapped(child) as frames:
            frame = show(frames, 0)
            child.send(Infer(1, 0, frame))
            assert child.expect(Inferred).outcome.error is None
        child.send(UnmapPool(LAYOUT.pool))
        child.send(Infer(2, 0, frame))
        assert "pool" in str(child.expect(Inferred).outcome.error)
        with mapped(child) as frames:
            child.send(Infer(3, 0, show(frames, 1)))
            answer = child.expect(Inferred)
            assert (answer.ticket, answer.outcome.error) == (3, None)


def test_frames_accepted_before_their_pool_goes_are_still_inferred() -> None:
    with worker("simulated", [], preprocess=True, latency_ms=50, depth=1) as child, mapped(child) as frames:
        frame = show(frames, 0)
        for ticket in range(3):
            child.send(Infer(ticket, 0, frame))
        child.send(UnmapPool(LAYOUT.pool))
        answers = [child.expect(Inferred) for _ in range(3)]
        assert [answer.ticket for answer in answers] == [0, 1, 2]
        assert all(answer.outcome.error is None for answer in answers)


def test_a_frame_outside_its_pool_is_an_error_of_that_frame_only() -> None:
    with worker("simulated", [], preprocess=True, latency_ms=5) as child, mapped(child) as frames:
        good = show(frames, 0)
        child.send(Infer(1, 0, FrameRef(CameraName("cam"), LAYOUT.pool, 99, 0, 64, 48)))
        child.send(Infer(2, 0, good))
        assert child.expect(Inferred).outcome.error is not None
        assert child.expect(Inferred).outcome.error is None


def test_pools_that_come_and_go_leave_no_descriptor_behind() -> None:
    for options in ({"preprocess": True}, {}):
        with worker("simulated", [], latency_ms=1, **options) as child:

            def open_files(child: Child = child) -> int:
                return len(os.listdir(f"/proc/{child.process.pid}/fd"))

            counts = []
            for ticket in range(6):
                with mapped(child) as frames:
                    child.send(Infer(ticket, 0, show(frames, 0)))
                    child.expect(Inferred)
                child.send(UnmapPool(LAYOUT.pool))
                child.send(Infer(100 + ticket, 0, FrameRef(CameraName("cam"), 77, 0, 0, 64, 48)))
                child.expect(Inferred)
                counts.append(open_files())
            assert counts[1:] == counts[:-1]


def test_a_corrupt_graph_is_a_permanent_failure_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xml"
    broken.write_text("no graph")
    with running(WORKER, FromWorker) as child:
        graph = GraphSpec(GraphName("broken"), str(broken), "ssd")
        child.send(OpenStick(StickSpec(StickId("s"), "here", "simulated"), [graph]))
        failed = child.expect(Failed, 60)
        assert (failed.reason, failed.permanent) == ("graph", True)
        assert str(broken) in failed.detail
        assert child.process.wait(60) == 1


def test_a_raw_request_is_answered_with_the_outputs_of_the_graph_in_its_slot(small: GraphSpec) -> None:
    graph = small
    layout = PoolLayout(pool=4, slots=2, max_width=64, max_height=64, answer_bytes=2**20)
    with running(WORKER, FromWorker) as child:
        child.send(OpenStick(StickSpec(StickId("s"), "here", "openvino", {}), [graph]))
        (ports,) = child.expect(StickOpened, 60).ports
        with mapped(child, layout) as frames:
            pixels = np.random.default_rng(1).integers(0, 256, (ports.height, ports.width, 3), np.uint8)
            frames.colour(1, ports.width, ports.height)[:] = pixels
            child.send(Infer(1, 0, FrameRef(CameraName("api"), 4, 1, 0, ports.width, ports.height), raw=True))
            answer = child.expect(Inferred, 60)
            assert (answer.outcome, answer.outputs) == (Outcome(), ports.outputs)
            assert len(answer.outputs) == 1
            shape = answer.outputs[0].shape
            given = np.frombuffer(frames.answer(1), "<f4", math.prod(shape)).reshape(shape).copy()
    core = openvino_library.load().Core()
    compiled = core.compile_model(fold(read(core, graph), graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.array_equal(given, compiled([pixels[None]])[0])


def test_outputs_that_are_larger_than_the_answer_plane_are_refused(small: GraphSpec) -> None:
    layout = PoolLayout(pool=4, slots=2, max_width=64, max_height=64, answer_bytes=4)
    with worker("openvino", [small]) as child, mapped(child, layout):
        child.send(Infer(1, 0, FrameRef(CameraName("api"), 4, 1, 0, 8, 8), raw=True))
        assert child.expect(Inferred, 60).outcome.error == "the graph's outputs are larger than 4 bytes"
