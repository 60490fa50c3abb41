"""Any device OpenVINO knows by name: "CPU" (proved), "GPU", ... A worker per device; several workers may share a CPU.

Runs on CPython 3.9.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Optional

from ncs_cluster.backends._compiled_models import CompiledModels
from ncs_cluster.backends._service_time import begun_s
from ncs_cluster.backends.base import Completed, DeviceInfo, Reading
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec, StickSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Options:
    """How OpenVINO is used."""

    __pydantic_config__ = {"extra": "forbid"}

    device: str = "CPU"
    """OpenVINO's device string."""
    depth: int = 0
    """Inferences in flight; 0: one for each stream, and half as many again that wait for a free one."""
    streams: int = 0
    """Inferences the device executes at once; 0: for throughput, on a CPU one per core, at most 8. 1: lowest latency."""
    threads: int = 0
    """CPU threads of this worker; 0: all of them. Where several workers share a CPU, cores / workers is right."""
    precision: str = "f32"
    """Arithmetic: "f32" gives the same boxes on every machine; "bf16" is up to 4 times as fast where the CPU has it; "auto" leaves
    it to the device."""

    def __post_init__(self) -> None:
        if not 0 <= self.depth <= 64 or not 0 <= self.streams <= 64:
            raise ValueError("depth and streams must be 0 to 64")
        if not 0 <= self.threads <= 1024:
            raise ValueError("threads must be 0 to 1024")
        if self.precision not in ("f32", "f16", "bf16", "auto"):
            raise ValueError(f'precision "{self.precision}" is none of f32, f16, bf16, auto')


class OpenVino:
    """See base.Backend."""

    needs_frames = True

    def __init__(self, time_scale: float = 1.0) -> None:
        """Real inference knows no time scale."""
        self.wake_fd: Optional[int] = None
        self.due_s: Optional[float] = None
        self._graphs: Optional[CompiledModels] = None

    def open(self, stick: StickSpec, graphs: List[GraphSpec], phase: Callable[[str], None]) -> DeviceInfo:
        phase("opening")
        try:
            options = Options(**stick.options)
        except (TypeError, ValueError) as error:
            raise StickError("open", f"openvino stick {stick.id}: {error}") from error
        depth = max(options.depth, options.streams) if options.depth else 0
        # two pinned workers end up on the same core
        properties: Dict[str, Any] = {"ENABLE_CPU_PINNING": False}
        if options.precision != "auto":
            properties["INFERENCE_PRECISION_HINT"] = options.precision
        self._graphs = CompiledModels(
            options.device, streams=options.streams, threads=options.threads, depth=depth, properties=properties
        )
        phase("compiling")
        self._graphs.load(graphs)
        self._ended_s: Deque[float] = deque(maxlen=self._graphs.streams)
        self._graphs.warm_up()
        self.wake_fd = self._graphs.wake_fd
        models = self._graphs
        return DeviceInfo(
            models.device_name, has_sensor=False, max_in_flight=models.depth, executors=models.streams, ports=tuple(models.ports)
        )

    def submit(self, tag: int, graph: int, image: Optional[NDArray[np.uint8]]) -> None:
        assert self._graphs is not None
        assert image is not None
        self._graphs.submit(tag, graph, image)

    def collect(self) -> List[Completed]:
        assert self._graphs is not None
        done = []
        for inference in sorted(self._graphs.collect(), key=lambda inference: inference.ended_s):
            latency_s = inference.ended_s - begun_s(inference.began_s, self._ended_s, self._graphs.streams)
            done.append(Completed(inference.tag, inference.outputs, max(0.0, latency_s), inference.transform))
            self._ended_s.append(inference.ended_s)
        return done

    def read_sensor(self) -> Reading:
        return Reading(None)

    def close(self) -> None:
        if self._graphs is not None:
            self._graphs.close()


def divide(options: Dict[str, Any], count: int) -> Dict[str, Any]:
    """Options of each of `count` workers: the CPU's cores shared out, unless `threads` is set."""
    if count == 1 or "threads" in options:
        return options
    return {**options, "threads": max(1, len(os.sched_getaffinity(0)) // count)}
