"""CompiledModels on OpenVINO, shared by the backends that run them there: compile, preprocess, infer side by side.

A frame is resized on the host straight into the input's memory (cheaper than resizing inside the graph). Each of `depth` lanes has
its own inputs and a thread that starts one inference and waits for it: a completion callback is never called for one that failed.
Runs on CPython 3.9; OpenVINO and OpenCV are imported when a graph is loaded.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ncs_cluster.backends._model import fold, gist, place, read
from ncs_cluster.backends._preprocess import resize_into
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import ResizeTransform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Inference(NamedTuple):
    """One inference that ended. Times are time.monotonic()."""

    tag: int
    outputs: Dict[str, NDArray[Any]]
    transform: ResizeTransform
    began_s: float
    ended_s: float
    error: Optional[str] = None


class CompiledModels:
    """Compiled graphs of one device and the lanes they run in. Used from one thread."""

    def __init__(self, device: str = "CPU", *, depth: int = 1, properties: Optional[Mapping[str, Any]] = None) -> None:
        """`properties` are OpenVINO's; those the device does not know are left out. Raises StickError("open", ...)."""
        try:
            import cv2
            import openvino
        except ImportError as error:
            raise StickError(
                "open", f"{sys.executable} cannot load what runs graphs: {error}: install openvino and opencv"
            ) from error
        cv2.setNumThreads(1)
        self._openvino: Any = openvino
        self._core = openvino.Core()
        self._device, self._depth = device, depth
        try:
            self.device_name = str(self._core.get_property(device, "FULL_DEVICE_NAME"))
            known = self._core.get_property(device, "SUPPORTED_PROPERTIES")
        except RuntimeError as error:
            seen = ", ".join(self._core.available_devices) or "none"
            raise StickError("open", f'OpenVINO has no device "{device}" here: it sees {seen}') from error
        self._properties = {name: value for name, value in (properties or {}).items() if name in known}
        self._specs: List[GraphSpec] = []
        self._lanes: List[_Lane] = []
        self._done: Deque[Tuple[_Lane, Inference]] = deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    @property
    def wake_fd(self) -> int:
        """Readable when an inference has ended."""
        return self._wake_read

    def load(self, graphs: List[GraphSpec]) -> None:
        """Read, fold and compile, in place of what was loaded. Raises StickError("graph", ...), one line that names the file."""
        self._end_lanes()
        compiled = []
        for spec in graphs:
            try:
                model = fold(read(self._core, spec), spec)
            except StickError:
                raise
            except Exception as error:  # damaged files have raised much that is not documented
                raise StickError("graph", f"{place(spec)}: it cannot be used: {gist(error)}") from error
            try:
                compiled.append(self._core.compile_model(model, self._device, self._properties))
            except RuntimeError as error:
                # on the CPU it can only be the graph; a device further away may just be gone
                reason = "graph" if self._device.startswith("CPU") else "open"
                raise StickError(reason, f"{place(spec)}: {self._device} does not take it: {gist(error)}") from error
        self._specs = graphs
        self._lanes = [_Lane(self._openvino, compiled, self._ended) for _ in range(self._depth)]

    def warm_up(self) -> List[Dict[str, NDArray[Any]]]:
        """One real inference per graph, on black, in every lane; returns each graph's outputs. Raises StickError("infer", ...)."""
        answers = []
        for index, spec in enumerate(self._specs):
            for lane in self._lanes:
                inference = lane.infer(-1, index, ResizeTransform())
                if inference.error is not None:
                    raise StickError("infer", f"{place(spec)}: the first inference failed: {inference.error}")
            answers.append(inference.outputs)
        return answers

    def submit(self, tag: int, graph: int, image: NDArray[np.uint8]) -> None:
        """Resize uint8 BGR [h, w, 3] into a free lane's input and begin. Raises StickError when all `depth` lanes are taken."""
        lane = next((lane for lane in self._lanes if not lane.taken), None)
        if lane is None:
            raise StickError("protocol", f"more than {self._depth} inferences at once")
        lane.taken = True
        transform = resize_into(image, self._specs[graph].resize, lane.inputs[graph])
        lane.jobs.put((tag, graph, transform))

    def collect(self) -> List[Inference]:
        """What has ended since the last call, oldest first. Raises StickError("infer", ...) when one of them failed."""
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
        ended = []
        while self._done:
            lane, inference = self._done.popleft()
            lane.taken = False
            if inference.error is not None:
                raise StickError("infer", f"an inference failed: {inference.error}")
            ended.append(inference)
        return ended

    def close(self) -> None:
        """End the lanes; waits for what they are doing."""
        self._end_lanes()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _end_lanes(self) -> None:
        for lane in self._lanes:
            lane.jobs.put(None)
            lane.thread.join()
        self._lanes = []

    def _ended(self, lane: _Lane, inference: Inference) -> None:
        self._done.append((lane, inference))
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:
            pass


class _Lane:
    """A thread, and for each graph a request with its input tensor."""

    def __init__(self, openvino: Any, compiled: List[Any], ended: Any) -> None:
        import numpy

        self.taken = False
        self.jobs: SimpleQueue[Optional[Tuple[int, int, ResizeTransform]]] = SimpleQueue()
        self._requests, self.inputs = [], []
        for graph in compiled:
            pixels: NDArray[np.uint8] = numpy.zeros(tuple(graph.input().shape), numpy.uint8)
            request = graph.create_infer_request()
            request.set_input_tensor(openvino.Tensor(pixels, shared_memory=True))
            self._requests.append(request)
            self.inputs.append(pixels[0])
        self._names = [[_name(port, index) for index, port in enumerate(graph.outputs)] for graph in compiled]
        self._ended = ended
        self.thread = threading.Thread(target=self._work, name="infer", daemon=True)
        self.thread.start()

    def infer(self, tag: int, graph: int, transform: ResizeTransform) -> Inference:
        """One inference on what lies in the input, waited for."""
        import numpy

        request = self._requests[graph]
        began_s = time.monotonic()
        try:
            request.start_async()
            request.wait()
        except RuntimeError as error:
            return Inference(tag, {}, transform, began_s, time.monotonic(), gist(error))
        outputs = {name: numpy.array(request.get_output_tensor(index).data) for index, name in enumerate(self._names[graph])}
        return Inference(tag, outputs, transform, began_s, time.monotonic())

    def _work(self) -> None:
        while True:
            job = self.jobs.get()
            if job is None:
                return
            self._ended(self, self.infer(*job))


def _name(port: Any, index: int) -> str:
    names = sorted(port.names)
    return names[0] if names else f"output{index}"
