"""Pictures of other programs through a whole daemon: its answers are those of the graph itself, run by OpenVINO here."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster.config import load
from ncs_cluster.sources._scene import Scene
from ncs_cluster.testing.daemon import Daemon, running
from tests.conftest import ROOT
from tests.needs import need_module
from tests.processes.gateway.api_site import form

SHAPES = (ROOT / "graphs/demo/labels.txt").read_text().split()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("apis")
    argv = ["--backend", "simulated", "--sticks", "2", "--graph", "demo", "--source", "synthetic", "--size", "64x48", "--fps", "1"]
    argv += ["--listen", "127.0.0.1:0", "--runtime-dir", str(folder / "run"), "--state-dir", str(folder / "state")]
    argv += ["--api", "deepstack,oip", "--api-grpc", "127.0.0.1:0"]
    with running(load(argv, {})) as started:
        started.until(lambda status: sum(each["state"] == "active" for each in status["sticks"]) == 2, "has two sticks at work")
        # the page may still be starting
        started.until(lambda _: serves(started), "serves the graph")
        yield started


def serves(daemon: Daemon) -> bool:
    if not any("http://" in line for line in daemon.story("page")):
        return False
    try:
        with urllib.request.urlopen(f"{address(daemon)}/v2/models/demo/ready", timeout=60) as response:
            return int(response.status) == 200
    except urllib.error.HTTPError:
        return False


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A picture of what the demo graph was made for, of twice its input's size."""
    colour, depth = np.empty((480, 640, 3), np.uint8), np.empty((480, 640), np.uint16)
    Scene(640, 480, 1).draw(40, 8.0, colour, depth)
    return colour


def address(daemon: Daemon, scheme: str = "http") -> str:
    found = [each for line in daemon.story("page") for each in re.findall(rf"{scheme}://\S+:\d+", line)]
    return str(found[-1])


def by_openvino(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The graph's input for a picture, and what it makes of that: rows of image, class, score, x1, y1, x2, y2."""
    import openvino

    compiled = openvino.Core().compile_model(ROOT / "graphs/demo/demo.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    shape = [int(each) for each in compiled.input(0).shape]
    height, width = shape[2:] if shape[1] == 3 else shape[1:3]
    resized = cv2.resize(picture, (width, height))
    tensor = resized.transpose(2, 0, 1)[None] if shape[1] == 3 else resized[None]
    return resized, np.asarray(compiled(tensor.astype(np.float32))[compiled.output(0)])


def detections(daemon: Daemon, image: bytes) -> list[dict[str, Any]]:
    content_type, body = form(image)
    asked = urllib.request.Request(f"{address(daemon)}/v1/vision/detection", body, {"Content-Type": content_type})
    with urllib.request.urlopen(asked, timeout=60) as response:
        return list(json.load(response)["predictions"])


def test_deepstack_finds_what_the_graph_finds(daemon: Daemon, scene: np.ndarray) -> None:
    found = detections(daemon, cv2.imencode(".png", scene)[1].tobytes())
    assert [each["confidence"] for each in found] == sorted((each["confidence"] for each in found), reverse=True)
    rows = [row for row in by_openvino(scene)[1].reshape(-1, 7) if row[2] >= 0.6]
    assert len(rows) >= 3
    assert sorted(each["label"] for each in found) == sorted(SHAPES[int(row[1]) - 1] for row in rows)
    by_place = sorted(found, key=lambda each: (each["label"], each["x_min"]))
    for each, row in zip(by_place, sorted(rows, key=lambda row: (SHAPES[int(row[1]) - 1], row[3])), strict=True):
        assert each["confidence"] == pytest.approx(float(row[2]), abs=0.01)
        box = [each[side] for side in ("x_min", "y_min", "x_max", "y_max")]
        assert box == pytest.approx([row[3] * 640, row[4] * 480, row[5] * 640, row[6] * 480], abs=3)
    # clients are told of once a second, also between a question and its answer
    status = daemon.until(
        lambda status: any(client["answered"] for each in status["intakes"] for client in each["clients"]),
        "counts its client's answer",
    )
    (page,) = status["intakes"]
    assert (page["name"], page["answered"] > 0) == ("api", True)
    client = next(each for each in page["clients"] if each["name"] == "127.0.0.1 deepstack")
    assert (client["asked"], client["answered"], client["shed"], client["late"], client["detail"]) == (1, 1, 0, 0, None)


def test_open_inference_gives_the_graphs_own_tensor(daemon: Daemon, scene: np.ndarray) -> None:
    model = f"{address(daemon)}/v2/models/demo"
    with urllib.request.urlopen(model, timeout=60) as response:
        described = json.load(response)
    tensor, rows = by_openvino(scene)
    shape = [1, *tensor.shape]
    assert described["inputs"] == [{"name": "input", "datatype": "UINT8", "shape": shape}]
    assert described["outputs"][0]["shape"] == list(rows.shape)
    given = {"name": "input", "datatype": "UINT8", "shape": shape, "parameters": {"binary_data_size": tensor.size}}
    text = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    with urllib.request.urlopen(urllib.request.Request(f"{model}/infer", text + tensor.tobytes(), headers), timeout=60) as response:
        body, length = response.read(), int(response.headers["Inference-Header-Content-Length"])
    assert json.loads(body[:length])["outputs"][0]["shape"] == list(rows.shape)
    answered = np.frombuffer(body[length:], "<f4").reshape(-1, 7)
    assert len(certain(rows)) >= 3
    np.testing.assert_allclose(certain(answered), certain(rows), atol=0.01)


def test_grpc_gives_what_rest_gives_to_tritons_client(daemon: Daemon, scene: np.ndarray) -> None:
    by_grpc, by_rest = need_module("tritonclient.grpc"), need_module("tritonclient.http")
    tensor, rows = by_openvino(scene)
    answers = []
    for triton, place in ((by_grpc, address(daemon, "grpc")), (by_rest, address(daemon))):
        client = triton.InferenceServerClient(place.partition("//")[2])
        assert client.is_model_ready("demo")
        sent = triton.InferInput("input", [1, *tensor.shape], "UINT8")
        sent.set_data_from_numpy(tensor[None])
        described = client.get_model_metadata("demo")
        name = described.outputs[0].name if triton is by_grpc else described["outputs"][0]["name"]
        answers.append(client.infer("demo", [sent]).as_numpy(name))
        client.close()
    np.testing.assert_array_equal(answers[0], answers[1])
    assert answers[0].shape == rows.shape
    np.testing.assert_allclose(certain(answers[0]), certain(rows), atol=0.01)


def certain(rows: np.ndarray) -> list[list[float]]:
    """What was found with a score of 0.6 or more, by class and place."""
    rows = rows.reshape(-1, 7)
    return sorted(map(list, rows[rows[:, 2] >= 0.6]), key=lambda row: (row[1], row[3]))
