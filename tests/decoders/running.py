"""Published models run by our own way, from the graph folder to the outcome, and by an independent runtime."""

from __future__ import annotations

import select
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ncs_cluster import decoders
from ncs_cluster.backends.openvino import OpenVino
from ncs_cluster.config import graph_folder
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import Outcome, StickId
from tests.needs import need_litert, need_onnxruntime

WAIT_S = 60


def folder_of(source: Path, folder: Path, toml: str | None) -> Path:
    """A graph folder with the files of a published model, and this graph.toml."""
    folder.mkdir()
    for file in source.iterdir():
        if file.suffix in (".onnx", ".tflite", ".xml", ".bin", ".txt"):
            shutil.copy(file, folder)
    if toml is not None:
        (folder / "graph.toml").write_text(toml)
    return folder


def picture(path: Path) -> np.ndarray:
    """uint8 BGR [h, w, 3]."""
    image = cv2.imread(str(path))
    assert image is not None
    return image


def outcomes(graph: GraphSpec, images: list[np.ndarray]) -> Iterator[Outcome]:
    """What the openvino backend and the graph's decoder make of each image."""
    decode = decoders.create(graph)
    backend = OpenVino()
    backend.open(StickSpec(StickId("cpu-1"), "cpu", "openvino", {"streams": 1}), [graph], lambda name: None)
    try:
        for tag, image in enumerate(images):
            backend.submit(tag, 0, image)
            assert select.select([backend.wake_fd], [], [], WAIT_S)[0]
            (completed,) = backend.collect()
            assert completed.outputs is not None
            yield decode(completed.outputs, completed.transform)
    finally:
        backend.close()


def read(folder: Path) -> GraphSpec:
    return graph_folder.read(folder, folder.name, None)


class LiteRt:
    """A .tflite by TensorFlow Lite's interpreter."""

    def __init__(self, model: Path) -> None:
        self._interpreter = need_litert().Interpreter(str(model), num_threads=1)
        self._interpreter.allocate_tensors()

    def __call__(self, tensor: np.ndarray) -> list[np.ndarray]:
        """Outputs in the model's order; quantised ones stay so."""
        self._interpreter.set_tensor(self._interpreter.get_input_details()[0]["index"], tensor)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(each["index"]) for each in self._interpreter.get_output_details()]


class OnnxRuntime:
    """An .onnx by ONNX Runtime."""

    def __init__(self, model: Path) -> None:
        runtime = need_onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def __call__(self, tensor: np.ndarray) -> dict[str, Any]:
        """Outputs by name."""
        names = [each.name for each in self._session.get_outputs()]
        return dict(zip(names, self._session.run(None, {self._session.get_inputs()[0].name: tensor}), strict=True))
