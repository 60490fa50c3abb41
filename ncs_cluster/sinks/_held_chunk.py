"""One chunk that this host has: a folder with the ledger of its items, and a job of the daemon that works on it.

The folder says all that a later process needs: after a kill of this process, of the daemon, or of both, the chunk goes on where it
was. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import BinaryIO, Callable, Dict, List, Optional

import msgspec
from msgspec import Struct

from ncs_cluster.errors import NcsClusterError, NotRunning, one_line
from ncs_cluster.fleet.chunk import Chunk, Offer, Result, check, placed, title
from ncs_cluster.fleet.film_part import Edges
from ncs_cluster.fleet.jobs import Taken
from ncs_cluster.jobs import layout
from ncs_cluster.jobs.ledger import EDGES, Ledger, Root
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._final import aside
from ncs_cluster.sinks.base import JobObserver
from ncs_cluster.specs import CameraSpec, ChunkOf, GraphSpec, JobSpec, SinkSpec
from ncs_cluster.types import CameraName

LEDGER, RECORDS, KEPT = "ledger.sqlite", "records", "chunk.json"
KIND = "records"
AHEAD = 8
"""Slots granted in advance, as for any job."""
FILES = "files"
"""The folder of those that came with it; there once they are whole."""
FETCHING, NEW, RUNNING, WHOLE = "fetching", "new", "running", "whole"
FAILED, LOST, OVER = "failed", "lost", "over"
Missing = Callable[[], Optional[str]]
"""Why the files of a chunk are not here at present; None: they are."""


class Kept(Struct, frozen=True):
    """What stands in the folder."""

    offer: Offer
    chunk: Chunk
    reply: str
    deliveries: int
    starts: int = 1
    """Processes that have begun with it."""


class Held:
    """See the module. `state`: new, running, whole or failed by the thread that asks the daemon; fetching, lost and over by the one
    that talks with the server; when it is over, the folder is removed."""

    def __init__(self, folder: str, kept: Kept) -> None:
        self.folder, self.offer, self.chunk = folder, kept.offer, kept.chunk
        self.taken = Taken(b"", kept.reply, kept.deliveries)
        self.starts = kept.starts
        self.state = FETCHING if self.chunk.parcel is not None and not os.path.isdir(self.files) else NEW
        self.why = ""
        """Of a failed or lost one."""
        self.told_s = 0.0
        """When the server was told last that it is worked on; time.monotonic()."""
        self.away: Optional[str] = None
        """Its files were away at some time while it was here, and what is missing."""
        self.begun_s: Optional[float] = None
        """When this process gave the daemon its job; time.monotonic()."""
        self.unwanted = False
        """Its job is to be cancelled once it is over."""
        self._ledger: Optional[Ledger] = None

    @property
    def records(self) -> str:
        """The file of its records; there once it is whole."""
        return os.path.join(self.folder, RECORDS)

    @property
    def files(self) -> str:
        """The folder of the files that came with it, a folder for each of its roots."""
        return os.path.join(self.folder, FILES)

    def keep(self) -> None:
        """Raises OSError."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        kept = Kept(self.offer, self.chunk, self.taken.reply, self.taken.deliveries, self.starts)
        with aside(os.path.join(self.folder, KEPT)) as draft, open(draft, "wb") as file:
            file.write(msgspec.json.encode(kept))

    def open_records(self) -> BinaryIO:
        """Raises OSError."""
        return open(self.records, "rb")

    def result(self, node: str) -> Result:
        """Of a whole one; its records are put to it. Raises ValueError for a ledger that this version has not written."""
        ledger, given = self._opened(), self.chunk
        edges: Optional[Edges] = None
        if given.part is not None and (text := ledger.kept(EDGES)) is not None:
            try:
                edges = msgspec.json.decode(text, type=Edges)
            except msgspec.MsgspecError as error:
                raise ValueError("the ends of its part of a film are not known") from error
        lengths = list(layout.lengths(ledger))
        return Result(given.protocol, given.job, given.chunk, node, attempt=os.urandom(8).hex(), lengths=lengths, edges=edges)

    def begin(self, daemon: JobObserver, graph: GraphSpec, mounts: Dict[str, str], weight: float, missing: Missing) -> None:
        """Give the daemon its job. After NotRunning it is still new."""
        try:
            ledger = self._opened()
            if ledger.job is None:
                check(self.chunk)
                ledger.begin({"job": self.chunk.job, "chunk": self.chunk.chunk}, self._roots(mounts), self.chunk.items, [KIND])
            if not self._look(ledger, missing):
                daemon.begin_job(self._job(graph, weight))
                self.begun_s, self.state = time.monotonic(), RUNNING
        except NotRunning:
            return
        except (NcsClusterError, ValueError, OSError) as error:
            # another process of this host may have begun it before
            if not self.runs(daemon):
                self.fail(reason(error))

    def runs(self, daemon: JobObserver) -> bool:
        """The daemon works on it, or may do so."""
        try:
            states = [job.state for job in daemon.status().jobs if job.out == self.folder]
        except NcsClusterError:
            return True
        if any(state in ("running", "paused") for state in states):
            self.state = RUNNING if self.state == NEW else self.state
            return True
        return False

    def look(self, states: Dict[str, str], missing: Missing) -> None:
        """See how far a running one is. `states`: of the daemon's jobs, by folder, with the reason of one that has failed."""
        try:
            if not self._look(self._opened(), missing) and (why := states.get(self.folder)) is not None:
                self.fail(why)
        except (NcsClusterError, OSError) as error:
            self.fail(reason(error))

    def fail(self, why: str) -> None:
        # the reason first: the other thread may see the state at once
        self.why = one_line(why)
        self.state = FAILED

    def remove(self) -> None:
        """The folder; what cannot be removed now is removed by a later process."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _look(self, ledger: Ledger, missing: Missing) -> bool:
        """It has failed or is whole."""
        if self.state in (NEW, RUNNING) and ledger.complete and ledger.sink(KIND).finished:
            self.away = self.away or missing()
            if self.away is None:
                self.state = WHOLE
            else:
                # files that were away are no failed items
                self.fail(self.away)
        return self.state not in (NEW, RUNNING)

    def _roots(self, mounts: Dict[str, str]) -> List[Root]:
        """Raises Malformed."""
        if self.chunk.parcel is None:
            return [Root(placed(mounts, root), root.prefix, confined=True) for root in self.chunk.roots]
        home = os.path.realpath(self.files)
        return [Root(os.path.join(home, str(number)), root.prefix, confined=True) for number, root in enumerate(self.chunk.roots)]

    def _opened(self) -> Ledger:
        if self._ledger is None:
            self._ledger = Ledger(os.path.join(self.folder, LEDGER), create=True)
        return self._ledger

    def _job(self, graph: GraphSpec, weight: float) -> JobSpec:
        ledger = os.path.join(self.folder, LEDGER)
        options: Dict[str, object] = {
            "ledger": ledger,
            "max_width": self.offer.max_width,
            "max_height": self.offer.max_height,
            "lock": True,
        }
        if self.chunk.part is not None:
            options["part"] = msgspec.to_builtins(self.chunk.part)
        shown = f"chunk {self.chunk.chunk} of job {title(self.offer)}"
        camera = CameraSpec(
            CameraName("job"),
            "job",
            options,
            shown,
            graphs=[graph.name],
            ordered=True,
            picture="exact",
            ahead=AHEAD,
            resumable=True,
            weight=weight,
            sinks=[KIND],
            routine="debug",
        )
        sinks = [SinkSpec(KIND, {"path": self.records}, shown, KIND, ledger)]
        return JobSpec(camera, sinks, graph, self.folder, [shown], chunk=ChunkOf(self.chunk.job, title(self.offer)))


def found(folder: str) -> Optional[Held]:
    """The chunk of a folder; None where it holds none."""
    try:
        with open(os.path.join(folder, KEPT), "rb") as file:
            return Held(folder, msgspec.json.decode(file.read(), type=Kept))
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
