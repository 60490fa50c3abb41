"""Outputs of a stick's graphs: zeros, the input, or OpenVINO's results on this machine's CPU.

A blob does not name its network, so the model is found among the registered ones by the names and shapes of inputs and outputs.
OpenVINO is imported when the first such graph arrives.
"""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

from ncs_cluster import openvino_library
from ncs_cluster.xlink.blob import Blob, BlobError, Port

Run = Callable[[bytes], Callable[[], bytes]]
"""Begins one inference on `inputs_size` bytes; returns a function that waits for its `outputs_size` output bytes."""
TYPES = {"fp16": "float16", "u8": "uint8", "s32": "int32", "fp32": "float32"}


def source(graphs: str | list[Any]) -> Callable[[Blob], Run]:
    """ "echo", "zero", a model for this CPU or a list of them: a path or {"model": path, "mean": [...], "scale": [...]}.
    Raises ValueError."""
    kinds: dict[str, Callable[[Blob], Run]] = {"echo": echo, "zero": zero}
    if isinstance(graphs, str) and graphs in kinds:
        return kinds[graphs]
    listed = [graphs] if isinstance(graphs, str) else graphs
    models = [{"model": each} if isinstance(each, str) else each for each in listed]
    for each in models:
        if not os.path.isfile(each["model"]):
            raise ValueError(f"graphs are echo, zero or files of models, not {each['model']!r}")
    return OnHost(models)


def zero(blob: Blob) -> Run:
    """All outputs are 0."""
    answer = bytes(blob.outputs_size)
    return lambda tensor: lambda: answer


def echo(blob: Blob) -> Run:
    """The first 64 bytes of the input, repeated, so that a test can match results to inputs."""
    times = blob.outputs_size // 64 + 1
    return lambda tensor: lambda: (tensor[:64].ljust(64, b"\0") * times)[: blob.outputs_size]


class OnHost:
    """Real results, float32 on the CPU, computed in a thread so that the bus does not wait."""

    def __init__(self, models: list[Any]) -> None:
        self._models = models
        self._core: Any = None
        self._aside: ThreadPoolExecutor | None = None

    def __call__(self, blob: Blob) -> Run:
        """Raises BlobError when no registered model has these inputs and outputs."""
        self._core = self._core or openvino_library.load().Core()
        self._aside = aside = self._aside or ThreadPoolExecutor(1, "inference")
        for entry in self._models:
            model = self._core.read_model(entry["model"])
            ports = self._bind(blob, model)
            if ports is not None:
                compiled = self._core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
                run = _runner(blob, compiled, ports, entry.get("mean"), entry.get("scale"))
                return lambda tensor: aside.submit(run, tensor).result
        names = ", ".join(port.name for port in itertools.chain(blob.inputs, blob.outputs))
        raise BlobError(f"no registered model has the inputs and outputs {names}")

    @staticmethod
    def _bind(blob: Blob, model: Any) -> tuple[list[int], list[int]] | None:
        """Of each input and output of the blob, its index in the model."""
        found: list[list[int]] = []
        for ports, theirs in ((blob.inputs, model.inputs), (blob.outputs, model.outputs)):
            if len(ports) != len(theirs):
                return None
            numbers = []
            for port in ports:
                match = [n for n, each in enumerate(theirs) if port.name in _names(each) and _shape(port) == list(each.shape)]
                if not match:
                    return None
                numbers.append(match[0])
            found.append(numbers)
        return found[0], found[1]


def _names(port: Any) -> set[str]:
    """Names 2021.4 may use: the tensor's, the node's, and for an output that of the node before its Result."""
    node = port.get_node()
    names = set(port.get_names()) | {node.get_friendly_name()}
    if node.get_type_name() == "Result":
        before = node.input_value(0)
        name = before.get_node().get_friendly_name()
        names |= {name, f"{name}.{before.get_index()}"}
    return names


def _shape(port: Port) -> list[int]:
    """The array in the model's order of axes."""
    if port.layout == "NHWC":
        n, h, w, c = port.shape
        return [n, c, h, w]
    return list(port.shape)


def _runner(blob: Blob, compiled: Any, ports: tuple[list[int], list[int]], mean: Any, scale: Any) -> Callable[[bytes], bytes]:
    import numpy

    request = compiled.create_infer_request()

    def run(tensor: bytes) -> bytes:
        given = {}
        for port, number in zip(blob.inputs, ports[0]):
            array = numpy.frombuffer(tensor, TYPES[port.dtype], port.size // numpy.dtype(TYPES[port.dtype]).itemsize, port.offset)
            array = array.reshape(port.shape).astype(numpy.float32)
            if port.layout == "NHWC":
                array = array.transpose(0, 3, 1, 2)
            if array.ndim == 4 and (mean or scale):
                sides = (1, -1, 1, 1)
                array = (array - numpy.float32(mean or 0.0).reshape(sides)) / numpy.float32(scale or 1.0).reshape(sides)
            given[number] = numpy.ascontiguousarray(array)
        request.infer(given)
        answer = bytearray(blob.outputs_size)
        for port, number in zip(blob.outputs, ports[1]):
            array = request.get_output_tensor(number).data
            if port.layout == "NHWC":
                array = array.transpose(0, 2, 3, 1)
            data = numpy.ascontiguousarray(array, TYPES[port.dtype]).tobytes()
            answer[port.offset : port.offset + len(data)] = data
        return bytes(answer)

    return run
