"""The pool as a process sees it that takes pictures of other programs: a picture in, its answer out, in one event loop.

The process passes every message of the supervisor to `received`. A picture waits for a granted slot. It is refused at once while
the supervisor tells an overload, or MOST_WAITING others wait.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.messages import Answered, Ask, Grant, MapPool, OpenIntake, Served, ServedGraph, UnmapPool, Withdraw
from ncs_cluster.types import CameraName, FrameRef, GraphName, Outcome, PoolLayout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ncs_cluster.ipc.pool import FramePool

MOST_WAITING = 64
"""Pictures without a slot."""
RETRY_S = 1
NO_STICK_RETRY_S = 10


class Overloaded(NcsClusterError):
    """The sticks cannot take the picture now. `retry_after_s`: when to ask again."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class NoStick(Overloaded):
    """No stick can work."""


class TimedOut(NcsClusterError):
    """The answer has not come in time; it is not waited for."""


class Unanswered(NcsClusterError):
    """The picture was given up; the message is the reason, one line."""


class Answer(NamedTuple):
    """The answer to one picture."""

    outcome: Outcome
    stick: str
    latency_s: float
    """On the stick."""
    outputs: dict[str, NDArray[np.float32]]
    """Of a raw ask: the graph's tensors by name."""


class Intake:
    """Lives in the event loop. `send` sends one message to the supervisor, and is False while the channel is full."""

    def __init__(self, send: Callable[[Any], bool], name: str = "intake") -> None:
        self.served: Served | None = None
        """What the sticks can do; None before the supervisor has told it."""
        self._send, self._name = send, CameraName(name)
        self._pool: FramePool | None = None
        self._unmapped: tuple[PoolLayout, int] | None = None
        """A pool that no picture has needed yet, and its descriptor: to map it imports numpy."""
        self._slots: deque[int] = deque()
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._asked: dict[int, tuple[asyncio.Future[Answer], int]] = {}
        """The open asks: who waits, and the slot."""
        self._numbers = itertools.count()

    @property
    def graphs(self) -> dict[str, ServedGraph]:
        return {graph.name: graph for graph in self.served.graphs} if self.served is not None else {}

    @property
    def retry_after_s(self) -> int | None:
        """When a client should ask again; None: it may ask now."""
        if self.served is None:
            return RETRY_S
        if not self.served.sticks:
            return self.served.retry_after_s or NO_STICK_RETRY_S
        return self.served.retry_after_s

    @property
    def open(self) -> int:
        """Pictures that wait for a slot or for their answer."""
        return len(self._waiting) + len(self._asked)

    def start(self) -> bool:
        """Tell the supervisor that this process takes pictures; False while the channel is full."""
        return self._send(OpenIntake())

    def close(self) -> None:
        """The supervisor is gone: every ask ends now, and its memory is unmapped."""
        waiters: list[asyncio.Future[Any]] = [*self._waiting, *(future for future, _ in self._asked.values())]
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(Unanswered("the daemon has ended"))
        self._waiting.clear()
        self._asked.clear()
        self._slots.clear()
        self.served = None
        self._forget_pool()

    def received(self, message: Any, fds: list[int]) -> bool:
        """Handle a message of the supervisor; False when it is not for an intake."""
        if isinstance(message, Answered):
            self._answered(message)
        elif isinstance(message, Grant):
            self._granted(message)
        elif isinstance(message, Served):
            self.served = message
        elif isinstance(message, MapPool):
            self._forget_pool()
            self._unmapped = (message.layout, fds[0])
        elif isinstance(message, UnmapPool):
            self._forget_pool()
        else:
            return False
        return True

    async def infer(
        self,
        graph: str,
        image: NDArray[np.uint8],
        *,
        timeout_s: float,
        raw: bool = False,
        insist: bool = False,
        rgb: bool = False,
    ) -> Answer:
        """The answer for uint8 BGR [h, w, 3] by `graph`. A larger picture than the slots hold is scaled down, unless `raw`, which
        gives the graph's output tensors for a picture of its input's size. `insist`: take a fair share of the sticks also while
        they are overloaded, for a client that sends no more than it gets answers. `rgb`: the channels are RGB. Raises Overloaded,
        TimedOut, Unanswered, ValueError."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        if (retry_s := self.retry_after_s) is not None and not (insist and self._usable):
            if not self._usable:
                raise NoStick("no stick can take a picture now", retry_s)
            raise Overloaded("the sticks are overloaded", retry_s)
        if graph not in self.graphs:
            raise Unanswered(f"there is no graph {graph}")
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name != "uint8" or 0 in image.shape:
            raise ValueError(f"a picture is uint8 [h, w, 3], not {image.dtype} {list(image.shape)}")
        slot = await self._slot(deadline_s)
        pool, number = self._mapped(), next(self._numbers)
        image = fit(image, pool.layout.max_width * pool.layout.max_height)
        height, width = image.shape[:2]
        _write(image, pool.colour(slot, width, height), rgb=rgb)
        if not self._send(Ask(GraphName(graph), FrameRef(self._name, pool.layout.pool, slot, number, width, height), raw)):
            self._free(slot)
            raise Overloaded("the daemon is busy", RETRY_S)
        future: asyncio.Future[Answer] = loop.create_future()
        self._asked[number] = (future, slot)
        # less work for each picture than asyncio.timeout_at
        timer = loop.call_at(deadline_s, _time_out, future, timeout_s)
        try:
            return await future
        finally:
            timer.cancel()
            if self._asked.pop(number, None) is not None:
                self._send(Withdraw(number))

    @property
    def _usable(self) -> bool:
        return self.served is not None and self.served.sticks > 0

    async def _slot(self, deadline_s: float) -> int:
        if self._slots and not self._waiting:
            return self._slots.popleft()
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded(f"{MOST_WAITING} pictures wait already", self._until_done_s())
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout_at(deadline_s):
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._free(waiter.result())
            if isinstance(error, TimeoutError):
                raise TimedOut("no stick was free in time") from None
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _until_done_s(self) -> int:
        """When the pictures that wait now are done."""
        capacity = self.served.capacity_fps if self.served is not None else None
        return RETRY_S if not capacity else max(RETRY_S, math.ceil(self.open / capacity))

    def _granted(self, grant: Grant) -> None:
        self._free(grant.slot)

    def _free(self, slot: int) -> None:
        """The slot may be written: by the picture that waits longest."""
        self._slots.append(slot)
        while self._waiting and self._slots:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(self._slots.popleft())

    def _answered(self, message: Answered) -> None:
        future, slot = self._asked.pop(message.ask, (None, -1))
        if future is None or future.done():
            return
        if message.outcome.error is not None:
            future.set_exception(Unanswered(message.outcome.error))
            return
        outputs = self._read(message, slot) if message.outputs else {}
        future.set_result(Answer(message.outcome, message.stick or "", message.latency_s, outputs))

    def _read(self, message: Answered, slot: int) -> dict[str, NDArray[np.float32]]:
        """Copies of the tensors: the slot may be granted by the next message."""
        import numpy

        plane, begin, outputs = self._mapped().answer(slot), 0, {}
        for tensor in message.outputs:
            count = math.prod(tensor.shape)
            outputs[tensor.name] = numpy.frombuffer(plane, "<f4", count, begin).reshape(tensor.shape).copy()
            begin += 4 * count
        return outputs

    def _mapped(self) -> FramePool:
        if self._unmapped is not None:
            from ncs_cluster.ipc.pool import FramePool

            (layout, fd), self._unmapped = self._unmapped, None
            self._pool = FramePool(fd, layout, writable=True)
        if self._pool is None:
            raise Unanswered("the daemon has ended")
        return self._pool

    def _forget_pool(self) -> None:
        if self._unmapped is not None:
            os.close(self._unmapped[1])
        if self._pool is not None:
            self._pool.close()
        self._pool = self._unmapped = None


def _time_out(waiter: asyncio.Future[Answer], timeout_s: float) -> None:
    if not waiter.done():
        waiter.set_exception(TimedOut(f"no answer in {timeout_s:.3g} s"))


def _write(image: NDArray[np.uint8], into: NDArray[np.uint8], *, rgb: bool) -> None:
    """`image` as BGR."""
    into[:] = image
    if rgb:
        # numpy copies the whole picture in a third of the time of one channel, and a reversed view in four times that
        into[..., 0], into[..., 2] = image[..., 2], image[..., 0]


def fit(image: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """`image`, scaled down where it has more than `pixels` pixels."""
    height, width = image.shape[:2]
    if height * width <= pixels:
        return image
    import cv2

    ratio = math.sqrt(pixels / (height * width))
    size = max(1, math.floor(width * ratio)), max(1, math.floor(height * ratio))
    scaled: Any = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    fitted: NDArray[np.uint8] = scaled
    return fitted
