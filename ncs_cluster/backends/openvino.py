"""Any device OpenVINO knows by name: "CPU" (proved), "GPU", ... A worker per device; several workers may share a CPU.

Runs on CPython 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from ncs_cluster.backends._compiled_models import CompiledModels
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
    depth: int = 2
    """Inferences in flight: one works, the next lies ready."""
    streams: int = 1
    """Inferences that really run at once."""
    threads: int = 0
    """CPU threads of this worker; 0: all of them. Where several workers share a CPU, cores / workers is right."""
    precision: str = "f32"
    """Arithmetic: "f32" gives the same boxes on every machine; "bf16" is up to 4 times as fast where the CPU has it; "auto" leaves
    it to the device."""

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 64 or not 1 <= self.streams <= 64:
            raise ValueError("depth and streams must be 1 to 64")
        if not 0 <= self.threads <= 1024:
            raise ValueError("threads must be 0 to 1024")
        if self.precision not in ("f32", "f16", "bf16", "auto"):
            raise ValueError(f'precision "{self.precision}" is none of f32, f16, bf16, auto')


class OpenVino:
    """See base.Backend."""

    wants_pixels = True

    def __init__(self, time_scale: float = 1.0) -> None:
        """Real inference knows no time scale."""
        self.wake_fd: Optional[int] = None
        self.due_s: Optional[float] = None
        self._graphs: Optional[CompiledModels] = None
        self._ended_s = 0.0

    def open(self, stick: StickSpec, graphs: List[GraphSpec], phase: Callable[[str], None]) -> DeviceInfo:
        phase("opening")
        try:
            options = Options(**stick.options)
        except (TypeError, ValueError) as error:
            raise StickError("open", f"openvino stick {stick.id}: {error}") from error
        depth = max(options.depth, options.streams)
        self._serial = options.streams == 1
        self._graphs = CompiledModels(options.device, depth=depth, properties=_properties(options))
        phase("compiling")
        self._graphs.load(graphs)
        self._graphs.warm_up()
        self.wake_fd = self._graphs.wake_fd
        return DeviceInfo(self._graphs.device_name, has_sensor=False, max_in_flight=depth)

    def submit(self, tag: int, graph: int, image: Optional[NDArray[np.uint8]]) -> None:
        assert self._graphs is not None
        assert image is not None
        self._graphs.submit(tag, graph, image)

    def collect(self) -> List[Completed]:
        assert self._graphs is not None
        done = []
        for inference in self._graphs.collect():
            # one at a time: what was begun early has waited for the one before it
            began_s = max(inference.began_s, self._ended_s) if self._serial else inference.began_s
            done.append(Completed(inference.tag, inference.outputs, max(0.0, inference.ended_s - began_s), inference.transform))
            # two that end together are told in any order
            self._ended_s = max(self._ended_s, inference.ended_s)
        return done

    def read_sensor(self) -> Reading:
        return Reading(None)

    def trouble(self, kind: str, for_s: float) -> None:
        raise StickError("protocol", f'trouble "{kind}" is for simulated sticks only')

    def close(self) -> None:
        if self._graphs is not None:
            self._graphs.close()


def _properties(options: Options) -> Dict[str, Any]:
    properties: Dict[str, Any] = {
        "NUM_STREAMS": options.streams,
        # two pinned workers end up on the same core
        "ENABLE_CPU_PINNING": False,
    }
    if options.threads:
        properties["INFERENCE_NUM_THREADS"] = options.threads
    if options.precision != "auto":
        properties["INFERENCE_PRECISION_HINT"] = options.precision
    return properties
