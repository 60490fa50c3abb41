"""An NCS2 driven by the vendor's MYRIAD plugin, in an interpreter that has it: OpenVINO 2021.4.2 (Python 3.6 to 3.9), or 2022.3.1.

The plugin takes one lock per machine (`_mvnc_lock`). It needs 10 s to close an unplugged stick and holds the lock meanwhile, so
after an error the process exits without closing. The plugin never reports a hung stick, so requests have a time-out here. Runs on
CPython 3.9.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, NamedTuple, Optional, Tuple

from ncs_cluster.backends import _mvnc_lock
from ncs_cluster.backends._model import graph_label, short_reason
from ncs_cluster.backends._preprocess import preprocess
from ncs_cluster.backends._thermometer import Thermometer
from ncs_cluster.backends.base import Completed, DeviceInfo, Reading
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import ResizeTransform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOOK_S = LOOK_AGAIN_S = 0.25
"""Seconds between searches for an absent stick, and between checks of requests in flight for unreported failures."""


@dataclass(frozen=True)
class Options:
    """How the vendor's plugin is used."""

    __pydantic_config__ = {"extra": "forbid"}

    depth: int = 4
    """Inferences in flight; the plugin's own choice is 4."""
    infer_timeout_s: float = 12.0
    """A stick without an answer for this long hangs. A throttled stick may pause for 10 s."""
    wait_s: float = 30.0
    """Seconds for a stick that was left booted to return to its ROM, by its own watchdog."""
    connect_timeout_s: float = 15.0
    """Seconds the plugin waits for a stick it has booted."""

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 16:
            raise ValueError("depth must be 1 to 16")
        for name in ("infer_timeout_s", "connect_timeout_s"):
            if not 1 <= getattr(self, name) <= 600:
                raise ValueError(f"{name} must be 1 to 600")
        if not 0 <= self.wait_s <= 600:
            raise ValueError("wait_s must be 0 to 600")


class _Unlucky(StickError):
    """The stick did not boot; the graph is not the cause."""


class _InFlight(NamedTuple):
    """An inference in flight."""

    tag: int
    submitted_s: float
    transform: ResizeTransform


class Myriad:
    """See base.Backend."""

    needs_frames = True

    def __init__(self, time_scale: float = 1.0) -> None:
        """Real sticks know no time scale."""
        self.wake_fd: Optional[int] = None
        self.due_s: Optional[float] = None
        self._plugin: Any = None
        self._nets: List[Any] = []
        self._specs: List[GraphSpec] = []
        self._in_flight: Dict[Tuple[int, int], _InFlight] = {}
        self._ended: Deque[Tuple[int, int, Optional[str], float]] = deque()
        self._answered_s = 0.0
        self._thermometer: Optional[Thermometer] = None

    def open(self, stick: StickSpec, graphs: List[GraphSpec], phase: Callable[[str], None]) -> DeviceInfo:
        phase("opening")
        try:
            self._options = options = Options(**stick.options)
        except (TypeError, ValueError) as error:
            raise StickError("open", f"myriad stick {stick.id}: {error}") from error
        if not graphs:
            raise StickError("open", "the vendor's plugin boots a stick only to load a graph: give --graph")
        _mvnc_lock.prepare()
        self._plugin = _plugin()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self.wake_fd = self._wake_read
        self._specs, wanted = graphs, _name(stick.port)
        device = self._wait_for(wanted)
        phase("compiling")
        try:
            self._load(device)
        except _Unlucky:
            # another stick that came or left meanwhile made the plugin open the wrong one; it has released both
            self._nets = []
            self._load(self._wait_for(wanted))
        self._warm_up()
        self._thermometer = Thermometer(self._nets[0].temperature_c)
        self._measure()
        return DeviceInfo(f"NCS2 by OpenVINO {self._plugin.version}", has_sensor=True, max_in_flight=options.depth)

    def submit(self, tag: int, graph: int, image: Optional[NDArray[np.uint8]]) -> None:
        assert image is not None
        net = self._nets[graph]
        lane = next((lane for lane in range(self._options.depth) if (graph, lane) not in self._in_flight), None)
        if lane is None:
            raise StickError("protocol", f"more than {self._options.depth} inferences at once")
        transform = preprocess(image, self._specs[graph], net.width, net.height, net.input(lane), net.layout)
        self._start(tag, graph, lane, transform)

    def collect(self) -> List[Completed]:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
        done = []
        while self._ended:
            graph, lane, error, ended_s = self._ended.popleft()
            request = self._in_flight.pop((graph, lane))
            if error is not None:
                raise StickError("gone", f"the stick is gone: inference failed ({error})")
            # the stick executes one request at a time: an early submission waits for the answer before it
            began_s = max(request.submitted_s, self._answered_s)
            done.append(Completed(request.tag, self._nets[graph].outputs(lane), max(0.0, ended_s - began_s), request.transform))
            self._answered_s = ended_s
        self._watch()
        return done

    def read_sensor(self) -> Reading:
        """The temperature; while another process holds the plugin's lock the last one, with its age. The plugin hides the throttle
        level."""
        return self._measure()

    def close(self) -> None:
        """Release the stick, which then returns to its ROM. Only while it answers: closing any other takes the plugin 10 s."""
        if self._thermometer is not None:
            self._thermometer.end()
        self._thermometer = None
        self._nets = []
        self._plugin = None

    def _load(self, device: str) -> None:
        config = {"MYRIAD_DEVICE_CONNECT_TIMEOUT": str(int(self._options.connect_timeout_s))}
        for index, spec in enumerate(self._specs):
            try:
                self._nets.append(self._plugin.load(spec, device, config, self._options.depth, self._ending(index)))
            except StickError as error:
                raise StickError(error.reason, f"{graph_label(spec)}: {error.detail}") from error
            except RuntimeError as error:
                if any(sign in str(error) for sign in ("NC_ERROR", "Can not init Myriad device", "not found")):
                    raise _Unlucky("open", f"the stick does not come up: {short_reason(error)}") from error
                raise StickError("graph", f"{graph_label(spec)}: the plugin does not take it: {short_reason(error)}") from error

    def _measure(self) -> Reading:
        assert self._thermometer is not None
        try:
            newest = self._thermometer.newest()
        except RuntimeError as error:
            raise StickError("gone", f"the stick no longer gives a temperature: {short_reason(error)}") from error
        if newest is None:
            return Reading(None)
        temperature_c, when_s = newest
        return Reading(temperature_c, age_s=time.monotonic() - when_s)

    def _ending(self, graph: int) -> Callable[[int, Optional[str]], None]:
        def ended(lane: int, error: Optional[str]) -> None:
            self._ended.append((graph, lane, error, time.monotonic()))
            try:
                os.write(self._wake_write, b"!")
            except BlockingIOError:
                pass

        return ended

    def _wait_for(self, wanted: Optional[str]) -> str:
        """OpenVINO's name of the stick, once it is in its ROM; a stick that another process left booted returns there first."""
        until_s = time.monotonic() + self._options.wait_s
        while True:
            there = self._plugin.sticks()
            if wanted in there or (wanted is None and there):
                return "MYRIAD" if wanted is None else f"MYRIAD.{wanted}"
            if time.monotonic() >= until_s:
                seen = ", ".join(there) or "none"
                raise StickError("open", f"the plugin sees no stick {wanted or ''} that waits for its boot (it sees {seen})")
            time.sleep(LOOK_S)

    def _warm_up(self) -> None:
        """One real inference per graph, on a black picture."""
        for graph, spec in enumerate(self._specs):
            self._nets[graph].input(0)[:] = 0
            self._start(-1, graph, 0, ResizeTransform())
            until_s = time.monotonic() + self._options.infer_timeout_s
            while not self._ended:
                select.select([self._wake_read], [], [], LOOK_AGAIN_S)
                self._watch()
                if time.monotonic() >= until_s:
                    raise StickError("hang", f"{graph_label(spec)}: the first inference does not end")
            self.collect()
        self._answered_s = time.monotonic()

    def _start(self, tag: int, graph: int, lane: int, transform: ResizeTransform) -> None:
        self._in_flight[graph, lane] = _InFlight(tag, time.monotonic(), transform)
        try:
            self._nets[graph].start(lane)
        except RuntimeError as error:
            raise StickError("gone", f"the stick accepts no more requests: {short_reason(error)}") from error
        self._watch()

    def _watch(self) -> None:
        """Set `due_s`. Raises StickError for a request that failed without a callback, and for a stick that hangs."""
        if not self._in_flight:
            self.due_s = None
            return
        now_s = time.monotonic()
        if self.due_s is None:
            self.due_s = now_s + LOOK_AGAIN_S
        if now_s < self.due_s:
            return
        reported = {(graph, lane) for graph, lane, _, _ in self._ended}
        for (graph, lane), request in self._in_flight.items():
            error = None if (graph, lane) in reported else self._nets[graph].failed(lane)
            if error is not None:
                raise StickError("gone", f"the stick is gone: inference failed ({error})")
            late_s = now_s - max(request.submitted_s, self._answered_s)
            if late_s >= self._options.infer_timeout_s:
                raise StickError("hang", f"no answer in {late_s:.0f} s: the stick hangs")
        self.due_s = now_s + LOOK_AGAIN_S


def _plugin() -> Any:
    """The newer API where it is installed. Raises StickError, one line, where neither API is."""
    try:
        from ncs_cluster.backends._myriad_api2 import Plugin as Newer

        return Newer()
    except ImportError:
        pass
    try:
        from ncs_cluster.backends._myriad_api1 import Plugin

        return Plugin()
    except ImportError as error:
        detail = (
            f"{sys.executable} has no OpenVINO that drives sticks ({error}): install openvino==2021.4.2 under Python 3.6 to 3.9"
        )
        raise StickError("open", detail) from error


def _name(port: str) -> Optional[str]:
    """ "usb 1-1.2", as the kernel calls it -> "1.1.2-ma2480", as the plugin does; None where the port has no such name."""
    found = re.search(r"(\d+)-(\d+(?:\.\d+)*)$", port)
    return None if found is None else f"{found[1]}.{found[2]}-ma2480"
