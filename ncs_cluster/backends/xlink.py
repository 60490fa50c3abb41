"""An Intel NCS2 without the vendor's software: booted over libusb, driven by the XLink protocol, with graphs compiled for it.

`xlink.session` is the protocol, without I/O; this file connects it to a USB stick, a clock and frames. One thread: `wake_fd` is
readable for USB events, `due_s` is the next time-out. After a time-out or a protocol error the link is dropped, so a late answer is
never matched to another request; `reopen` resets the stick and loads the graphs again. Runs on CPython 3.9.
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Callable, Deque, Dict, List, NamedTuple, NoReturn, Optional

from ncs_cluster.backends import _hub_power
from ncs_cluster.backends._known_picture import KnownAnswer, draw
from ncs_cluster.backends._libusb import Context
from ncs_cluster.backends._preprocess import preprocess
from ncs_cluster.backends._service_time import begun_s
from ncs_cluster.backends._stick_needs import blob, libusb_context, one_thread_for_opencv, patched_firmware
from ncs_cluster.backends._tensors import Tensors
from ncs_cluster.backends._usb_pipe import SMALLEST_CHUNK, Pipe
from ncs_cluster.backends._usb_stick import UsbStick
from ncs_cluster.backends.base import Completed, DeviceInfo, Reading
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import ResizeTransform
from ncs_cluster.xlink import session
from ncs_cluster.xlink.events import Lost, Ready, Result, Thermal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STALE_S = 5.0
"""Seconds after which a temperature is unknown; a new one is requested each second."""
SHORTEST_THERMAL_S = 0.05
"""Least time between two temperatures."""
LOOK_S = 0.05
"""Seconds between checks of `due_s` while bytes arrive: time-outs are a second away, and a result takes a dozen transfers."""
MOST_WAITING = 10_000
"""Unwritten pieces; graphs and tensors are some hundreds. More are replies to a stick that sends requests and reads nothing."""
MOST_EXECUTORS = 3
LONGEST_STEP_S = 50.0
"""Seconds of one step of a boot: the supervisor grants a worker 60 s for each."""
KNOWN = -1
"""The first tag of inferences of the known picture; others are below it."""


@dataclass(frozen=True)
class Options:
    """How a stick is driven."""

    __pydantic_config__ = {"extra": "forbid"}

    firmware: str = ""
    """The vendor's firmware file, usb-ma2x8x.mvcmd; `ncsctl firmware install` gets it."""
    executors: int = 0
    """Inferences the stick runs side by side, of each graph; 0: as many as the graph was compiled for. It holds twice as many."""
    infer_timeout_s: float = 20.0
    """A busy stick without a result for this long hangs; once its usual time is known, four of these, at least 1 s."""
    check_s: float = 300.0
    """Seconds of work after which the known picture is inferred again; 0: its answers are not checked."""
    warm_up: int = 0
    """Inferences of each graph at the opening; 0: as many as it holds, so that its usual times are known from the start."""
    boot_timeout_s: float = 10.0
    """Seconds from the firmware to the stick's return to the bus."""
    watchdog_s: float = 20.0
    """Seconds for an unresponsive stick to be reset by its own watchdog."""
    settle_s: float = 1.0
    """Seconds after its first answer, as with the vendor; whether real sticks need the pause is not known."""
    booted_port: Optional[str] = None
    """The stick's port after its boot, where known ("2-1.2")."""
    chunk_kib: int = 512
    """KiB of a USB transfer at once: the kernel has 16 MB for all sticks together."""
    libusb: str = "libusb-1.0.so.0"
    """The library's name or path."""
    power_cycle: bool = False
    """Switch the port of a stick that answers nothing off and on, where its hub switches single ports."""

    def __post_init__(self) -> None:
        if not 0 <= self.executors <= MOST_EXECUTORS:
            raise ValueError(f"executors must be 0 to {MOST_EXECUTORS}")
        if not 0 < self.infer_timeout_s <= 600:
            raise ValueError("infer_timeout_s must be over 0, at most 600")
        if not 0 <= self.warm_up <= 100:
            raise ValueError("warm_up must be 0 to 100")
        if not 0 <= self.check_s <= 86400:
            raise ValueError("check_s must be 0 to 86400")
        for name in ("boot_timeout_s", "watchdog_s"):
            if not 0 < getattr(self, name) <= LONGEST_STEP_S:
                raise ValueError(f"{name} must be over 0, at most {LONGEST_STEP_S:g}: a step of a boot has 60 s")
        if not 0 <= self.settle_s <= 60:
            raise ValueError("settle_s must be 0 to 60")
        if not SMALLEST_CHUNK <= self.chunk_kib * 1024 <= 16 << 20:
            raise ValueError(f"chunk_kib must be {SMALLEST_CHUNK // 1024} to {16 << 10}")


class _InFlight(NamedTuple):
    """An inference in flight, and its buffer, which must not change."""

    buffer: NDArray[np.uint8]
    transform: ResizeTransform
    submitted_s: float


class Xlink:
    """See base.Backend."""

    needs_frames = True

    def __init__(self, time_scale: float = 1.0) -> None:
        """`time_scale`: of an emulated stick that is calibrated; its temperature is asked for so much more often."""
        self._thermal_period_s = max(SHORTEST_THERMAL_S, 1.0 / time_scale)
        self.due_s: Optional[float] = None
        self._context: Optional[Context] = None
        self._pipe: Optional[Pipe] = None
        self._session = session.Session([])
        self._done: List[Completed] = []
        self._check_s = float("inf")
        """When the known picture is due; time.monotonic()."""
        self._forget()

    @property
    def wake_fd(self) -> Optional[int]:
        return None if self._context is None else self._context.wake_fd

    def open(self, stick: StickSpec, graphs: List[GraphSpec], phase: Callable[[str], None]) -> DeviceInfo:
        phase("opening")
        try:
            self._options = options = Options(**stick.options)
        except (TypeError, ValueError) as error:
            raise StickError("open", f"xlink stick {stick.id}: {error}") from error
        one_thread_for_opencv()
        self._graphs = [Tensors(spec, blob(spec)) for spec in graphs]
        self._known = [KnownAnswer() for _ in graphs]
        self._firmware = patched_firmware(options.firmware)
        self._name = f"stick {stick.id}"
        self._context = libusb_context(options.libusb)
        self._place = f"{stick.port} ({stick.name})" if stick.name else stick.port
        self._stick = self._usb_stick(stick.port, options.booted_port)
        return self._begin(phase)

    def reopen(self, phase: Callable[[str], None]) -> DeviceInfo:
        """After StickError("hang" or "link"): drop the link, reset the stick into its ROM, boot it and load the graphs."""
        phase("opening")
        assert self._context is not None
        if self._pipe is not None:
            self._pipe.close()
        if self._context.stuck:
            self._context = libusb_context(self._options.libusb)
            self._stick = self._usb_stick(self._stick.port, self._stick.booted_port)
        self._pipe = None
        self._forget()
        return self._begin(phase)

    def doubt(self, detail: str) -> str:
        """See base.Doubting."""
        return self._session.doubt(detail)

    def _usb_stick(self, port: str, booted_port: Optional[str]) -> UsbStick:
        assert self._context is not None
        options, chunk = self._options, self._options.chunk_kib << 10
        switch = partial(_hub_power.cycle, options.libusb) if options.power_cycle else None
        return UsbStick(self._context, self._name, port, booted_port, chunk, place=self._place, switch=switch)

    def submit(self, tag: int, graph: int, image: Optional[NDArray[np.uint8]]) -> None:
        assert image is not None
        if self._options.check_s and time.monotonic() >= self._check_s:
            self._check_s = time.monotonic() + self._options.check_s
            for number in range(len(self._graphs)):
                self._infer_known(number, 1)
        tensors = self._graphs[graph]
        buffer = self._spare[graph].pop() if self._spare[graph] else tensors.blank()
        transform = preprocess(image, tensors.spec, tensors.width, tensors.height, tensors.picture(buffer), tensors.layout)
        self._start(tag, graph, _InFlight(buffer, transform, time.monotonic()))

    def collect(self) -> List[Completed]:
        self._turn()
        done: List[Completed] = self._done
        self._done = []
        return done

    def read_sensor(self) -> Reading:
        """The newest temperature, with its age."""
        if self._thermal is None:
            return Reading(None)
        age_s = time.monotonic() - self._thermal_s
        return Reading(self._thermal.temperature_c if age_s < STALE_S else None, self._thermal.level, age_s)

    def close(self) -> None:
        """Close the session: the stick returns to its ROM. Takes at most some seconds, no time for an unplugged stick."""
        try:
            if self._pipe is not None:
                self._session.close(time.monotonic())
                self._carry()
                while not self._session.ended:
                    self._wait()
                    self._carry()
        finally:
            if self._pipe is not None:
                self._pipe.close()
            if self._context is not None:
                self._context.close()
            self._context = self._pipe = None

    def _forget(self) -> None:
        """Drop all state of the last link."""
        self._in_flight: Dict[int, _InFlight] = {}
        self._spare: Dict[int, List[NDArray[np.uint8]]] = {}
        self._done = []
        self._answers_s: Deque[float] = deque(maxlen=MOST_EXECUTORS)
        self._thermal_s = 0.0
        self._thermal: Optional[Thermal] = None
        self._ready: Optional[Ready] = None
        self.due_s, self._look_s = None, 0.0
        self._known_tag, self._unchecked = KNOWN + 1, 0

    def _begin(self, phase: Callable[[str], None]) -> DeviceInfo:
        """Boot the stick, load its graphs, and warm each of them up."""
        options = self._options
        self._pipe = self._stick.boot(
            self._firmware, session.GOODBYE, options.boot_timeout_s, options.watchdog_s, lambda: phase("opening")
        )
        asked = session.Options(
            executors=options.executors or None,
            settle_s=options.settle_s,
            infer_timeout_s=options.infer_timeout_s,
            thermal_s=self._thermal_period_s,
        )
        self._session = session.Session([tensors.blob for tensors in self._graphs], asked)
        self._session.start(time.monotonic())
        phase("compiling")
        while self._ready is None:
            self._turn()
            self._wait()
        for graph in range(len(self._graphs)):
            self._spare[graph] = []
            # the session learns how long its results take one behind another
            self._infer_known(graph, options.warm_up or self._ready.depths[graph])
            while self._in_flight:
                self._wait()
                self._turn()
        self._check_s, self._unchecked = time.monotonic() + options.check_s, 0
        version = self._ready.capabilities.firmware
        return DeviceInfo(
            "Intel NCS2 (Myriad X)",
            has_sensor=True,
            max_in_flight=max(self._ready.depths, default=1),
            firmware=version,
            answers=tuple(tuple(known.fingerprint()) for known in self._known) if options.check_s else (),
            ports=tuple(tensors.ports() for tensors in self._graphs),
        )

    def _infer_known(self, graph: int, times: int) -> None:
        """Infer the known picture, or a black one where it is not checked; its answers come before those of later frames."""
        tensors = self._graphs[graph]
        buffer = tensors.blank()
        if self._options.check_s:
            draw(tensors.picture(buffer))
        for _ in range(times):
            self._known_tag -= 1
            self._start(self._known_tag, graph, _InFlight(buffer, ResizeTransform(), time.monotonic()))

    def _start(self, tag: int, graph: int, request: _InFlight) -> None:
        self._in_flight[tag] = request
        self._session.submit(tag, graph, request.buffer.data, request.submitted_s)
        self._turn()

    def _turn(self) -> None:
        """Move bytes, then process the session's events. Raises StickError at the end of the link."""
        self._carry()
        for event in self._session.events():
            if isinstance(event, Result):
                self._completed(event)
            elif isinstance(event, Thermal):
                self._thermal, self._thermal_s = event, time.monotonic()
            elif isinstance(event, Ready):
                self._ready = event
            elif isinstance(event, Lost):
                self._lost(event)

    def _carry(self) -> None:
        """Move bytes both ways as far as possible without waiting, then check time-outs. Returns after LOOK_S even while bytes keep
        arriving, so a stick that never stops sending delays neither its worker nor a time-out."""
        talk, pipe = self._session, self._pipe
        assert pipe is not None
        until_s = time.monotonic() + LOOK_S
        try:
            while not talk.ended:
                for data in talk.out():
                    pipe.send(data)
                if pipe.waiting > MOST_WAITING:
                    raise StickError("hang", f"{self._name}: it sends requests without end and reads no reply")
                if not pipe.asked:
                    pipe.ask(talk.wanted)
                arrived = pipe.step()
                now_s = time.monotonic()
                if arrived is not None:
                    talk.received(arrived, now_s)
                    if now_s < until_s:
                        continue
                    talk.tick(now_s)
                    self.due_s = now_s
                    return
                if now_s < self._look_s:
                    self.due_s = self._look_s
                    return
                self.due_s = talk.due_s
                if self.due_s is None or now_s < self.due_s:
                    self._look_s = now_s + LOOK_S if self.due_s is None else min(now_s + LOOK_S, self.due_s)
                    return
                talk.tick(now_s)
        except StickError as error:
            talk.fail(error.reason, error.detail)

    def _wait(self) -> None:
        assert self._context is not None
        self._context.wait(1.0 if self.due_s is None else min(1.0, self.due_s - time.monotonic()))

    def _completed(self, result: Result) -> None:
        request = self._in_flight.pop(result.tag)
        outputs = self._graphs[result.graph].outputs(result.data)
        if result.tag > KNOWN:
            self._spare[result.graph].append(request.buffer)
            self._unchecked += 1
        elif self._options.check_s:
            self._judge_known(result.graph, outputs)
        now_s = time.monotonic()
        executors = self._ready.depths[result.graph] // 2 if self._ready is not None else 1
        latency_s = now_s - begun_s(request.submitted_s, self._answers_s, executors)
        self._answers_s.append(now_s)
        if result.tag > KNOWN:
            self._done.append(Completed(result.tag, outputs, latency_s, request.transform))

    def _judge_known(self, graph: int, outputs: Dict[str, NDArray[np.float32]]) -> None:
        """Raises StickError("wrong", ...)."""
        wrong = self._known[graph].judge(outputs)
        if wrong is None:
            self._unchecked = 0
            return
        detail = f"{self._name}: graph {self._graphs[graph].spec.name}: a known picture gives {wrong}"
        doubt = f"; {self._unchecked} results since its last right answer may be wrong" if self._unchecked else ""
        raise StickError("wrong", detail + doubt)

    def _lost(self, lost: Lost) -> NoReturn:
        # protocol errors and refusals, as time-outs, lead to a reset in place; a graph's file was verified, so a status of the
        # stick against it may pass
        reason = {"protocol": "link", "infer": "link", "graph": "open"}.get(lost.reason, lost.reason)
        detail = lost.detail if lost.detail.startswith(self._name) else f"{self._name}: {lost.detail}"
        for number, tensors in enumerate(self._graphs):
            detail = re.sub(rf"\bgraph {number}\b", f"graph {tensors.spec.name}", detail)
        raise StickError(reason, detail)
