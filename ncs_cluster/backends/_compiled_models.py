"""Graphs compiled by OpenVINO: frames are preprocessed, inferences run side by side, outputs come as arrays.

A frame is resized on the host straight into the input's memory, which is cheaper than resizing inside the graph. On a CPU each
stream is a compiled copy of its own with one executor: a thread that starts an inference and waits for it. OpenVINO's own streams
are not used there: of 48 models that 2026.4.1 compiled with NUM_STREAMS=2, 4 gave wrong results until they were closed; with one
stream none did. No completion callback is used: it is never called for an inference that failed. Runs on CPython 3.9; OpenVINO and
OpenCV are imported when a graph is loaded.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ncs_cluster import openvino_library
from ncs_cluster.backends._model import fold, graph_label, read, short_reason
from ncs_cluster.backends._ports import graph_ports
from ncs_cluster.backends._preprocess import resize_into
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphPorts, ResizeTransform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MOST_STREAMS = 8
"""Chosen without being asked: each holds its own copy of the weights."""


class Inference(NamedTuple):
    """One inference that ended. Times are time.monotonic()."""

    tag: int
    outputs: Dict[str, NDArray[Any]]
    transform: ResizeTransform
    began_s: float
    ended_s: float
    error: Optional[str] = None


class CompiledModels:
    """Compiled graphs of one device and the executors that run them. Used from one thread."""

    def __init__(
        self,
        device: str = "CPU",
        *,
        streams: int = 1,
        threads: int = 0,
        depth: int = 0,
        properties: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """`streams`: inferences executed at once; 0: for throughput, on a CPU one for each core and at most MOST_STREAMS.
        `threads`: CPU threads of all streams together; 0: one for each core.
        `depth`: inferences in flight; 0: the streams and half as many again.
        `properties` are OpenVINO's; those the device does not know are left out. Raises StickError("open", ...).
        """
        try:
            import cv2

            openvino = openvino_library.load()
        except ImportError as error:
            raise StickError(
                "open", f"{sys.executable} cannot load what runs graphs: {error}: install openvino and opencv"
            ) from error
        cv2.setNumThreads(1)
        self._openvino = openvino
        self._core = openvino.Core()
        self._device, self._asked_depth = device, depth
        self._is_cpu = device.startswith("CPU")
        cores = len(os.sched_getaffinity(0))
        self.streams = streams or (min(threads or cores, MOST_STREAMS) if self._is_cpu else 1)
        """Inferences the device executes at once; of other devices than a CPU known once graphs are loaded."""
        try:
            self.device_name = str(self._core.get_property(device, "FULL_DEVICE_NAME"))
            known = self._core.get_property(device, "SUPPORTED_PROPERTIES")
        except RuntimeError as error:
            seen = ", ".join(self._core.available_devices) or "none"
            raise StickError("open", f'OpenVINO has no device "{device}" here: it sees {seen}') from error
        wanted = dict(properties or {})
        if self._is_cpu:
            wanted["NUM_STREAMS"] = 1
            if threads or self.streams > 1:
                wanted["INFERENCE_NUM_THREADS"] = max(1, (threads or cores) // self.streams)
        elif streams:
            wanted["NUM_STREAMS"] = streams
        else:
            wanted["PERFORMANCE_HINT"] = "THROUGHPUT"
        self._properties = {name: value for name, value in wanted.items() if name in known}
        self.ports: List[GraphPorts] = []
        """Of each graph, known after `warm_up`."""
        self._specs: List[GraphSpec] = []
        self._executors: List[_Executor] = []
        self._free: List[_Inputs] = []
        self._jobs: SimpleQueue[Optional[_Job]] = SimpleQueue()
        self._done: Deque[Tuple[_Inputs, Inference]] = deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    @property
    def wake_fd(self) -> int:
        """Readable when an inference has ended."""
        return self._wake_read

    @property
    def depth(self) -> int:
        """Inferences that may be in flight: while the answer to one is on its way, others must be ready to begin."""
        return self._asked_depth or self.streams + (self.streams + 1) // 2

    def load(self, graphs: List[GraphSpec]) -> None:
        """Read, fold and compile, in place of what was loaded. Raises StickError("graph", ...), one line that names the file."""
        self._end_executors()
        copies = [[self._compile(spec) for spec in graphs] for _ in range(self.streams if self._is_cpu else 1)]
        self._specs = graphs
        if not self._is_cpu:
            self.streams = max((_streams(graph) for graph in copies[0]), default=1)
            copies *= self.depth
        self._free = [_Inputs(self._openvino, copies[0]) for _ in range(self.depth)]
        self._executors = [_Executor(copy, self._jobs, self._ended) for copy in copies]

    def warm_up(self) -> List[Dict[str, NDArray[Any]]]:
        """One real inference per graph and executor, on black; returns each graph's outputs. Raises StickError("infer", ...)."""
        answers = []
        self.ports = []
        for index, spec in enumerate(self._specs):
            for executor in self._executors:
                inference = executor.infer(_Job(-1, index, ResizeTransform(), self._free[0]))
                if inference.error is not None:
                    raise StickError("infer", f"{graph_label(spec)}: the first inference failed: {inference.error}")
            answers.append(inference.outputs)
            height, width = self._free[0].pixels[index].shape[:2]
            self.ports.append(graph_ports(width, height, inference.outputs))
        return answers

    def submit(self, tag: int, graph: int, image: NDArray[np.uint8]) -> None:
        """Resize uint8 BGR [h, w, 3] into a free input and begin. Raises StickError when `depth` inferences are in flight."""
        if not self._free:
            raise StickError("protocol", f"more than {self.depth} inferences at once")
        inputs = self._free.pop()
        transform = resize_into(image, self._specs[graph], inputs.pixels[graph])
        self._jobs.put(_Job(tag, graph, transform, inputs))

    def collect(self) -> List[Inference]:
        """What has ended since the last call, oldest first. Raises StickError("infer", ...) when one of them failed."""
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
        ended = []
        while self._done:
            inputs, inference = self._done.popleft()
            self._free.append(inputs)
            if inference.error is not None:
                raise StickError("infer", f"an inference failed: {inference.error}")
            ended.append(inference)
        return ended

    def close(self) -> None:
        """End the executors; waits for the inferences in flight."""
        self._end_executors()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _compile(self, spec: GraphSpec) -> Any:
        try:
            model = fold(read(self._core, spec), spec)
        except StickError:
            raise
        except Exception as error:  # damaged files have raised much that is not documented
            raise StickError("graph", f"{graph_label(spec)}: it cannot be used: {short_reason(error)}") from error
        try:
            return self._core.compile_model(model, self._device, self._properties)
        except RuntimeError as error:
            # on the CPU it can only be the graph; a device further away may just be gone
            reason = "graph" if self._is_cpu else "open"
            raise StickError(reason, f"{graph_label(spec)}: {self._device} does not take it: {short_reason(error)}") from error

    def _end_executors(self) -> None:
        for _ in self._executors:
            self._jobs.put(None)
        for executor in self._executors:
            executor.thread.join()
        self._executors = []

    def _ended(self, inputs: _Inputs, inference: Inference) -> None:
        self._done.append((inputs, inference))
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:
            pass


class _Inputs:
    """Of each graph an input that belongs to one inference at a time."""

    def __init__(self, openvino: Any, compiled: List[Any]) -> None:
        import numpy

        batches = [numpy.zeros(tuple(graph.input().shape), numpy.uint8) for graph in compiled]
        self.pixels: List[NDArray[np.uint8]] = [batch[0] for batch in batches]
        """uint8 [height, width, 3]."""
        self.tensors = [openvino.Tensor(batch, shared_memory=True) for batch in batches]


class _Job(NamedTuple):
    """An inference whose pixels lie in its inputs."""

    tag: int
    graph: int
    transform: ResizeTransform
    inputs: _Inputs


class _Executor:
    """A thread, and a request of each graph."""

    def __init__(self, compiled: List[Any], jobs: SimpleQueue[Optional[_Job]], ended: Callable[[_Inputs, Inference], None]) -> None:
        self._requests = [graph.create_infer_request() for graph in compiled]
        self._names = [[_name(port, index) for index, port in enumerate(graph.outputs)] for graph in compiled]
        self._jobs, self._ended = jobs, ended
        self.thread = threading.Thread(target=self._work, name="infer", daemon=True)
        self.thread.start()

    def infer(self, job: _Job) -> Inference:
        """One inference, waited for."""
        import numpy

        request = self._requests[job.graph]
        began_s = time.monotonic()
        try:
            request.set_input_tensor(job.inputs.tensors[job.graph])
            request.start_async()
            request.wait()
        except RuntimeError as error:
            return Inference(job.tag, {}, job.transform, began_s, time.monotonic(), short_reason(error))
        outputs = {name: numpy.array(request.get_output_tensor(index).data) for index, name in enumerate(self._names[job.graph])}
        return Inference(job.tag, outputs, job.transform, began_s, time.monotonic())

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            self._ended(job.inputs, self.infer(job))


def _streams(compiled: Any) -> int:
    """Inferences a compiled model executes at once. A device without NUM_STREAMS says how many requests fill it."""
    try:
        streams = compiled.get_property("NUM_STREAMS")
    except RuntimeError:
        streams = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    return max(1, int(streams))


def _name(port: Any, index: int) -> str:
    names = sorted(port.names)
    return names[0] if names else f"output{index}"
