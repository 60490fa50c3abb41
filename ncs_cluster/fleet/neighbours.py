"""Frames to neighbours and their answers, by an event loop in a thread of its own: nats-py needs one, and a worker has none.

Each frame is one request with a deadline. One that a neighbour refuses goes to another one, once, while there is time. Nothing
connects again here: when the connection is lost, `lost` says so. Runs on CPython 3.9.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from typing import Callable, Deque, NamedTuple, Optional, Set

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.fleet import overflow
from ncs_cluster.fleet.connection import ANSWER_S, Connection, NoAnswer, Server, Unusable, connected
from ncs_cluster.plugins import reason

MOST_TRIES = 2
"""Neighbours that are asked for one frame."""
LOOK_S = 0.1
"""Between two looks at whether the connection is still there."""
LATE, REFUSED = "late", "refused"


class Frame(NamedTuple):
    """A frame on its way."""

    tag: int
    subject: str
    picture: bytes
    """JPEG."""
    until_s: float
    """time.monotonic() at which its answer is of no use any more."""


class Ended(NamedTuple):
    """A frame that has an answer, or will have none."""

    tag: int
    answer: Optional[overflow.Answer]
    missed: str
    """LATE, REFUSED, or empty where there is an answer."""


class Neighbours:
    """See the module. `open`, `send` and `close` are called by one thread; `ended` is filled by another one."""

    def __init__(self, server: Server, node: str, wake: Callable[[], None]) -> None:
        """`node`: of this host. `wake` is called, by the thread of the loop, when `ended` or `lost` has something new."""
        self.ended: Deque[Ended] = deque()
        self.lost: Optional[str] = None
        """Why the connection has ended, one line."""
        self.sent = 0
        """Requests."""
        self.sent_bytes = 0
        self._server, self._node, self._wake = server, node, wake
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._connection: Optional[Connection] = None
        self._opened, self._closing = threading.Event(), threading.Event()
        self._tasks: Set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="nats", daemon=True)

    def open(self) -> None:
        """Connect. Raises Unusable."""
        self._thread.start()
        self._opened.wait(3 * ANSWER_S)
        if self._connection is None:
            raise Unusable(self.lost or "it does not answer")

    def send(self, frame: Frame) -> None:
        """Begin a request; `ended` follows, at the frame's deadline at the latest, or `lost`."""
        loop = self._loop
        # the loop may have ended meanwhile
        with contextlib.suppress(RuntimeError):
            if loop is not None:
                loop.call_soon_threadsafe(self._begin, frame)

    def close(self) -> None:
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    # -- the thread of the loop

    def _run(self) -> None:
        why = "the connection was lost"
        try:
            asyncio.run(self._session())
        except NcsClusterError as error:
            why = str(error)
        except Exception as error:
            why = f"unexpected {reason(error)}"
        self.lost = why
        self._opened.set()
        self._wake()

    async def _session(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with connected(self._server, f"ncs_cluster {self._node} overflow") as connection:
            self._connection = connection
            self._opened.set()
            while not connection.closed and not await self._closes():
                pass
            for task in self._tasks:
                task.cancel()

    async def _closes(self) -> bool:
        """Whether `close` was called, after LOOK_S."""
        await asyncio.sleep(LOOK_S)
        return self._closing.is_set()

    def _begin(self, frame: Frame) -> None:
        task = asyncio.ensure_future(self._ask(frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, frame: Frame) -> None:
        answer, missed = None, REFUSED
        for _ in range(MOST_TRIES):
            left_s = frame.until_s - time.monotonic()
            if left_s <= 0.0:
                missed = LATE
                break
            try:
                answer = await self._answer(frame, left_s)
            except NoAnswer:
                missed = LATE
                break
            except NcsClusterError:
                # the session tells of a connection that is lost
                break
            if answer is None or not answer.refused:
                break
        ended = Ended(frame.tag, None, missed) if answer is None or answer.refused else Ended(frame.tag, answer, "")
        if ended.answer is not None and time.monotonic() > frame.until_s:
            ended = Ended(frame.tag, None, LATE)
        self.ended.append(ended)
        self._wake()

    async def _answer(self, frame: Frame, left_s: float) -> Optional[overflow.Answer]:
        """None: nobody takes frames of this graph, or what came is no answer."""
        connection = self._connection
        assert connection is not None
        self.sent += 1
        self.sent_bytes += len(frame.picture)
        told = await connection.ask(
            frame.subject, frame.picture, overflow.headers(self._node, left_s), longest_s=min(left_s, ANSWER_S)
        )
        return None if told is None else overflow.decoded(told.payload)
