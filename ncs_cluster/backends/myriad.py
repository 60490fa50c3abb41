"""An NCS2 by the vendor's own MYRIAD plugin, in an interpreter that has it: OpenVINO 2021.4.2 (Python 3.6 to 3.9), or 2022.3.1.

The plugin must be handled with care. It waits for one lock of the whole machine (`_mvnc_lock`). Closing a stick that is gone takes
it 10 s with that lock held, so after an error nothing is closed, the process just ends. A stick that hangs is never reported, so
answers are timed here. Runs on CPython 3.9.
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
from ncs_cluster.backends._model import gist, place
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
"""How often a stick that is away is looked for; how often requests in flight are asked whether they have failed silently."""


@dataclass(frozen=True)
class Options:
    """How the vendor's plugin is used."""

    __pydantic_config__ = {"extra": "forbid"}

    depth: int = 4
    """Inferences in flight; the plugin's own choice is 4."""
    infer_timeout_s: float = 12.0
    """Without an answer for this long the stick hangs. One that throttles may pause for 10 s."""
    wait_s: float = 30.0
    """How long a stick that was left booted may take to come back: its own watchdog does that."""
    connect_timeout_s: float = 15.0
    """How long the plugin waits for a stick it has booted."""

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 16:
            raise ValueError("depth must be 1 to 16")
        for name in ("infer_timeout_s", "connect_timeout_s"):
            if not 1 <= getattr(self, name) <= 600:
                raise ValueError(f"{name} must be 1 to 600")
        if not 0 <= self.wait_s <= 600:
            raise ValueError("wait_s must be 0 to 600")


class _Unlucky(StickError):
    """The stick did not come up, and it is not the graph's fault."""


class _InFlight(NamedTuple):
    """An inference under way."""

    tag: int
    submitted_s: float
    transform: ResizeTransform


class Myriad:
    """See base.Backend."""

    wants_pixels = True

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
            # another stick that came or went meanwhile makes the plugin take the wrong one; it has let go of both
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
            # one at a time: what was submitted early has waited for the one before it
            began_s = max(request.submitted_s, self._answered_s)
            done.append(Completed(request.tag, self._nets[graph].outputs(lane), max(0.0, ended_s - began_s), request.transform))
            self._answered_s = ended_s
        self._watch()
        return done

    def read_sensor(self) -> Reading:
        """The temperature, or the last one with its age while another process holds the plugin's lock. The level is hidden."""
        return self._measure()

    def trouble(self, kind: str, for_s: float) -> None:
        raise StickError("protocol", f'trouble "{kind}" is for simulated sticks only')

    def close(self) -> None:
        """Let go of the stick, which then leaves for its boot. Only one that answers: any other takes the plugin 10 s."""
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
                raise StickError(error.reason, f"{place(spec)}: {error.detail}") from error
            except RuntimeError as error:
                if any(sign in str(error) for sign in ("NC_ERROR", "Can not init Myriad device", "not found")):
                    raise _Unlucky("open", f"the stick does not come up: {gist(error)}") from error
                raise StickError("graph", f"{place(spec)}: the plugin does not take it: {gist(error)}") from error

    def _measure(self) -> Reading:
        assert self._thermometer is not None
        try:
            newest = self._thermometer.newest()
        except RuntimeError as error:
            raise StickError("gone", f"the stick tells no temperature any more: {gist(error)}") from error
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
        """OpenVINO's name of the stick, once it waits for its boot: one that another process left booted must come back first."""
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
        """One real inference per graph, on black."""
        for graph, spec in enumerate(self._specs):
            self._nets[graph].input(0)[:] = 0
            self._start(-1, graph, 0, ResizeTransform())
            until_s = time.monotonic() + self._options.infer_timeout_s
            while not self._ended:
                select.select([self._wake_read], [], [], LOOK_AGAIN_S)
                self._watch()
                if time.monotonic() >= until_s:
                    raise StickError("hang", f"{place(spec)}: the first inference does not end")
            self.collect()
        self._answered_s = time.monotonic()

    def _start(self, tag: int, graph: int, lane: int, transform: ResizeTransform) -> None:
        self._in_flight[graph, lane] = _InFlight(tag, time.monotonic(), transform)
        try:
            self._nets[graph].start(lane)
        except RuntimeError as error:
            raise StickError("gone", f"the stick takes no more work: {gist(error)}") from error
        self._watch()

    def _watch(self) -> None:
        """Say when to look again. Raises StickError for a request that has failed without a word, and for a stick that hangs."""
        if not self._in_flight:
            self.due_s = None
            return
        now_s = time.monotonic()
        if self.due_s is None:
            self.due_s = now_s + LOOK_AGAIN_S
        if now_s < self.due_s:
            return
        told = {(graph, lane) for graph, lane, _, _ in self._ended}
        for (graph, lane), request in self._in_flight.items():
            error = None if (graph, lane) in told else self._nets[graph].failed(lane)
            if error is not None:
                raise StickError("gone", f"the stick is gone: inference failed ({error})")
            late_s = now_s - max(request.submitted_s, self._answered_s)
            if late_s >= self._options.infer_timeout_s:
                raise StickError("hang", f"no answer in {late_s:.0f} s: the stick hangs")
        self.due_s = now_s + LOOK_AGAIN_S


def _plugin() -> Any:
    """The newer API where it is installed. Raises StickError, one line, where neither is."""
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
    """ "usb 1-1.2", as the kernel calls it -> "1.1.2-ma2480", as the plugin does; None where the port tells no place."""
    found = re.search(r"(\d+)-(\d+(?:\.\d+)*)$", port)
    return None if found is None else f"{found[1]}.{found[2]}-ma2480"
