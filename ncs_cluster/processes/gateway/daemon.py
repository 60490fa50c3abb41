"""What the supervisor says: asked for over the control socket in one thread, remembered here, so that no visitor ever waits for it.

Asked four times a second while somebody looks, else once. What is too old is not shown as new: `answers` turns false.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from ncs_cluster.client import Client, Refused, typed
from ncs_cluster.errors import NcsClusterError, NotRunning
from ncs_cluster.processes.gateway.history import History
from ncs_cluster.status import Event, Status

T = TypeVar("T")

LOOKED_AT_S, IDLE_S = 0.25, 1.0
ANSWER_S = 2.0
STALE_S = 5.0
WAIT_S = 1.0
PAUSE_S = 0.02
KEPT_EVENTS = 1000


class Daemon:
    """The supervisor, as last heard of."""

    def __init__(self, runtime_dir: str) -> None:
        self._runtime_dir = Path(runtime_dir)
        self._thread = ThreadPoolExecutor(1, "ask")
        self._client: Client | None = None
        self._turn, self._wake = asyncio.Event(), asyncio.Event()
        self._begun = self._done = 0
        self._heard_s = float("-inf")
        self._last_event = 0
        self._lookers = 0
        self.status: Status | None = None
        self.status_json = b"{}"
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.history = History()
        self.trouble = "the daemon has not answered yet"
        self.stopping = False

    @property
    def answers(self) -> bool:
        """What is remembered is new enough to be shown."""
        return time.monotonic() - self._heard_s < STALE_S

    async def run(self) -> None:
        """Ask, for ever."""
        while True:
            self._wake.clear()
            self._begun += 1
            try:
                status, status_json, events = await self._in_thread(self._look)
            except (NotRunning, Refused) as error:
                self.trouble = str(error)
            else:
                self._remember(status, status_json, events)
            self._done = self._begun
            turn, self._turn = self._turn, asyncio.Event()
            turn.set()
            await asyncio.sleep(PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), (LOOKED_AT_S if self._lookers else IDLE_S) - PAUSE_S)

    def _look(self, client: Client) -> tuple[Status, bytes, list[Event]]:
        document = client.status_document()
        return typed(document), msgspec.json.encode(document), client.events(self._last_event)

    def _remember(self, status: Status, status_json: bytes, events: list[Event]) -> None:
        self._heard_s = time.monotonic()
        self.status, self.status_json = status, status_json
        self.history.add(status.sticks, self._heard_s)
        for event in events:
            self.events.append(event)
            self._last_event = event.id

    async def fresh(self) -> Status | None:
        """The status as it is now or, when that takes longer than WAIT_S, as it is remembered. None: unknown."""
        wanted = self._begun + 1
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while self._done < wanted and not self.stopping:
                    self._wake.set()
                    await self._turn.wait()
        return self.status if self.answers else None

    async def looks(self) -> AsyncGenerator[None]:
        """Once for every time the supervisor was asked, while somebody looks. Ends when the gateway stops."""
        self._lookers += 1
        self._wake.set()
        try:
            while not self.stopping:
                await self._turn.wait()
                yield
        finally:
            self._lookers -= 1

    async def switch(self) -> str:
        """Raises Refused and NotRunning."""
        return await self._in_thread(lambda client: client.switch())

    async def make_trouble(self, kind: str, stick: str | None) -> str:
        """Raises Refused and NotRunning."""
        return await self._in_thread(lambda client: client.trouble(kind, stick))

    def stop(self) -> None:
        self.stopping = True
        self._wake.set()
        self._turn.set()

    async def _in_thread(self, ask: Callable[[Client], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, ask)

    def _ask(self, ask: Callable[[Client], T]) -> T:
        """In the thread: one try; a connection that failed is made anew the next time."""
        try:
            if self._client is None:
                self._client = Client(self._runtime_dir, timeout_s=ANSWER_S)
            return ask(self._client)
        except Refused:
            raise
        except (NcsClusterError, OSError, msgspec.DecodeError) as error:
            if self._client is not None:
                self._client.close()
                self._client = None
            raise NotRunning(str(error)) from error
