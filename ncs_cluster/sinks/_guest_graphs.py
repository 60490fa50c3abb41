"""Guests of this host: graphs that jobs bring along because the daemon lacks them. Each is fetched once, compared with its hash,
and given to the daemon, which tries it and has its sticks load it; it goes when no job needs it.

    lacking --fetch--> kept in a folder --settle--> the daemon's: the job's chunks are taken
       any of these -> refused: the command is told why; it is tried again RETRY_S later

`fetch` is called by the thread of the connection, all else by the one that judges jobs. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import time
from typing import Dict, Iterable, List, Optional, Set, Tuple

from ncs_cluster.errors import NcsClusterError, NotRunning, one_line
from ncs_cluster.fleet.chunk import Malformed, Offer
from ncs_cluster.fleet.parcel import Changed, Parcels, graph_place
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._graph_store import GraphStore
from ncs_cluster.sinks.base import JobObserver
from ncs_cluster.specs import GraphSpec

MOST = 4
"""Guests of a daemon at the same time."""
RETRY_S = 600.0
"""Until a graph that was refused is tried again: the disk may have room by then, or a stick may have been added."""
UNFIT = "its sticks cannot work with the graph that was sent; its log says why"


class Undecided(Exception):
    """The graph of a job is on its way."""


class Guests:
    """See the module. A graph is known here by the hash of its files."""

    def __init__(self, folder: str, daemon: JobObserver) -> None:
        self.store = GraphStore(folder)
        self.fetched = False
        """A graph has come, or was refused, since the last `settle`."""
        self._daemon = daemon
        self._lacking: Dict[str, Offer] = {}
        self._given: Dict[str, str] = {}
        """Those that the daemon has, with their names there."""
        self._known = False
        """`_given` was asked for: a process before this one may have given some."""
        self._refused: Dict[str, Tuple[str, float]] = {}
        """Why, and until when; time.monotonic()."""
        self._used: Set[str] = set()

    def refusal(self, offer: Offer) -> str:
        """Why the daemon does not have the graph that comes with this job. Raises Undecided."""
        assert offer.files is not None
        why, until_s = self._refused.get(offer.files.parcel.sha256, ("", 0.0))
        if time.monotonic() >= until_s:
            raise Undecided
        return why

    def settle(self, needed: Iterable[Offer], graphs: List[GraphSpec]) -> bool:
        """Give the daemon the guests of these jobs, and take from it those of others. `graphs`: all that it has now. True: it has
        others than before. Raises NotRunning."""
        self.fetched = False
        wanted = {offer.files.parcel.sha256: offer for offer in needed if offer.files is not None}
        self._look(graphs)
        self._used = {*wanted, *self._given}
        self._refused = {sha256: why for sha256, why in self._refused.items() if sha256 in wanted}
        lacking, kept, new = dict[str, Offer](), dict[str, str](), dict[str, str]()
        for sha256, offer in wanted.items():
            if sha256 in self._given:
                kept[sha256] = self._given[sha256]
                self.store.touch(sha256)
            elif not self._is_refused(sha256) and (name := self._stored(sha256, offer)) is not None:
                new[sha256] = name
            elif not self._is_refused(sha256):
                lacking[sha256] = offer
        self._lacking = lacking
        for sha256 in list(new)[max(0, MOST - len(kept)) :]:
            self._refuse(sha256, f"it has {MOST} graphs of other jobs already", 0.0)
            del new[sha256]
        # one after another, so that a refusal has a culprit
        added = dict(list(new.items())[:1])
        if not added and len(kept) == len(self._given):
            return False
        self.fetched = len(new) > 1
        try:
            self._daemon.change_guests([(name, self.store.place(sha256)) for sha256, name in {**kept, **added}.items()])
        except NotRunning:
            raise
        except NcsClusterError as error:
            for sha256 in added:
                self._refuse(sha256, one_line(str(error))[:300])
            return False
        self._given = {**kept, **added}
        return True

    async def fetch(self, parcels: Parcels) -> None:
        """Get one graph that a job needs. Raises Unusable."""
        for sha256, offer in list(self._lacking.items())[:1]:
            assert offer.files is not None
            try:
                why = await self.store.fetch(parcels, offer.files, offer.graph_key, self._used)
            except Changed:
                # the command puts it there, or puts it there anew
                await parcels.remove(graph_place(sha256))
                await parcels.want(sha256)
                return
            except Malformed as error:
                why = f"the graph that was sent {error}"
            if why is not None:
                self._refuse(sha256, why)
            self._lacking.pop(sha256, None)
            self.fetched = True

    @property
    def lacks(self) -> bool:
        """A job needs a graph that is not here."""
        return bool(self._lacking)

    def _look(self, graphs: List[GraphSpec]) -> None:
        """Which of the guests the daemon has now: it drops those with which its sticks fail."""
        there = {os.path.basename(os.path.dirname(graph.model)): str(graph.name) for graph in graphs if graph.is_guest}
        for sha256 in set(self._given) - set(there):
            self._refuse(sha256, UNFIT)
        self._given = there if not self._known else {each: name for each, name in self._given.items() if each in there}
        self._known = True

    def _stored(self, sha256: str, offer: Offer) -> Optional[str]:
        """The name of a graph that lies in the store."""
        assert offer.files is not None
        try:
            spec = self.store.spec(offer.files, offer.graph, offer.graph_key)
        except (Malformed, OSError) as error:
            self._refuse(sha256, f"the graph that was sent {reason(error)}")
            return None
        return None if spec is None else str(spec.name)

    def _is_refused(self, sha256: str) -> bool:
        return time.monotonic() < self._refused.get(sha256, ("", 0.0))[1]

    def _refuse(self, sha256: str, why: str, retry_s: float = RETRY_S) -> None:
        self._refused[sha256] = why, time.monotonic() + (retry_s or 1.0)
