"""The worker: one process that owns one stick. It opens it, hands it frames, decodes the answers, reports its temperature.

It waits in one place for everything: its channel, the backend's wake_fd, the backend's due time, the next reading. A stick that
hangs is opened again in place where its backend can do that; any other failure ends the process after one last word, and starting
it again is the core's business. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING, Any, Deque, Dict, List, NamedTuple, NoReturn, Optional

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import Backend, Completed, DeviceInfo
from ncs_cluster.decoders import DECODERS
from ncs_cluster.errors import NcsClusterError, StickError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import (
    Failed,
    Infer,
    Inferred,
    InjectFault,
    MapPool,
    OpenStick,
    Phase,
    Reopen,
    ResetStick,
    StickLost,
    StickOpened,
    Stop,
    Telemetry,
    ToWorker,
    UnmapPool,
)
from ncs_cluster.processes import child
from ncs_cluster.types import Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ncs_cluster.ipc.pool import FramePool

TELEMETRY_S, FASTEST_TELEMETRY_S = 1.0, 0.05


class _Unit(NamedTuple):
    """An accepted Infer. Holding the view keeps the pixels mapped even when the pool is unmapped meanwhile."""

    infer: Infer
    image: Optional[NDArray[np.uint8]]


class Worker:
    """One open stick at work."""

    def __init__(self, channel: Channel[Any], asked: OpenStick, backend: Backend, device: DeviceInfo) -> None:
        self._channel, self._backend, self._max_in_flight = channel, backend, device.max_in_flight
        self._graphs = asked.graphs
        self._decoders = [_load(DECODERS, graph.decoder, "decoder") for graph in asked.graphs] if backend.wants_pixels else []
        self._period_s = min(TELEMETRY_S, max(FASTEST_TELEMETRY_S, TELEMETRY_S / asked.time_scale))
        self._telemetry_s = time.monotonic()
        self._pools: Dict[int, FramePool] = {}
        self._waiting: Deque[_Unit] = deque()
        self._on_stick: Dict[int, _Unit] = {}
        self._hangs: Optional[str] = None
        self._losses = 0
        self._turn_to_boot = False
        self._stopping = False

    def run(self) -> None:
        """Work until Stop, then finish what was accepted. EOFError: the supervisor is gone; StickError: the stick is."""
        while not self._stopping or self._waiting or self._on_stick:
            try:
                self._wait()
                for completed in self._backend.collect():
                    self._answer(completed)
                self._hear()
                if self._hangs is not None:
                    raise StickError("hang", self._hangs)
                self._feed()
                self._report()
            except StickError as error:
                self._mend(error)

    def _mend(self, error: StickError) -> None:
        """Open the stick again in place; what it had in hand is forgotten. Raises the error itself where that cannot be."""
        reopen = getattr(self._backend, "reopen", None)
        if reopen is None or error.reason not in ("hang", "link") or self._stopping:
            raise error
        self._turn_to_boot = False
        self._channel.send(StickLost(error.detail))
        self._losses += 1
        self._on_stick.clear()
        while not self._turn_to_boot:
            # sticks boot one after another: a hub that lost them all could not feed them all
            select.select([self._channel.fileno()], [], [])
            self._hear()
            if self._stopping:
                raise error
        device: DeviceInfo = reopen(lambda name: _tell(self._channel, Phase(name)))
        self._hear()
        # what it had not begun with when the stick was lost has gone to others
        self._waiting.clear()
        self._hangs = None
        self._max_in_flight, self._telemetry_s = device.max_in_flight, time.monotonic()
        self._channel.send(_opened(device, self._backend))

    def _wait(self) -> None:
        watched: List[int] = [self._channel.fileno()]
        if self._backend.wake_fd is not None:
            watched.append(self._backend.wake_fd)
        due_s = self._telemetry_s if self._backend.due_s is None else min(self._telemetry_s, self._backend.due_s)
        select.select(watched, [], [], max(0.0, due_s - time.monotonic()))

    def _hear(self) -> None:
        """Take everything the supervisor has said."""
        while select.select([self._channel.fileno()], [], [], 0)[0]:
            received = self._channel.receive()
            if received is None:
                return
            message = received.message
            if isinstance(message, Infer):
                self._accept(message)
            elif isinstance(message, MapPool):
                self._map(message, received.fds)
            elif isinstance(message, UnmapPool):
                pool = self._pools.pop(message.pool, None)
                if pool is not None:
                    pool.close()
            elif isinstance(message, ResetStick):
                self._hangs = message.detail
            elif isinstance(message, Reopen):
                self._turn_to_boot = True
            elif isinstance(message, InjectFault):
                self._backend.trouble(message.kind, message.for_s)
            elif isinstance(message, Stop):
                self._stopping = True
            else:
                raise StickError("protocol", f"{type(message).__name__} came to a stick that is open already")

    def _accept(self, infer: Infer) -> None:
        if infer.reset_epoch != self._losses:
            return  # sent before the loss was heard: its frame may be overwritten by now
        image = None
        if self._backend.wants_pixels:
            try:
                image = self._pools[infer.frame.pool].image(infer.frame)
            except (KeyError, ValueError):
                self._channel.send(Inferred(infer.ticket, Outcome(error="the frame's pool is gone"), 0.0))
                return
        self._waiting.append(_Unit(infer, image))

    def _map(self, message: MapPool, fds: List[int]) -> None:
        if not self._backend.wants_pixels:
            for fd in fds:
                os.close(fd)
            return
        from ncs_cluster.ipc.pool import FramePool

        self._pools[message.layout.pool] = FramePool(fds[0], message.layout, writable=False)

    def _feed(self) -> None:
        while self._waiting and len(self._on_stick) < self._max_in_flight:
            unit = self._waiting.popleft()
            self._on_stick[unit.infer.ticket] = unit
            self._backend.submit(unit.infer.ticket, unit.infer.graph, unit.image)

    def _answer(self, completed: Completed) -> None:
        unit = self._on_stick.pop(completed.tag)
        outcome = Outcome()
        if completed.outputs is not None:
            graph = unit.infer.graph
            outcome = self._decoders[graph](completed.outputs, self._graphs[graph], completed.transform)
        self._channel.send(Inferred(completed.tag, outcome, completed.latency_s))

    def _report(self) -> None:
        now_s = time.monotonic()
        if now_s < self._telemetry_s:
            return
        reading = self._backend.read_sensor()
        self._channel.send(Telemetry(reading.temperature_c, reading.throttle_level, max(0.0, reading.age_s)))
        # on the beat, not after it; beats that were missed are left out
        beats = (now_s - self._telemetry_s) // self._period_s + 1
        self._telemetry_s += beats * self._period_s


def main() -> NoReturn:
    """The process. Exit code 0 after Stop, 1 after a failure that was told, else whatever killed it."""
    channel = child.enter("worker", ToWorker)
    try:
        asked = child.first_word(channel, OpenStick)
        backend: Backend = _load(BACKENDS, asked.stick.backend, "backend")(asked.time_scale)
        device = backend.open(asked.stick, asked.graphs, lambda name: _tell(channel, Phase(name)))
        worker = Worker(channel, asked, backend, device)
        child.trim_memory()
        channel.send(_opened(device, backend))
        worker.run()
        backend.close()
    except StickError as error:
        child.fail(channel, Failed(error.reason, error.detail, permanent=error.reason == "graph"))
    except (EOFError, BrokenPipeError):
        os._exit(1)
    except NcsClusterError as error:
        child.fail(channel, Failed("protocol", str(error)))
    except Exception as error:
        child.fail(channel, child.unexpected(error))
    # libraries' own threads and exit handlers have hung before; nothing is left to be saved
    os._exit(0)


def _opened(device: DeviceInfo, backend: Backend) -> StickOpened:
    return StickOpened(device.name, device.has_sensor, device.max_in_flight, device.firmware, can_reset=hasattr(backend, "reopen"))


def _load(registry: Dict[str, str], name: str, door: str) -> Any:
    try:
        module, attribute = registry[name].split(":")
    except KeyError:
        raise StickError("open", f'there is no {door} "{name}": choose one of {", ".join(registry)}') from None
    return getattr(import_module(module), attribute)


def _tell(channel: Channel[Any], message: Any) -> None:
    channel.send(message)


if __name__ == "__main__":
    main()
