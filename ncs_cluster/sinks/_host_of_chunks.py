"""What a host does with the chunks it has: it gives each to its daemon as a job, and judges which jobs over hosts it can take part
in. Used by the thread that asks the daemon; another one tells the server. Runs on CPython 3.9.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from functools import partial
from typing import Dict, Iterable, List, Optional, Tuple

import msgspec

from ncs_cluster.errors import NcsClusterError, NotRunning
from ncs_cluster.fleet.chunk import Chunk, Malformed, Offer, placed
from ncs_cluster.fleet.entry import ABSENT, USABLE
from ncs_cluster.fleet.jobs import DELIVERIES, Taken
from ncs_cluster.jobs.same_graph import key_of
from ncs_cluster.sinks._guest_graphs import Guests
from ncs_cluster.sinks._held_chunk import FAILED, FETCHING, NEW, OVER, RUNNING, WHOLE, Held, Kept, found
from ncs_cluster.sinks.base import JobObserver
from ncs_cluster.specs import GraphSpec
from ncs_cluster.status import Status

AT_ONCE, SHORT_AT_ONCE = 2, 4
"""Chunks that are worked on at the same time: the sticks do one while the job of the other starts or ends, which takes most of the
time of short ones."""
SHORT_S = 2.0
MOST_HELD = 8
"""With those that are whole, and wait for the server or for the end of their jobs."""
ENDED = ("failed", "cancelled")


class Host:
    """See the module."""

    def __init__(
        self, folder: str, mounts: Dict[str, str], weight: float, daemon: JobObserver, guests: Optional[Guests] = None
    ) -> None:
        """`folder`: of the chunks' folders. `guests`: None where this host takes no graphs of others."""
        self.held: Dict[Tuple[str, str], Held] = {}
        """By job and chunk."""
        self.away: Dict[str, str] = {}
        """Jobs whose files were found to be away since the last look at this, and why."""
        self.guests = guests
        self._folder, self._mounts, self._weight, self._daemon = folder, mounts, weight, daemon
        self._graphs: Dict[str, GraphSpec] = {}
        """By their key."""
        self._keys: Dict[Tuple[bytes, int, int], str] = {}
        self._room = 0
        self._short = False
        """The newest whole chunk has taken less than SHORT_S."""

    def load(self) -> None:
        """Chunks that a process before this one has taken. Folders of others are removed. Raises OSError."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        if self.guests is not None:
            self.guests.store.load()
        for name in os.listdir(self._folder):
            folder = os.path.join(self._folder, name)
            held = found(folder)
            if held is None or name != _name(held.chunk):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            self.held[held.chunk.job, held.chunk.chunk] = held
            held.starts += 1
            held.keep()
            if held.starts > DELIVERIES:
                held.fail(f"{DELIVERIES} processes of this host have ended while they had it")

    def add(self, offer: Offer, chunk: Chunk, taken: Taken) -> Held:
        """Raises OSError."""
        kept = Kept(offer, chunk, taken.reply, taken.deliveries)
        before = self.held.get((chunk.job, chunk.chunk))
        if before is not None:
            # the server believes that this host has lost it
            before.taken = taken
            return before
        held = Held(os.path.join(self._folder, _name(chunk)), kept)
        held.keep()
        self.held[chunk.job, chunk.chunk] = held
        return held

    def leaves(self, chunk: Chunk) -> bool:
        """A chunk of this name ended here, and its folder or its job still exists."""
        before = self.held.get((chunk.job, chunk.chunk))
        return before is not None and before.state == OVER

    @property
    def room(self) -> int:
        """How many chunks more the sticks are good for at present."""
        states = [held.state for held in list(self.held.values())]
        at_work = sum(state in (FETCHING, NEW, RUNNING) for state in states)
        return max(0, min(self._room - at_work, MOST_HELD - len(states)))

    def advance(self) -> None:
        """Look at the daemon and at the jobs of all chunks. Raises NcsClusterError where the daemon does not answer."""
        try:
            status = self._daemon.status()
        except NcsClusterError:
            self._room = 0
            raise
        self._room = room(status, SHORT_AT_ONCE if self._short else AT_ONCE)
        states = {job.out: job.detail or f"its job is {job.state}" for job in status.jobs if job.state in ENDED}
        alive = {job.out: job.id for job in status.jobs if job.state in ("running", "paused")}
        for key, held in list(self.held.items()):
            if held.state == NEW:
                self._begin(held, alive)
            elif held.state == RUNNING:
                held.look(states, partial(self._missing, held.offer))
                if held.state == WHOLE:
                    self._short = held.begun_s is not None and time.monotonic() < held.begun_s + SHORT_S
                elif held.state == FAILED and held.away is not None:
                    self.away[held.chunk.job] = held.away
                if held.state == RUNNING and held.folder not in alive and held.folder not in states:
                    # the daemon has lost its jobs, as with its state directory's file
                    held.state = NEW
            elif held.state == OVER:
                if held.folder in alive and held.unwanted:
                    with contextlib.suppress(NcsClusterError):
                        self._daemon.cancel_job(alive[held.folder])
                if held.folder not in alive:
                    held.remove()
                    del self.held[key]

    def settle(self, offers: Iterable[Offer]) -> None:
        """Have the daemon's guests be the graphs of these jobs, and of the chunks that are here, that it lacks."""
        if self.guests is None:
            return
        self._learn()
        own = {key for key, graph in self._graphs.items() if not graph.is_guest}
        needed = {offer.job: offer for offer in offers if self._elsewhere(offer) is None}
        needed.update({held.offer.job: held.offer for held in list(self.held.values())})
        with contextlib.suppress(NotRunning):
            if self.guests.settle([each for each in needed.values() if each.graph_key not in own], list(self._graphs.values())):
                self._learn()

    def refusal(self, offer: Offer) -> Optional[str]:
        """Why this host takes no part in a job; None: it does. Raises Undecided while its graph is on its way."""
        if (why := self._elsewhere(offer)) is not None:
            return why
        self._learn()
        if offer.graph_key not in self._graphs and self.guests is not None and offer.files is not None:
            return self.guests.refusal(offer)
        if offer.graph_key not in self._graphs:
            same = any(graph.name == offer.graph for graph in self._graphs.values())
            return f"its graph {offer.graph} is another one" if same else f"it has no graph {offer.graph}"
        return None

    def _elsewhere(self, offer: Offer) -> Optional[str]:
        """Why the files of a job cannot be found here."""
        if missing := [name for name in offer.mounts if name not in self._mounts]:
            return f"it has no mount {missing[0]}; name its folder in [nats] mounts"
        return self._missing(offer)

    def _missing(self, offer: Offer) -> Optional[str]:
        """Why the files of a job are not here."""
        if offer.first is None:
            return None
        root, name = offer.first
        try:
            if os.path.lexists(os.path.join(placed(self._mounts, root), os.fsdecode(name))):
                return None
        except Malformed as error:
            return f"it {error}"
        shown = os.path.join(self._mounts[root.mount], os.fsdecode(root.folder), os.fsdecode(name))
        why = f"it has no {shown}; mount the same files there"
        for held in list(self.held.values()):
            if held.offer.job == offer.job and held.state in (NEW, RUNNING):
                # the files may be back when the chunk is whole
                held.away = why
        return why

    def _begin(self, held: Held, alive: Dict[str, str]) -> None:
        if held.folder in alive:
            held.state = RUNNING
            return
        if held.offer.graph_key not in self._graphs:
            self._learn()
        graph = self._graphs.get(held.offer.graph_key)
        if graph is None:
            held.fail(f"there is no graph {held.offer.graph} of its content any more")
        else:
            held.begin(self._daemon, graph, self._mounts, self._weight, partial(self._missing, held.offer))

    def _learn(self) -> None:
        """The daemon's graphs; one that cannot be read is left out. A model is read again only when its file has changed."""
        learnt: Dict[str, GraphSpec] = {}
        with contextlib.suppress(NcsClusterError):
            for graph in self._daemon.graphs():
                with contextlib.suppress(OSError):
                    now = os.stat(graph.model)
                    place = msgspec.msgpack.encode(graph), now.st_mtime_ns, now.st_size
                    if place not in self._keys:
                        self._keys[place] = key_of(graph)
                    if not graph.is_guest or self._keys[place] not in learnt:
                        learnt[self._keys[place]] = graph
            self._graphs = learnt


def room(status: Status, most: int) -> int:
    """How many chunks the sticks are good for: none while no stick can work; one where half of them cannot, or where the cameras
    ask for more than the sticks sustain; else `most`."""
    present: List[str] = [stick.state for stick in status.sticks if stick.state != ABSENT]
    usable = sum(state in USABLE for state in present)
    if not usable:
        return 0
    overloaded = status.load is not None and status.load.overloaded
    return 1 if overloaded or (usable * 2 <= len(present) and len(present) > 1) else most


def _name(chunk: Chunk) -> str:
    return f"{chunk.job}-{chunk.chunk}"
