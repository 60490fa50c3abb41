"""Our own plugins pass the checks that other packages' plugins must pass. Backend xlink: tests/emulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ncs_cluster.testing.conformance import (
    BackendConformance,
    DecoderConformance,
    PolicyConformance,
    SinkConformance,
    SourceConformance,
)


class TestSimulated(BackendConformance):
    plugin = "simulated"
    options = {"latency_ms": 5.0}
    refused_options = ({"depth": 0}, {"latency_ms": -1.0}, {"faults": ["sneeze@5"]})


class TestSimulatedWithAGraph(BackendConformance):
    plugin = "simulated"
    options = {"latency_ms": 5.0}

    def graphs(self):  # type: ignore[no-untyped-def]
        return TestOpenVino().graphs()


class TestOpenVino(BackendConformance):
    plugin = "openvino"
    options = {"streams": 1}
    refused_options = ({"depth": 65}, {"precision": "f8"}, {"threads": -1})


class TestSsd(DecoderConformance):
    plugin = "ssd"
    refused_options = ({"max_detections": 0}, {"min_size": 1.0})

    def outputs(self) -> Mapping[str, Any]:
        rows = np.random.default_rng(1).random((1, 1, 400, 7), np.float32)
        rows[..., 0], rows[..., 1] = 0, 1
        rows[..., 5:] = rows[..., 3:5] + 0.1
        return {"detection_out": rows}


class TestSsdOfTensorflow(TestSsd):
    def outputs(self) -> Mapping[str, Any]:
        boxes = np.random.default_rng(1).random((1, 10, 4), np.float32) / 2
        boxes[..., 2:] += boxes[..., :2] + 0.1
        scores, classes = np.linspace(0.9, 0.1, 10, dtype=np.float32)[None], np.ones((1, 10), np.float32)
        return {"boxes": boxes, "classes": classes, "scores": scores, "count": np.array([10], np.float32)}


class TestSsdOfScores(TestSsd):
    refused_options = ({"iou": 0.0}, {"background": -2})

    def outputs(self) -> Mapping[str, Any]:
        random = np.random.default_rng(1)
        boxes = random.random((1, 2000, 4), np.float32) / 2
        boxes[..., 2:] += boxes[..., :2]
        return {"boxes": boxes, "scores": random.random((1, 2000, 3), np.float32)}


class TestSsdOfPriors(TestSsd):
    def outputs(self) -> Mapping[str, Any]:
        random = np.random.default_rng(1)
        corners = random.random((500, 4), np.float32) / 2
        corners[:, 2:] += corners[:, :2]
        priors = np.stack([corners.ravel(), np.full(2000, 0.1, np.float32)])[None]
        return {"loc": random.random((1, 2000), np.float32), "conf": random.random((1, 1500), np.float32), "priors": priors}


class TestYolo(DecoderConformance):
    plugin = "yolo"
    labels = {0: "first", 1: "second"}
    refused_options = ({"layout": "v6"}, {"iou": 0.0}, {"max_detections": 0}, {"anchors": [1.0]})

    def outputs(self) -> Mapping[str, Any]:
        rows = np.random.default_rng(1).random((21 * 13 * 13, 6), np.float32)
        rows[:, :4] = rows[:, :4] * 400 + 4
        return {"output0": rows.T[None]}


class TestYoloWithAnchors(TestYolo):
    def outputs(self) -> Mapping[str, Any]:
        rows = np.random.default_rng(1).random((63 * 13 * 13, 7), np.float32)
        return {"output": rows[None]}


class TestYoloX(TestYolo):
    options = {"layout": "yolox"}

    def outputs(self) -> Mapping[str, Any]:
        rows = np.random.default_rng(1).random((21 * 13 * 13, 7), np.float32)
        rows[:, 2:4] = 1
        return {"output": rows}


class TestYoloEndToEnd(TestYolo):
    def outputs(self) -> Mapping[str, Any]:
        rows = np.random.default_rng(1).random((300, 6), np.float32)
        rows[:, 2:4] += 0.1 + rows[:, :2]
        rows[:, 5] = 1
        return {"output": rows[None]}


class TestYoloHeads(TestYolo):
    def outputs(self) -> Mapping[str, Any]:
        random = np.random.default_rng(1)
        return {f"p{stride}": random.normal(0, 2, (1, 21, 64 // stride, 96 // stride)).astype(np.float32) for stride in (8, 16, 32)}


class TestClassification(DecoderConformance):
    plugin = "classification"
    refused_options = ({"top": 0}, {"softmax": "maybe"})

    def outputs(self) -> Mapping[str, Any]:
        return {"scores": np.array([[0.1, 0.7, 0.2, 0.0]], np.float32)}


class TestClassificationOfLogits(TestClassification):
    options = {"top": 100}

    def outputs(self) -> Mapping[str, Any]:
        logits = np.random.default_rng(1).normal(0, 4, (1, 1000, 1, 1)).astype(np.float32)
        logits[0, 7] = 30
        return {"logits": logits}


class TestFeatures(DecoderConformance):
    plugin = "features"
    refused_options = ({"output": "a", "layer": "b"},)

    def outputs(self) -> Mapping[str, Any]:
        return {"embedding": np.random.default_rng(1).normal(0, 1, (1, 256, 1, 1)).astype(np.float32)}

    def other_outputs(self) -> Mapping[str, Any]:
        return {"several": np.zeros(4, np.float32), "vectors": np.zeros(4, np.float32)}


class TestFeaturesOfUnitLength(TestFeatures):
    options = {"l2": True}


class TestRing(PolicyConformance):
    plugin = "ring"
    refused_options = ({"dwell_s": -1.0},)


class TestRingWithoutDwell(PolicyConformance):
    plugin = "ring"
    options = {"dwell_s": 0.5}


class TestAll(PolicyConformance):
    plugin = "all"


class TestPredictive(PolicyConformance):
    plugin = "predictive"


class TestCoolest(PolicyConformance):
    plugin = "coolest"
    refused_options = ({"dwell_s": -1.0},)


class TestJsonl(SinkConformance):
    plugin = "jsonl"
    refused_specs = ("{folder}", "{folder}/none/results", "jsonl:{folder}")

    def count(self, folder: Path) -> int:
        return len([json.loads(line) for line in (folder / "results").read_text().splitlines()])


class TestSynthetic(SourceConformance):
    plugin = "synthetic"
    options = {"width": 64, "height": 48}
    refused_options = ({"width": 1}, {"fps": 0.0}, {"seed": -1})
    refused_specs = ("synthetic:7",)


class TestSyntheticThatEnds(SourceConformance):
    plugin = "synthetic"
    options = {"width": 64, "height": 48, "frames": 5, "paced": False}


class TestImages(SourceConformance):
    plugin = "images"
    missing = ("none.png", "empty")
    refused_options = ({"max_width": 0},)

    def spec(self, folder: Path) -> str:
        pictures = folder / "pictures"
        pictures.mkdir(exist_ok=True)
        (folder / "empty").mkdir(exist_ok=True)
        for number in range(5):
            picture = np.full((20 + number, 30, 3), 40 * number, np.uint8)
            cv2.imwrite(str(pictures / f"{number}.png"), picture)
        (pictures / "broken.png").write_bytes(b"no picture")
        return "pictures"


class TestVideo(SourceConformance):
    plugin = "video"
    options = {"paced": False}
    missing = ("none.mp4", "text.mp4")

    def spec(self, folder: Path) -> str:
        (folder / "text.mp4").write_text("no film")
        film = folder / "film.avi"
        if not film.exists():
            writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
            for number in range(6):
                writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
            writer.release()
        return "film.avi"
