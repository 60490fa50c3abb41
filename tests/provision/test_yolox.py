"""The catalogue's yolox_nano: pulled from a mirror, compiled by the vendor's compiler, run by an emulated stick."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino
import pytest
from msgspec import structs

from ncs_cluster import decoders
from ncs_cluster.backends.base import Completed
from ncs_cluster.backends.xlink import Xlink
from ncs_cluster.config import graph_folder
from ncs_cluster.config.catalogue import Catalogue
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.provision.blobs import Recipe
from ncs_cluster.provision.catalogue import pull
from ncs_cluster.provision.compile import compile
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import Outcome, ResizeTransform, StickId
from ncs_cluster.xlink.blob import Blob
from tests.needs import need_compiler
from tests.provision.conftest import Site
from tests.python39 import Runtime

NAME, SIDE, PORT = "yolox_nano", 416, "1-1.2"


def quiet(line: str) -> None:
    pass


@pytest.fixture
def graph(site: Site, test_data: Path, tmp_path: Path) -> GraphSpec:
    """Pulled by the shipped catalogue's own description; the mirror has the published file."""
    site.files["/copy/model/yolox_nano.onnx"] = (test_data / "models" / NAME / "yolox_nano.onnx").read_bytes()
    folder = pull(Catalogue().model(NAME), tmp_path, mirror=f"{site.url}/copy", say=quiet)
    return graph_folder.read(folder, NAME, None)


def laid(picture: np.ndarray) -> np.ndarray:
    """YOLOX's own arithmetic of an input: the frame at the top left, its aspect kept, 114 beside it; float32 [1, 3, 416, 416]."""
    ratio = min(SIDE / picture.shape[0], SIDE / picture.shape[1])
    small = cv2.resize(picture, (round(picture.shape[1] * ratio), round(picture.shape[0] * ratio)), interpolation=cv2.INTER_LINEAR)
    padded = np.full((SIDE, SIDE, 3), 114, np.uint8)
    padded[: small.shape[0], : small.shape[1]] = small
    return padded.transpose(2, 0, 1)[None].astype(np.float32)


def on_cpu(graph: GraphSpec, picture: np.ndarray) -> np.ndarray:
    """The raw output, float32 [1, 3549, 85], of OpenVINO's own API."""
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(graph.model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (raw,) = compiled([laid(picture)]).values()
    return np.asarray(raw)


def test_the_pulled_folder_describes_a_detector_of_cocos_80_classes(graph: GraphSpec, test_data: Path) -> None:
    assert (graph.decoder, graph.decoder_options) == ("yolo", {"layout": "yolox"})
    assert (graph.colour, graph.resize, graph.align, graph.padding) == ("BGR", "letterbox", "top-left", 114)
    assert len(set(graph.labels.values())) == 80
    # its own repository has older names for six of them
    theirs = (test_data / "models" / NAME / "labels.txt").read_text().split("\n")
    renamed = {theirs[number]: label for number, label in graph.labels.items() if theirs[number] != label}
    assert renamed == {
        "motorbike": "motorcycle",
        "aeroplane": "airplane",
        "sofa": "couch",
        "pottedplant": "potted plant",
        "diningtable": "dining table",
        "tvmonitor": "tv",
    }


def expected_objects(test_data: Path, name: str) -> list[dict[str, Any]]:
    """Objects that other detectors agree on, and that this model finds under onnxruntime."""
    listed = json.loads((test_data / "media" / "expected.json").read_text())["images"][name]["objects"]
    return [each for each in listed if "yolox_ort" in each["found_by"]]


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union."""
    sides = [max(0.0, min(one[2 + axis], other[2 + axis]) - max(one[axis], other[axis])) for axis in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


def assert_found(outcome: Outcome, test_data: Path, name: str) -> None:
    wanted = expected_objects(test_data, name)
    assert wanted
    for each in wanted:
        names = {each["cls"], *each["aliases"]}
        assert any(found.label in names and overlap(found.box, each["box"]) >= 0.55 for found in outcome.detections), each


@pytest.mark.parametrize("name", ["dog.jpg", "bus.jpg", "cat_720p.jpg", "person.jpg"])
def test_it_finds_on_a_picture_what_other_runtimes_find(graph: GraphSpec, test_data: Path, name: str) -> None:
    picture = cv2.imread(str(test_data / "media" / name))
    assert picture is not None
    height, width = picture.shape[:2]
    ratio = min(SIDE / height, SIDE / width)
    transform = ResizeTransform(round(width * ratio) / SIDE, round(height * ratio) / SIDE, 0.0, 0.0, SIDE, SIDE)
    outcome = decoders.create(graph)({"output": on_cpu(graph, picture)}, transform)
    assert_found(outcome, test_data, name)
    assert min(each.score for each in outcome.detections) >= 0.3


@pytest.fixture
def stick(
    emulator: Emulator, emulated_libusb: Path, graph: GraphSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[Path], Xlink]]:
    """stick(blob): an opened backend whose emulated stick computes as the model does on this CPU."""
    monkeypatch.setenv("NCS_EMULATOR_SOCKET", str(emulator.socket))
    emulator.add(PORT, graphs=[graph.model], boot_s=0.05, reset_s=0.05, latency_s=0.002, watchdog_s=60)
    (tmp_path / "firmware").write_bytes(artificial_firmware(600_000))
    options = {"firmware": str(tmp_path / "firmware"), "libusb": str(emulated_libusb), "settle_s": 0.0, "warm_up": 1}
    opened = Xlink()

    def make(blob: Path) -> Xlink:
        spec = StickSpec(StickId("ncs"), PORT, "xlink", options)
        opened.open(spec, [structs.replace(graph, blob=str(blob))], lambda phase: None)
        return opened

    yield make
    opened.close()


def answer(backend: Xlink, picture: np.ndarray, timeout_s: float = 60.0) -> Completed:
    """What the stick gives for the frame. Collects when it is due too, as a worker does: the stick wants to hear of its host."""
    assert backend.wake_fd is not None
    backend.submit(1, 0, picture)
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        due_s = time.monotonic() + 1.0 if backend.due_s is None else backend.due_s
        select.select([backend.wake_fd], [], [], min(1.0, max(0.0, due_s - time.monotonic())))
        for completed in backend.collect():
            if completed.tag == 1:
                return completed
    raise TimeoutError("no result")


@pytest.mark.slow
def test_its_onnx_is_compiled_for_a_stick_whose_answers_are_those_of_this_cpu(
    oracle_python: Runtime, graph: GraphSpec, stick: Callable[[Path], Xlink], test_data: Path, tmp_path: Path
) -> None:
    """The emulated stick computes in float32, a real one in fp16: the bound is what fp16 keeps of numbers below 64."""
    need_compiler()
    made = compile(Recipe.of(graph), tmp_path, python=Path(oracle_python.python), say=quiet)
    blob = Blob.parse(made.read_bytes())
    assert [(port.dtype, port.shape) for port in blob.inputs] == [("u8", (1, 3, SIDE, SIDE))]
    picture = cv2.imread(str(test_data / "media" / "dog.jpg"))
    assert picture is not None
    completed = answer(stick(made), picture)
    assert completed.outputs is not None
    (given,) = completed.outputs.values()
    expected = on_cpu(graph, picture)
    np.testing.assert_allclose(np.asarray(given).reshape(expected.shape), expected, atol=64 / 2**10)
    outcome = decoders.create(graph)(completed.outputs, completed.transform)
    assert_found(outcome, test_data, "dog.jpg")
