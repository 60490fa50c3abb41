"""Frigate's own detector plugin, loaded from a checkout of Frigate, and one that speaks as it does.

NCS_CLUSTER_FRIGATE names the checkout (github.com/blakeblackshear/frigate); nothing is fetched. The plugin's two files run as they
are, on a stand-in for the rest of Frigate, which would need its libraries.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import types
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

ENVIRONMENT = "NCS_CLUSTER_FRIGATE"
HANDSHAKE_MS = 30_000
FRAME_MS = 5_000
"""Frigate's own 200 ms would measure the load of the machine that runs the tests."""


class Detector(Protocol):
    """As Frigate's detector process uses its plugin."""

    def detect_raw(self, tensor_input: NDArray[Any]) -> NDArray[np.float32]: ...


class Plain:
    """What the plugin does on its socket, without Frigate: a request that is not answered in time gives zeros and a new socket."""

    def __init__(self, endpoint: str, model: str) -> None:
        import zmq

        self._zmq, self._endpoint, self._model = zmq, endpoint, model
        self.handshakes = 0
        self._connect()

    def _connect(self) -> None:
        self._socket = self._zmq.Context.instance().socket(self._zmq.REQ)
        self._socket.setsockopt(self._zmq.LINGER, 0)
        self._socket.connect(self._endpoint)
        self.handshakes += 1
        header = {"model_request": True, "model_name": self._model}
        self._socket.send_multipart([json.dumps(header).encode()])
        self._socket.setsockopt(self._zmq.RCVTIMEO, HANDSHAKE_MS)
        try:
            answer = json.loads(self._socket.recv())
        except self._zmq.Again:
            self.close()
            raise
        assert answer == {"model_available": True, "model_loaded": True}
        self._socket.setsockopt(self._zmq.RCVTIMEO, FRAME_MS)

    def detect_raw(self, tensor_input: NDArray[Any]) -> NDArray[np.float32]:
        header = {"shape": list(tensor_input.shape), "dtype": tensor_input.dtype.name, "model_type": "ssd"}
        try:
            self._socket.send_multipart([json.dumps(header).encode(), tensor_input.tobytes()])
            return np.frombuffer(self._socket.recv(), np.float32).reshape(20, 6)
        except self._zmq.Again:
            self.close()
            self._connect()
            return np.zeros((20, 6), np.float32)

    def close(self) -> None:
        self._socket.close(linger=0)


def need_plugin() -> Callable[[str, str], Any]:
    """Makes a detector of Frigate's plugin for (endpoint, model), which is a Detector. Skips without a checkout."""
    module, standing_in = _plugin("zmq_ipc")

    def made(endpoint: str, model: str) -> Any:
        kind = standing_in.ModelTypeEnum.ssd
        settings = types.SimpleNamespace(path=f"ncs/{model}", width=8, height=8, model_type=kind)
        config = module.ZmqDetectorConfig(type="zmq", endpoint=endpoint, model=settings, request_timeout_ms=FRAME_MS)
        return module.ZmqIpcDetector(config)

    return made


def need_deepstack() -> Callable[[str, str, list[str]], Detector]:
    """Makes a detector of Frigate's plugin for DeepStack's API, for (address, key, labels). Skips without a checkout."""
    module, _ = _plugin("deepstack")

    def made(address: str, key: str, labels: list[str]) -> Any:
        model = types.SimpleNamespace(merged_labelmap=dict(enumerate(labels)))
        return module.DeepStack(
            module.DeepstackDetectorConfig(type="deepstack", api_url=address, api_key=key, api_timeout=30, model=model)
        )

    return made


def _plugin(name: str) -> tuple[Any, Any]:
    """The module of one of Frigate's plugins, and what stands in for the rest of Frigate."""
    root = os.environ.get(ENVIRONMENT)
    if root is None:
        pytest.skip(f"{ENVIRONMENT} names no checkout of Frigate")
    folder = Path(root) / "frigate" / "detectors"
    standing_in = types.ModuleType("frigate.detectors.detector_config")
    from pydantic import BaseModel

    class BaseDetectorConfig(BaseModel):
        type: str
        model: Any = None

    standing_in.BaseDetectorConfig = BaseDetectorConfig  # type: ignore[attr-defined]
    standing_in.ModelTypeEnum = Enum("ModelTypeEnum", ["ssd", "yolox"])  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "frigate.detectors.detector_config", standing_in)
        for package in ("frigate", "frigate.detectors"):
            patch.setitem(sys.modules, package, types.ModuleType(package))
        patch.setitem(sys.modules, "frigate.detectors.detection_api", _loaded(folder / "detection_api.py"))
        return _loaded(folder / "plugins" / f"{name}.py"), standing_in


def closed(detector: Any) -> None:
    """Close the sockets of a Detector; Frigate's end with its process."""
    if isinstance(detector, Plain):
        detector.close()
    else:
        detector._context.destroy(linger=0)


def _loaded(file: Path) -> types.ModuleType:
    name = f"frigate_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # pydantic looks the module of a class up by its name
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
