"""The supervisor's status and events, polled over the control socket in one thread and cached: no HTTP request blocks on it.

Polled four times a second while a page is open, else once a second. `is_fresh` is False when the last reply is older than STALE_S.
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
from ncs_cluster.control_messages import Setting
from ncs_cluster.errors import NcsClusterError, NotRunning
from ncs_cluster.processes.gateway.history import History, twins
from ncs_cluster.status import Event, Status

T = TypeVar("T")

WATCHED_S, IDLE_S = 0.25, 1.0
"""Seconds between two polls, with and without an open page."""
ANSWER_S = 2.0
"""Time-out of one request to the supervisor."""
STALE_S = 5.0
WAIT_S = 1.0
"""How long an HTTP request waits for a new poll before it takes the cached status."""
PAUSE_S = 0.02
"""Least time between two polls, however many requests ask for one."""
KEPT_EVENTS = 1000


class DaemonCache:
    """The last answers of the supervisor. Lives in the event loop; only `_poll` and `_request` run in the thread."""

    def __init__(self, runtime_dir: str) -> None:
        self._runtime_dir = Path(runtime_dir)
        self._thread = ThreadPoolExecutor(1, "poll")
        self._client: Client | None = None
        self._polled, self._wake = asyncio.Event(), asyncio.Event()
        self._polls_started = self._polls_finished = 0
        self._answered_s = float("-inf")
        self._last_event = 0
        self._watchers = 0
        self.status: Status | None = None
        self.status_json = b"{}"
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.history = History()
        self.last_error = "the daemon has not answered yet"
        self.stopping = False

    @property
    def is_fresh(self) -> bool:
        """Whether the cached status is new enough to be shown."""
        return time.monotonic() - self._answered_s < STALE_S

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            self._wake.clear()
            self._polls_started += 1
            try:
                status, status_json, events = await self._run_in_thread(self._poll)
            except (NotRunning, Refused) as error:
                self.last_error = str(error)
            else:
                self._store(status, status_json, events)
            self._polls_finished = self._polls_started
            polled, self._polled = self._polled, asyncio.Event()
            polled.set()
            await asyncio.sleep(PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), (WATCHED_S if self._watchers else IDLE_S) - PAUSE_S)

    def _poll(self, client: Client) -> tuple[Status, bytes, list[Event]]:
        document = client.status_document()
        return typed(document), msgspec.json.encode(document), client.events(self._last_event)

    def _store(self, status: Status, status_json: bytes, events: list[Event]) -> None:
        self._answered_s = time.monotonic()
        self.status, self.status_json = status, status_json
        self.history.add([*status.sticks, *twins(status)], self._answered_s)
        for event in events:
            self.events.append(event)
            self._last_event = event.id

    async def refreshed(self) -> Status | None:
        """The status of a poll that began after this call; after WAIT_S the cached one; None when that is not fresh."""
        wanted = self._polls_started + 1
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while self._polls_finished < wanted and not self.stopping:
                    self._wake.set()
                    await self._polled.wait()
        return self.status if self.is_fresh else None

    async def updates(self) -> AsyncGenerator[None]:
        """Yields after each poll; polls are frequent while it is iterated. Ends when the gateway stops."""
        self._watchers += 1
        self._wake.set()
        try:
            while not self.stopping:
                await self._polled.wait()
                yield
        finally:
            self._watchers -= 1

    async def switch(self) -> str:
        """Raises Refused and NotRunning."""
        return await self._run_in_thread(lambda client: client.switch())

    async def inject_fault(self, kind: str, stick: str | None) -> str:
        """Raises Refused and NotRunning."""
        return await self._run_in_thread(lambda client: client.trouble(kind, stick))

    async def change_stick(self, stick: str, verb: str, why: str | None) -> str:
        """Raises Refused and NotRunning."""
        return await self._run_in_thread(lambda client: client.change_stick(stick, verb, why=why))

    async def settings(self) -> list[Setting]:
        """Raises Refused and NotRunning."""
        return await self._run_in_thread(lambda client: client.settings())

    def stop(self) -> None:
        self.stopping = True
        self._wake.set()
        self._polled.set()

    async def _run_in_thread(self, call: Callable[[Client], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._request, call)

    def _request(self, call: Callable[[Client], T]) -> T:
        """Runs in the thread. One attempt; after a failure the next call connects again."""
        try:
            if self._client is None:
                self._client = Client(self._runtime_dir, timeout_s=ANSWER_S)
            return call(self._client)
        except Refused:
            raise
        except (NcsClusterError, OSError, msgspec.DecodeError) as error:
            if self._client is not None:
                self._client.close()
                self._client = None
            raise NotRunning(str(error)) from error
