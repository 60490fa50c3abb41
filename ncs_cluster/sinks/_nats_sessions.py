"""Connections to a NATS server, one after another, in a thread with an event loop that begins anew with each.

Runs on CPython 3.9.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Awaitable, Callable, Optional

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._backoff import Backoff


class Sessions:
    """Runs `session` again after each end, with backoff, until it is closed. `session` returns when `closing` is set, or when its
    connection has ended; it may raise anything."""

    def __init__(self, shown: str, session: Callable[[], Awaitable[None]]) -> None:
        """`shown`: the server, for people."""
        self.closing = threading.Event()
        self.trouble: Optional[str] = None
        """Why the server cannot be used, one line; `session` sets it to None once it can."""
        self._shown, self._session = shown, session
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name="nats", daemon=True)

    def start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def close(self, longest_s: float) -> None:
        """Wait at most so long for the end of the session."""
        self.closing.set()
        if self._thread.ident is not None:
            self._thread.join(longest_s)

    def _run(self) -> None:
        while not self.closing.is_set():
            began_s = time.monotonic()
            why = "the connection was lost"
            try:
                asyncio.run(self._one())
            except NcsClusterError as error:
                why = str(error)
            except Exception as error:
                why = f"unexpected {reason(error)}"
            if self.closing.is_set():
                return
            self.trouble = f"the NATS server {self._shown} cannot be used: {why}"
            self._backoff.held(time.monotonic() - began_s)
            self.closing.wait(self._backoff.next_s())

    async def _one(self) -> None:
        await self._session()
