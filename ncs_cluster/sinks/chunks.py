"""NATS: chunks of jobs over hosts, taken as fast as this daemon's sticks do them. Each is a job of the daemon, over its control
socket, so weight, heat, retries and kills are what they are for every job. It gets no records. Runs on CPython 3.9.

One thread asks the daemon, another one talks with the server; a chunk's state tells each what the other has done.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional

from ncs_cluster.errors import ConfigError, NcsClusterError, format_os_error
from ncs_cluster.fleet import address
from ncs_cluster.fleet.chunk import Offer
from ncs_cluster.fleet.connection import Server, connected, library
from ncs_cluster.fleet.drained import is_drained
from ncs_cluster.fleet.jobs import Jobs
from ncs_cluster.fleet.login import Key
from ncs_cluster.fleet.parcel import Parcels
from ncs_cluster.messages import WorkTold
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._carried import fetch
from ncs_cluster.sinks._chunk_exchange import Exchange
from ncs_cluster.sinks._guest_graphs import Guests, Undecided
from ncs_cluster.sinks._held_chunk import FETCHING
from ncs_cluster.sinks._host_of_chunks import Host
from ncs_cluster.sinks._nats_sessions import Sessions
from ncs_cluster.sinks.base import JobObserver, Opened, Parsed, Place
from ncs_cluster.types import Record

LOOK_S = 0.3
"""Between two looks at the daemon while it has chunks."""
IDLE_S = 1.0
OFFERS_S = 2.0
"""Between two looks at the jobs that are offered."""
JUDGED_S = 10.0
"""Between two judgements of whether this host can take part in a job: a mount may come and go."""
TURN_S = 0.1
LAST_WORDS_S = 1.5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Where the server is, and where chunks are worked on."""

    __pydantic_config__ = {"extra": "forbid"}

    url: str
    folder: str
    """Absolute path: of the chunks' folders."""
    node: str = "ncs"
    user: Optional[str] = None
    password: Optional[str] = None
    ca_file: Optional[str] = None
    seed: Optional[str] = None
    """Of an nkey, instead of user and password."""
    jwt: Optional[str] = None
    mounts: Dict[str, str] = field(default_factory=dict)
    """Absolute paths of folders with files of jobs, by the names that jobs have for them."""
    weight: float = 0.1
    """Of each chunk's stream, beside cameras of weight 1."""
    runtime_dir: str = ""
    """Of the daemon that does the work."""
    graphs: str = ""
    """Absolute path of the folder for graphs of jobs that the daemon lacks; empty: it takes none."""

    def __post_init__(self) -> None:
        address.parse(self.url)
        if not address.NODE.fullmatch(self.node):
            raise ValueError(f"node {self.node!r} may hold letters, digits, _ and - only, 64 at most")
        if not os.path.isabs(self.folder):
            raise ValueError("folder must be an absolute path")
        for name, path in self.mounts.items():
            if not address.NODE.fullmatch(name) or not os.path.isabs(path):
                raise ValueError(f"mounts: {name!r} must be a name of letters, digits, _ and -, with an absolute path")
        if not 0 < self.weight <= 100:
            raise ValueError("job_weight must be above 0, at most 100")


def parse(spec: str, place: Place) -> Parsed:
    """No SPEC means a server: its password is no option of a command line."""
    raise ValueError("chunks of jobs are taken by [nats] jobs = true, not by --results")


class Chunks:
    """See base.Sink and base.Remote. The resume token is empty."""

    def __init__(self, options: Options, daemon: JobObserver) -> None:
        self._options = options
        where = address.parse(options.url)
        key = None if options.seed is None else Key(options.seed, options.jwt)
        self._server = Server(where, options.user, options.password, options.ca_file, key)
        guests = Guests(options.graphs, daemon) if options.graphs else None
        self._host = Host(options.folder, options.mounts, options.weight, daemon, guests)
        self._sessions = Sessions(str(where), self._session)
        self._stirred = threading.Event()
        """A chunk has come, or the server knows of its result: there is something to do for the thread that asks the daemon."""
        self._offers: Dict[str, Offer] = {}
        self._verdicts: Dict[str, Optional[str]] = {}
        """Job -> why this host takes no part in it; None: it does."""
        self._drained: Optional[bool] = None
        """This host takes no chunk, and none is on its way to it; None: not known."""
        self._open: Optional[List[str]] = None
        """Jobs that are offered; None: not known."""
        self._defect: Optional[str] = None

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Does not wait for the server. Raises ConfigError without nats-py, and where the folder cannot be made."""
        library()
        try:
            self._host.load()
        except OSError as error:
            raise ConfigError(f"chunks of jobs cannot be kept: {format_os_error(error)}") from error
        for target in (self._work, self._judge):
            threading.Thread(target=target, name="chunks", daemon=True).start()
        self._sessions.start()
        return Opened(first, b"")

    def follow(self) -> Optional[bytes]:
        return None

    def write(self, record: Record) -> bytes:
        return b""

    def trouble(self) -> Optional[str]:
        return self._defect or self._sessions.trouble

    def work(self) -> WorkTold:
        return WorkTold(self._drained, len(self._host.held), self._open)

    def close(self) -> None:
        """The jobs of chunks are the daemon's, and go on with the next one."""
        self._sessions.close(LAST_WORDS_S)

    # -- the thread that asks the daemon

    def _work(self) -> None:
        while not self._sessions.closing.is_set():
            try:
                self._host.advance()
                # at once: until the next judgement the host would take the same chunk again, and use up its tries
                while self._host.away:
                    job, why = self._host.away.popitem()
                    self._verdicts[job] = why
                self._defect = None
            except NcsClusterError as error:
                log.debug("%s", error)
            except Exception as error:
                self._defect = f"chunks cannot be worked on: unexpected {reason(error)}"
            self._stirred.wait(LOOK_S if self._host.held else IDLE_S)
            self._stirred.clear()

    # -- the thread that looks at mounts, which may hang

    def _judge(self) -> None:
        while not self._sessions.closing.is_set():
            offers = dict(self._offers)
            try:
                self._host.settle(offers.values())
            except Exception as error:
                log.warning("graphs of jobs: unexpected %s", reason(error))
            for job, offer in offers.items():
                try:
                    self._verdicts[job] = self._host.refusal(offer)
                except Undecided:
                    self._verdicts.pop(job, None)
                except Exception as error:
                    self._verdicts[job] = reason(error)
            for job in set(self._verdicts) - set(offers):
                del self._verdicts[job]
            until_s = time.monotonic() + JUDGED_S
            while time.monotonic() < until_s and not self._judges_anew(offers) and not self._sessions.closing.is_set():
                self._sessions.closing.wait(LOOK_S)

    def _judges_anew(self, offers: Dict[str, Offer]) -> bool:
        """Something has changed since these were judged."""
        guests = self._host.guests
        return not set(self._offers) <= set(offers) or (guests is not None and guests.fetched)

    # -- the thread of the connection

    async def _session(self) -> None:
        """One connection. Returns when it has ended or the sink is closed; raises Unusable."""
        async with connected(self._server, f"ncs_cluster chunks {self._options.node}") as connection:
            jobs, parcels = Jobs(connection), Parcels(connection)
            exchange = Exchange(jobs, parcels, self._host, self._options.node, self._stirred.set)
            due_s, drained = 0.0, False
            self._offers, self._open = {}, None
            await jobs.prepare()
            self._sessions.trouble = None
            taking: Optional[asyncio.Task[None]] = None
            fetching = [asyncio.ensure_future(each(parcels)) for each in (self._fetch_graphs, self._fetch_files)]
            try:
                while not self._sessions.closing.is_set() and not connection.closed:
                    if time.monotonic() >= due_s:
                        self._offers = await jobs.offers(self._offers)
                        drained = await is_drained(connection, self._options.node)
                        due_s = time.monotonic() + OFFERS_S
                        self._open = sorted(self._offers)
                    verdicts = {job: why for job, why in dict(self._verdicts).items() if job in self._offers}
                    await exchange.refuse(verdicts)
                    for held in list(self._host.held.values()):
                        await exchange.tell(held, self._offers)
                    for task in fetching:
                        if task.done():
                            task.result()
                    if taking is not None and taking.done():
                        taking.result()
                        taking = None
                    fits = [job for job, why in verdicts.items() if why is None]
                    if taking is None and fits and self._host.room and not drained:
                        taking = asyncio.ensure_future(exchange.take(fits, self._offers))
                    self._drained = drained and taking is None
                    await asyncio.sleep(TURN_S)
            finally:
                tasks = {*fetching, *([taking] if taking is not None else [])}
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=LAST_WORDS_S / 2)

    async def _fetch_graphs(self, parcels: Parcels) -> None:
        """As long as the connection lasts. Raises Unusable."""
        while True:
            if self._host.guests is not None and self._host.guests.lacks:
                await self._host.guests.fetch(parcels)
            await asyncio.sleep(OFFERS_S)

    async def _fetch_files(self, parcels: Parcels) -> None:
        """As long as the connection lasts. Raises Unusable."""
        while True:
            for held in list(self._host.held.values()):
                if held.state == FETCHING:
                    await fetch(held, parcels)
                    self._stirred.set()
            await asyncio.sleep(TURN_S)
