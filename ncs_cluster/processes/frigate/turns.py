"""Whose frame the sticks get next. No more are with them than they answer in time (see admission); among those that wait, the
newest of the address that has the fewest with the sticks: one Frigate with many entries, or a stranger, does not take the sticks
from another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from ncs_cluster.processes.frigate.admission import Admission
from ncs_cluster.processes.intake import TimedOut

TOO_MANY = "there are more detector entries than the sticks answer in time"


class _Waiting(NamedTuple):
    turn: asyncio.Future[None]
    deadline_s: float
    address: str


class Turns:
    """The frames of one server. Lives in the event loop."""

    def __init__(self) -> None:
        self._admission = Admission()
        self._waiting: list[_Waiting] = []
        """In the order in which they came."""
        self._with_sticks: Counter[str] = Counter()
        """Frames by address."""

    @asynccontextmanager
    async def turn(self, address: str, deadline_s: float, whole_s: float, sticks: int) -> AsyncGenerator[None]:
        """The block infers one frame, once the sticks can have it. `deadline_s`: when, by the loop's clock; `whole_s`: how long a
        frame may take; `sticks`: that can work. Raises TimedOut where the frame could only be late, and what the block raises."""
        await self._wait(address, deadline_s, sticks)
        loop = asyncio.get_running_loop()
        began_s, over = loop.time(), self._admission.failed
        try:
            yield
            over = partial(self._admission.answered, loop.time() - began_s, whole_s)
        except TimedOut:
            over = partial(self._admission.late, whole_s, deadline_s)
            raise
        finally:
            over()
            self._ended(address, sticks)

    async def _wait(self, address: str, deadline_s: float, sticks: int) -> None:
        if not self._waiting and self._admission.may_start(sticks):
            # the usual case: as below, without a timer
            if not self._start(address, deadline_s, asyncio.get_running_loop().time()):
                raise TimedOut(TOO_MANY)
            return
        waiting = _Waiting(asyncio.get_running_loop().create_future(), deadline_s, address)
        self._waiting.append(waiting)
        self._next(sticks)
        try:
            async with asyncio.timeout_at(deadline_s):
                await waiting.turn
        except TimeoutError:
            turn = waiting.turn
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                # its turn came in the moment in which its time was over
                self._admission.failed()
                self._ended(address, sticks)
            raise TimedOut(TOO_MANY) from None

    def _ended(self, address: str, sticks: int) -> None:
        self._with_sticks[address] -= 1
        if not self._with_sticks[address]:
            del self._with_sticks[address]
        self._next(sticks)

    def _next(self, sticks: int) -> None:
        """Start frames that wait."""
        now_s = asyncio.get_running_loop().time()
        while self._waiting and self._admission.may_start(sticks):
            turn, deadline_s, address = self._waiting.pop(self._first())
            if turn.done():
                # it was cancelled: the server is closing
                continue
            if self._start(address, deadline_s, now_s):
                turn.set_result(None)
            else:
                turn.set_exception(TimedOut(TOO_MANY))

    def _start(self, address: str, deadline_s: float, now_s: float) -> bool:
        """The frame is with the sticks now. False: it could only be late."""
        if not self._admission.worth(deadline_s - now_s, now_s):
            return False
        self._admission.started(now_s)
        self._with_sticks[address] += 1
        return True

    def _first(self) -> int:
        """The place of the frame that is next."""
        return max(range(len(self._waiting)), key=lambda at: (-self._with_sticks[self._waiting[at].address], at))
