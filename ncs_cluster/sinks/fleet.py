"""NATS: this daemon's entry in the bucket of the fleet, for `ncsctl fleet status` on any machine. Records are acknowledged at once:
the entry is made of the status. nats-py needs an event loop, which has a thread of the sink's process. Runs on CPython 3.9.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Deque, Optional

from ncs_cluster import __version__
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.fleet import address, entry
from ncs_cluster.fleet.bucket import Place
from ncs_cluster.fleet.connection import Connection, Server, Unusable, connected, is_forbidden, library
from ncs_cluster.fleet.drained import is_drained
from ncs_cluster.fleet.events import encoded, is_told, tell
from ncs_cluster.fleet.login import Key
from ncs_cluster.messages import WorkTold
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._nats_sessions import Sessions
from ncs_cluster.sinks.base import EventObserver, Opened, Parsed
from ncs_cluster.sinks.base import Place as PathOf
from ncs_cluster.types import Record

if TYPE_CHECKING:
    from ncs_cluster.status import Event

POLL_S = 1.0
"""Between two looks at the status while nothing happens."""
LEAST_S = 0.5
"""Between two looks at the status, and two entries, whatever happens."""
AGAIN_S = 5.0
"""Between two entries while nothing happens: two may be lost before the entry's age is over."""
STALE_S = 5.0
"""A status that is older is told to nobody: the entry of a daemon that hangs shall age."""
MOST_EVENTS, FRESH_S = 100, 60.0
"""Events that wait for the server, and how old one may be when it is taken."""
LAST_WORDS_S = 1.5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Where the server is, and what it gets."""

    __pydantic_config__ = {"extra": "forbid"}

    url: str
    node: str = "ncs"
    user: Optional[str] = None
    password: Optional[str] = None
    ca_file: Optional[str] = None
    seed: Optional[str] = None
    jwt: Optional[str] = None
    page: Optional[str] = None
    runtime_dir: str = ""
    """Of the daemon whose status is told."""

    def __post_init__(self) -> None:
        address.parse(self.url)
        if not address.NODE.fullmatch(self.node):
            raise ValueError(f"node {self.node!r} may hold letters, digits, _ and - only, 64 at most")


def parse(spec: str, place: PathOf) -> Parsed:
    """No SPEC means a server: its password is no option of a command line."""
    raise ValueError("a NATS server is given by --nats nats://HOST[:PORT], not by --results")


class Fleet:
    """See base.Sink and base.Remote. The resume token is empty: no record is kept."""

    def __init__(self, options: Options, observer: EventObserver) -> None:
        self._options, self._observer = options, observer
        where = address.parse(options.url)
        key = None if options.seed is None else Key(options.seed, options.jwt)
        self._server = Server(where, options.user, options.password, options.ca_file, key)
        self._shown = str(where)
        self._sessions = Sessions(self._shown, self._session)
        self._closing = self._sessions.closing
        self._told = threading.Lock()
        self._newest: Optional[bytes] = None
        self._newest_s = 0.0
        self._states: object = None
        self._changed = False
        self._drained: Optional[bool] = None
        self._events: Deque[Event] = deque(maxlen=MOST_EVENTS)
        """Those that the server has not got."""
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._waking: Optional[asyncio.Event] = None
        self._watching = threading.Thread(target=self._watch, name="status", daemon=True)
        self._defect: Optional[str] = None

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Does not wait for the server. Raises ConfigError without nats-py."""
        library()
        self._sessions.start()
        if self._watching.ident is None:
            self._watching.start()
        return Opened(first, b"")

    def follow(self) -> Optional[bytes]:
        return None

    def write(self, record: Record) -> bytes:
        return b""

    def trouble(self) -> Optional[str]:
        return self._defect or self._sessions.trouble

    def work(self) -> WorkTold:
        return WorkTold(self._drained)

    def close(self) -> None:
        """Delete the entry and end, within LAST_WORDS_S."""
        self._closing.set()
        self._wake()
        self._sessions.close(LAST_WORDS_S)

    # -- the thread of the status

    def _watch(self) -> None:
        while not self._closing.is_set():
            began_s = time.monotonic()
            try:
                told = entry.entry_of(self._observer.status(), self._options.node, self._options.page)
                payload, states = entry.encoded(told), entry.states(told)
            except NcsClusterError as error:
                log.debug("%s", error)
            except Exception as error:
                self._defect = f"the status cannot be told: unexpected {reason(error)}"
            else:
                self._defect = None
                with self._told:
                    first, changed = self._newest is None, states != self._states
                    self._newest, self._newest_s, self._states = payload, time.monotonic(), states
                    self._changed = self._changed or changed
                if first or changed:
                    self._wake()
                self._take_events()
            self._closing.wait(max(0.0, began_s + LEAST_S - time.monotonic()))
            self._observer.wait(max(0.0, began_s + POLL_S - time.monotonic()))

    def _take_events(self) -> None:
        now = time.time()
        # the first reply of the daemon holds what happened before this process began
        new = [each for each in self._observer.events() if is_told(each) and now - each.at <= FRESH_S]
        self._events.extend(new)
        if new:
            self._wake()

    def _wake(self) -> None:
        loop, waking = self._loop, self._waking
        if loop is not None and waking is not None:
            # the loop may have ended meanwhile
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(waking.set)

    # -- the thread of the connection

    async def _session(self) -> None:
        """One connection. Returns when it has ended or the sink is closed; raises Unusable."""
        self._loop, self._waking = asyncio.get_running_loop(), asyncio.Event()
        async with connected(self._server, f"ncs_cluster {self._options.node}") as connection:
            place = Place(connection, self._options.node)
            await place.prepare()
            due_s, others, may_ask, may_tell = 0.0, 0, True, True
            while not self._closing.is_set() and not connection.closed:
                may_tell = may_tell and await self._tell_events(connection)
                now_s = time.monotonic()
                with self._told:
                    fresh = self._newest if now_s - self._newest_s <= STALE_S else None
                    due = fresh is not None and (self._changed or now_s >= due_s)
                    self._changed = self._changed and not due
                if due and fresh is not None:
                    may_ask = may_ask and await self._ask_drained(connection)
                    # one may be an answer of the server that was lost
                    others = 0 if await place.put(fresh) else others + 1
                    self._sessions.trouble = self._second() if others > 1 else None
                    due_s = now_s + AGAIN_S
                    await self._pause(LEAST_S, wakes=False)
                    continue
                await self._pause(max(0.0, min(due_s - time.monotonic(), POLL_S)))
            if self._closing.is_set() and not connection.closed:
                await asyncio.wait_for(place.remove(), LAST_WORDS_S / 2)

    async def _tell_events(self, connection: Connection) -> bool:
        """False: this host may not tell them, as with rights of an older version. Raises Unusable."""
        while self._events and not self._closing.is_set():
            event = self._events[0]
            id, payload = encoded(event, self._options.node, __version__, time.time())
            try:
                await tell(connection, self._options.node, id, payload)
            except Unusable as error:
                if not is_forbidden(error):
                    raise
                return False
            # the other thread may have dropped it for newer ones meanwhile
            if self._events and self._events[0] is event:
                self._events.popleft()
        return True

    async def _ask_drained(self, connection: Connection) -> bool:
        """False: this host may not read it, as with rights of an older version. Raises Unusable."""
        try:
            drained: Optional[bool] = await is_drained(connection, self._options.node)
        except Unusable as error:
            if not is_forbidden(error):
                raise
            drained = None
        if drained != self._drained:
            self._drained = drained
            # the entry is made by the other thread
            self._observer.wake()
        return drained is not None

    async def _pause(self, longest_s: float, *, wakes: bool = True) -> None:
        """Until the time is over, the sink is closed, or, where it `wakes`, something has changed."""
        waking = self._waking
        assert waking is not None
        until_s = time.monotonic() + longest_s
        while not self._closing.is_set() and (left_s := until_s - time.monotonic()) > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(waking.wait(), left_s)
            if waking.is_set():
                waking.clear()
                if wakes:
                    return

    def _second(self) -> str:
        return f"another daemon at {self._shown} has the node {self._options.node} too; give one of them another by [nats] node"
