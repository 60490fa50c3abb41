"""A simulated stick: exact latency, simulated heat, scripted faults; with a graph, real inference on this CPU.

It is serial, as the real one is: one inference at a time, the next begins the moment the last one ended, `depth` is how many may
wait on it. Without a graph it costs no CPU and imports neither numpy nor OpenVINO. Runs on CPython 3.9.
"""

from __future__ import annotations

import math
import random
import time
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Deque, Dict, List, Optional

from ncs_cluster.backends import _faults
from ncs_cluster.backends.base import Completed, DeviceInfo, Reading
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.thermal import AMBIENT_C, REST_S, Heat, different, sensor_reading, throttle_level

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ncs_cluster.backends._compiled_models import CompiledModels, Inference

SLOWED = 10.0
HEAT_WAVE_K = 15.0


@dataclass(frozen=True)
class Options:
    """What a simulated stick is like."""

    __pydantic_config__ = {"extra": "forbid"}

    latency_ms: float = 50.0
    """Time of one inference; an NCS2 takes 30 to 100."""
    jitter_ms: float = 0.0
    """Each inference takes up to this much more or less."""
    depth: int = 2
    """Requests it holds at once."""
    infer: bool = True
    """Really run the graphs on this CPU, within the latency where it is fast enough; without a graph nothing is computed."""
    preprocess: bool = False
    """Resize each frame as a real worker does, even when nothing is inferred (for benchmarks)."""
    heat: bool = True
    """Warm up by working; else the temperature stays at `initial_c`."""
    ambient_c: float = AMBIENT_C
    initial_c: Optional[float] = None
    """Temperature at start; by default the ambient one."""
    sensor: bool = True
    """Has a temperature sensor."""
    plant: Dict[str, float] = field(default_factory=dict)
    """Figures of its heat that differ from the usual ones: fields of `ncs_cluster.thermal.Plant`."""
    noise_c: float = 0.0
    """Sigma of the sensor's noise; real ones about 0.4."""
    step_c: float = 0.0
    """Resolution of the sensor, kelvin; real ones 0.5 to 1.1. 0: exact."""
    seed: int = 0
    faults: List[str] = field(default_factory=list)
    """What goes wrong when: KIND@AFTER_S[:FOR_S], see docs/backends.md."""

    def __post_init__(self) -> None:
        for name in ("latency_ms", "jitter_ms", "noise_c", "step_c"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more")
        different(self.plant)
        if not 1 <= self.depth <= 64:
            raise ValueError("depth must be 1 to 64")
        for text in self.faults:
            try:
                _faults.parse(text)
            except ValueError as error:
                raise ValueError(f"faults: {error}") from error


class _Request:
    """One inference on the stick. `answer`: the result of the inference on this CPU, where graphs are run."""

    def __init__(self, tag: int, submitted_s: float) -> None:
        self.tag, self.submitted_s = tag, submitted_s
        self.begin_s = self.end_s = 0.0
        self.answer: Optional[Inference] = None


class Simulated:
    """See base.Backend."""

    def __init__(self, time_scale: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.wake_fd: Optional[int] = None
        self.due_s: Optional[float] = None
        self.needs_frames = False
        self._time_scale, self._clock = time_scale, clock
        self._queue: Deque[_Request] = deque()
        self._answered_s = self._free_s = 0.0
        self._graphs: Optional[CompiledModels] = None
        self._scratch: Optional[NDArray[np.uint8]] = None

    def open(self, stick: StickSpec, graphs: List[GraphSpec], phase: Callable[[str], None]) -> DeviceInfo:
        phase("opening")
        try:
            self._options = options = Options(**stick.options)
        except (TypeError, ValueError) as error:
            raise StickError("open", f"simulated stick {stick.id}: {error}") from error
        self._random = random.Random(options.seed ^ zlib.crc32(stick.id.encode()))
        self._plant = different(options.plant)
        start_c = options.ambient_c if options.initial_c is None else options.initial_c
        self._heat, self._level = Heat(start_c, start_c), 0
        if options.infer and graphs:
            phase("compiling")
            self._load(graphs)
        elif options.preprocess:
            import numpy

            self._scratch = numpy.empty((300, 300, 3), numpy.uint8)
        self.needs_frames = options.preprocess or self._graphs is not None
        now_s = self._clock()
        self._faults = _faults.FaultScript([_faults.parse(text) for text in options.faults], now_s)
        self._heated_s, self._busy_s = now_s, 0.0
        self._reading = Reading(start_c)
        self._plan()
        ports = tuple(self._graphs.ports) if self._graphs is not None else ()
        return DeviceInfo("simulated stick", options.sensor, options.depth, ports=ports)

    def submit(self, tag: int, graph: int, image: Optional[NDArray[np.uint8]]) -> None:
        now_s = self._clock()
        if self._graphs is not None and image is not None:
            self._graphs.submit(tag, graph, image)
        elif self._scratch is not None and image is not None:
            import cv2

            cv2.resize(image, (self._scratch.shape[1], self._scratch.shape[0]), dst=self._scratch)
        self._queue.append(_Request(tag, now_s))
        if len(self._queue) == 1:
            self._begin(self._queue[0])
        self._plan()

    def collect(self) -> List[Completed]:
        now_s = self._clock()
        self._faults.play(now_s)
        if self._graphs is not None:
            answers = {inference.tag: inference for inference in self._graphs.collect()}
            for request in self._queue:
                request.answer = answers.get(request.tag, request.answer)
        done: List[Completed] = []
        while self._queue and self._ends_s(self._queue[0]) <= now_s:
            done.append(self._complete(self._queue.popleft()))
            if self._queue:
                self._begin(self._queue[0])
        self._plan()
        return done

    def read_sensor(self) -> Reading:
        now_s = self._clock()
        self._faults.play(now_s)
        self._warm(now_s)
        if not self._options.sensor or self._faults.on("nosensor", now_s):
            return Reading(None, self._level)
        if self._faults.on("lie", now_s):
            return Reading(-89.7, self._level)
        if self._faults.on("nan", now_s):
            return Reading(math.nan, self._level)
        if not self._faults.on("freeze", now_s):
            error_c = self._random.gauss(0.0, self._options.noise_c)
            self._reading = Reading(sensor_reading(self._heat.die_c, error_c, self._options.step_c), self._level)
        return self._reading

    def inject_fault(self, kind: str, for_s: float) -> None:
        """See base.FaultInjection."""
        now_s = self._clock()
        self._warm(now_s)
        self._faults.begin(kind, now_s + for_s)

    def close(self) -> None:
        if self._graphs is not None:
            self._graphs.close()

    def _load(self, graphs: List[GraphSpec]) -> None:
        from ncs_cluster.backends._compiled_models import CompiledModels

        # one thread each: many simulated sticks share this CPU
        properties = {"ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
        self._graphs = CompiledModels("CPU", threads=1, depth=self._options.depth, properties=properties)
        self._graphs.load(graphs)
        self._graphs.warm_up()
        self.wake_fd = self._graphs.wake_fd

    def _begin(self, request: _Request) -> None:
        options = self._options
        request.begin_s = max(request.submitted_s, self._free_s)
        latency_ms = options.latency_ms + self._random.uniform(-options.jitter_ms, options.jitter_ms)
        slowed = SLOWED if self._faults.on("slow", request.begin_s) else 1.0
        request.end_s = request.begin_s + max(0.0, latency_ms) * slowed / 1000

    def _ends_s(self, request: _Request) -> float:
        """When an inference ends: after its latency, or when the one on this CPU ends, where that is later; infinite until then."""
        if self._graphs is None:
            return request.end_s
        return math.inf if request.answer is None else max(request.end_s, request.answer.ended_s)

    def _complete(self, request: _Request) -> Completed:
        end_s = self._ends_s(request)
        self._busy_s += self._busy_since_heated(request.begin_s, end_s)
        # a throttled stick pauses after an inference: the next one waits for it
        latency_s = end_s - max(request.submitted_s, self._answered_s)
        self._answered_s = end_s
        self._free_s = end_s + REST_S[self._level]
        if request.answer is None:
            return Completed(request.tag, None, latency_s)
        return Completed(request.tag, request.answer.outputs, latency_s, request.answer.transform)

    def _plan(self) -> None:
        """Set `due_s`: the end of the present inference, or the next fault of the script."""
        due_s = min(self._ends_s(self._queue[0]) if self._queue else math.inf, self._faults.next_s)
        self.due_s = None if due_s == math.inf else due_s

    def _busy_since_heated(self, begin_s: float, end_s: float) -> float:
        return max(0.0, end_s - max(begin_s, self._heated_s))

    def _warm(self, now_s: float) -> None:
        """Advance the heat model to now, with the share of time at work since the last call."""
        dt_s = now_s - self._heated_s
        if dt_s <= 0 or not self._options.heat:
            return
        busy_s = self._busy_s
        if self._queue:
            busy_s += self._busy_since_heated(self._queue[0].begin_s, min(now_s, self._ends_s(self._queue[0])))
        ambient_c = self._options.ambient_c + (HEAT_WAVE_K if self._faults.on("heat", now_s) else 0.0)
        self._heat = self._plant.step(self._heat, dt_s * self._time_scale, min(1.0, busy_s / dt_s), ambient_c)
        self._level = throttle_level(self._level, self._heat.die_c)
        self._heated_s, self._busy_s = now_s, 0.0
