"""The worker process: owns one stick, opens it, submits frames, decodes outputs and reports the temperature.

One select waits for the channel, the backend's wake_fd, the backend's due time and the next telemetry. A stick that hangs is reset
in place where its backend supports that; after any other failure the worker sends Failed and exits, and the core decides when a
new worker starts. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Mapping, NamedTuple, NoReturn, Optional, Tuple

from ncs_cluster import decoders
from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import Backend, Completed, DeviceInfo, Doubting, FaultInjection, Forwarding, Reopening
from ncs_cluster.errors import NcsClusterError, StickError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import (
    ChangeGraphs,
    Failed,
    Infer,
    Inferred,
    InjectFault,
    MapPool,
    OpenStick,
    Overflowed,
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
from ncs_cluster.plugins import load
from ncs_cluster.processes import child
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Outcome, Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ncs_cluster.ipc.pool import FramePool

TELEMETRY_S, MIN_TELEMETRY_S = 1.0, 0.05


class _Request(NamedTuple):
    """An accepted Infer. The view keeps the pixels mapped until the answer, also when the pool is unmapped meanwhile."""

    infer: Infer
    image: Optional[NDArray[np.uint8]]
    answer: Optional[memoryview] = None
    """The answer plane of a raw request."""


class Worker:
    """The worker process after its stick is open."""

    def __init__(self, channel: Channel[Any], settings: OpenStick, backend: Backend, device: DeviceInfo) -> None:
        self._channel, self._backend, self._max_in_flight = channel, backend, device.max_in_flight
        self._decoders = self._made_decoders(settings.graphs)
        self._period_s = min(TELEMETRY_S, max(MIN_TELEMETRY_S, TELEMETRY_S / settings.time_scale))
        self._next_telemetry_s = time.monotonic()
        self._pools: Dict[int, FramePool] = {}
        self._queue: Deque[_Request] = deque()
        self._submitted: Dict[int, _Request] = {}
        self._hang_detail: Optional[str] = None
        self._reset_epoch = 0
        self._may_boot = False
        self._stopping = False

    def _made_decoders(self, graphs: List[GraphSpec]) -> List[decoders.Decode]:
        return [decoders.create(graph) for graph in graphs] if self._backend.needs_frames else []

    def run(self) -> None:
        """Work until Stop, then finish the accepted requests. Raises EOFError when the supervisor is gone, StickError when the
        stick has failed."""
        while not self._stopping or self._queue or self._submitted:
            try:
                self._wait()
                for completed in self._backend.collect():
                    self._complete(completed)
                self._receive()
                if self._hang_detail is not None:
                    raise StickError("hang", self._doubted(self._hang_detail))
                self._submit()
                self._send_telemetry()
            except StickError as error:
                self._reset(error)

    def _reset(self, error: StickError) -> None:
        """Reset the stick in place, without the requests that it held. Raises the error where the backend cannot do that."""
        backend = self._backend
        if not isinstance(backend, Reopening) or error.reason not in ("hang", "link") or self._stopping:
            raise error
        self._may_boot = False
        self._channel.send(StickLost(error.detail))
        self._reset_epoch += 1
        self._submitted.clear()
        while not self._may_boot:
            # the core lets sticks boot one after another: a hub cannot power all of them at once
            select.select([self._channel.fileno()], [], [])
            self._receive()
            if self._stopping:
                raise error
        device = backend.reopen(lambda name: _send_phase(self._channel, name))
        self._receive()
        # the core has given the requests of before StickLost to other sticks
        self._queue.clear()
        self._hang_detail = None
        self._max_in_flight, self._next_telemetry_s = device.max_in_flight, time.monotonic()
        self._channel.send(_opened(device, self._backend))

    def _doubted(self, detail: str) -> str:
        return self._backend.doubt(detail) if isinstance(self._backend, Doubting) else detail

    def _wait(self) -> None:
        watched: List[int] = [self._channel.fileno()]
        if self._backend.wake_fd is not None:
            watched.append(self._backend.wake_fd)
        due_s = self._next_telemetry_s if self._backend.due_s is None else min(self._next_telemetry_s, self._backend.due_s)
        select.select(watched, [], [], max(0.0, due_s - time.monotonic()))

    def _receive(self) -> None:
        """Handle all messages that are in the channel."""
        while (received := self._channel.receive(wait=False)) is not None:
            message = received.message
            if isinstance(message, Infer):
                self._accept(message)
            elif isinstance(message, MapPool):
                self._map(message, received.fds)
            elif isinstance(message, UnmapPool):
                pool = self._pools.pop(message.pool, None)
                if pool is not None:
                    pool.close()
            elif isinstance(message, ChangeGraphs):
                self._decoders = self._made_decoders(message.graphs)
                if isinstance(self._backend, Forwarding):
                    self._backend.change_graphs(message.graphs)
            elif isinstance(message, ResetStick):
                self._hang_detail = message.detail
            elif isinstance(message, Reopen):
                self._may_boot = True
            elif isinstance(message, InjectFault):
                if not isinstance(self._backend, FaultInjection):
                    raise StickError("protocol", f'fault "{message.kind}": this backend cannot inject faults')
                self._backend.inject_fault(message.kind, message.for_s)
            elif isinstance(message, Stop):
                self._stopping = True
            else:
                raise StickError("protocol", f"unexpected {type(message).__name__}: the stick is open")

    def _accept(self, infer: Infer) -> None:
        if infer.reset_epoch != self._reset_epoch:
            return  # sent before the core received StickLost: the slot may be overwritten by now
        image = answer = None
        if self._backend.needs_frames:
            try:
                pool = self._pools[infer.frame.pool]
                image, answer = pool.image(infer.frame), pool.answer(infer.frame.slot) if infer.raw else None
            except (KeyError, ValueError):
                self._channel.send(Inferred(infer.ticket, Outcome(error="the frame's pool is gone"), 0.0))
                return
        self._queue.append(_Request(infer, image, answer))

    def _map(self, message: MapPool, fds: List[int]) -> None:
        if not self._backend.needs_frames:
            for fd in fds:
                os.close(fd)
            return
        from ncs_cluster.ipc.pool import FramePool

        self._pools[message.layout.pool] = FramePool(fds[0], message.layout, writable=message.layout.answer_bytes > 0)

    def _submit(self) -> None:
        while self._queue and len(self._submitted) < self._max_in_flight:
            unit = self._queue.popleft()
            self._submitted[unit.infer.ticket] = unit
            self._backend.submit(unit.infer.ticket, unit.infer.graph, unit.image)

    def _complete(self, completed: Completed) -> None:
        unit = self._submitted.pop(completed.tag)
        outcome = completed.outcome or Outcome()
        outputs: List[Tensor] = []
        if unit.infer.raw:
            outcome, outputs = _laid_down(completed.outputs, unit.answer)
        elif completed.outputs is not None:
            graph = unit.infer.graph
            outcome = self._decoders[graph](completed.outputs, completed.transform)
        self._channel.send(Inferred(completed.tag, outcome, completed.latency_s, outputs, completed.missed))

    def _send_telemetry(self) -> None:
        now_s = time.monotonic()
        if now_s < self._next_telemetry_s:
            return
        reading = self._backend.read_sensor()
        self._channel.send(Telemetry(reading.temperature_c, reading.throttle_level, max(0.0, reading.age_s)))
        if isinstance(self._backend, Forwarding):
            self._channel.send(Overflowed(self._backend.counts()))
        # at multiples of the period, without drift; missed ones are omitted
        periods = (now_s - self._next_telemetry_s) // self._period_s + 1
        self._next_telemetry_s += periods * self._period_s


def main() -> NoReturn:
    """The process. Exit code 0 after Stop, 1 after Failed."""
    channel = child.enter("worker", ToWorker)
    try:
        settings = child.first_message(channel, OpenStick)
        backend: Backend = load(BACKENDS.get(settings.stick.backend).driver)(settings.time_scale)
        device = backend.open(settings.stick, settings.graphs, lambda name: _send_phase(channel, name))
        worker = Worker(channel, settings, backend, device)
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
    # threads and exit handlers of vendor libraries may hang at a regular exit
    os._exit(0)


def _laid_down(outputs: Optional[Mapping[str, NDArray[Any]]], plane: Optional[memoryview]) -> Tuple[Outcome, List[Tensor]]:
    """Write the outputs of a raw request into its answer plane, float32 in C order, one after another."""
    import numpy

    if outputs is None or plane is None:
        return Outcome(error="this stick runs no graph"), []
    tensors, begin = [], 0
    for name, array in outputs.items():
        values = numpy.ascontiguousarray(array, numpy.dtype("<f4")).reshape(-1)
        end = begin + values.nbytes
        if end > len(plane):
            return Outcome(error=f"the graph's outputs are larger than {len(plane)} bytes"), []
        plane[begin:end] = values.data.cast("B")
        tensors.append(Tensor(name, [int(side) for side in array.shape]))
        begin = end
    return Outcome(), tensors


def _opened(device: DeviceInfo, backend: Backend) -> StickOpened:
    can_reset = isinstance(backend, Reopening)
    answers = [list(figures) for figures in device.answers]
    return StickOpened(
        device.name,
        device.has_sensor,
        device.max_in_flight,
        device.firmware,
        can_reset,
        device.executors,
        answers,
        list(device.ports),
    )


def _send_phase(channel: Channel[Any], name: str) -> None:
    channel.send(Phase(name))


if __name__ == "__main__":
    main()
