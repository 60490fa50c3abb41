"""A host that takes chunks of jobs, with a daemon that does its jobs at once, never, or badly; and a job for it to collect."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ncs_cluster.cli.run import carrying, collecting
from ncs_cluster.cli.run.collecting import Collector
from ncs_cluster.cli.run.feeding import Feeder
from ncs_cluster.cli.run.sent_graph import SentGraph
from ncs_cluster.client import Refused
from ncs_cluster.fleet import graph_files
from ncs_cluster.fleet.address import parse
from ncs_cluster.fleet.chunk import Offer, Root
from ncs_cluster.fleet.connection import Server
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.jobs.ledger import Root as Found
from ncs_cluster.jobs.same_graph import key_of
from ncs_cluster.processes.ledgered_sink import LedgeredSink
from ncs_cluster.processes.made_sink import made_sink
from ncs_cluster.sinks import _chunk_exchange, chunks
from ncs_cluster.sinks.chunks import Chunks, Options
from ncs_cluster.sinks.records import read
from ncs_cluster.specs import CameraSpec, GraphSpec, JobSpec, SinkSpec
from ncs_cluster.status import JobStatus, Status
from ncs_cluster.types import CameraName, GraphName, Outcome, Record
from tests.nats_server import NatsServer
from tests.server_process import WAIT_S
from tests.sinks.onebroker import Told
from tests.sinks.onestatus import status, stick

Do = Callable[[JobSpec], "str | None"]
"""What becomes of a job: None, it is done; a reason, it fails; it may raise to refuse the job."""


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts and the command look ten times as often as in life."""
    for module, names in (
        (chunks, ("LOOK_S", "IDLE_S", "OFFERS_S", "JUDGED_S", "TURN_S")),
        (_chunk_exchange, ("TURN_S", "WAIT_S", "AGAIN_S")),
        (collecting, ("LOOK_S", "AGAIN_S", "REFUSALS_S")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name) / 10)


def well(job: JobSpec) -> str | None:
    return None


class Daemon(Told):
    """A JobObserver. Its jobs end at once, as `do` says."""

    def __init__(self, graph: GraphSpec, do: Do = well, sticks: int = 2) -> None:
        super().__init__(status([stick(f"sim-{number}") for number in range(1, sticks + 1)], []))
        self.known, self.do = [graph], do
        self.guests: list[list[str]] = []
        """The names of those that it was given, each time."""
        self.refuses: str | None = None
        """Why it does not load guests."""
        self.drops = False
        """Its sticks fail with guests."""
        self.jobs: dict[str, JobStatus] = {}
        self.begun: list[list[str]] = []
        """The items of each job."""

    @property
    def items(self) -> list[str]:
        """Of all jobs, sorted."""
        return sorted(name for names in self.begun for name in names)

    def status(self) -> Status:
        return replace(super().status(), jobs=list(self.jobs.values()))

    def graphs(self) -> list[GraphSpec]:
        return self.known

    def begin_job(self, job: JobSpec) -> str:
        ledger = Ledger(str(job.camera.options["ledger"]))
        self.begun.append([item.name for item in ledger.items_from(0)])
        id = str(len(self.begun))
        running = JobStatus(id, "running", [], job.graph.name, job.out, ["records"], 0, 0, 0, 0.0, 0.1, 0.0, None)
        self.jobs[id] = running
        why = self.do(job)
        if why is None:
            self.write(job, ledger)
        self.jobs[id] = replace(running, state="done" if why is None else "failed", detail=why)
        return id

    def change_guests(self, guests: list[tuple[str, str]]) -> None:
        self.guests.append([name for name, _ in guests])
        if (why := self.refuses) is not None and guests:
            raise Refused(why)
        if self.drops:
            return
        own = [each for each in self.known if not each.is_guest]
        self.known = own + [graph_files.read(folder, GraphName(name)) for name, folder in guests]

    def write(self, job: JobSpec, ledger: Ledger) -> None:
        write(job, ledger)

    def cancel_job(self, id: str) -> None:
        raise Refused(f"job {id} has ended")


def write(job: JobSpec, ledger: Ledger) -> None:
    """Write the records of all items; those of files that are away have failed."""
    (spec,) = job.sinks
    sink = LedgeredSink(made_sink(spec), Ledger(str(spec.ledger)), spec.kind)
    sink.open(0, None)
    for item in ledger.items_from(0):
        error = None if os.path.exists(item.path) else f"{item.name}: is away"
        sink.write(Record("job-1", item.number, time.time(), item.name, "sim-1", job.graph.name, 0.01, Outcome(error=error)))
    ledger.set_end(ledger.items)
    sink.finish()
    sink.close()


def graph(folder: Path) -> GraphSpec:
    (folder / "model.xml").write_text("<net/>")
    return GraphSpec(GraphName("small"), str(folder / "model.xml"), "ssd")


@contextmanager
def host(place: NatsServer, folder: Path, daemon: Daemon, **options: Any) -> Iterator[Chunks]:
    """A host that is open; closed when the block is left."""
    node = options.pop("node", "attic")
    given = {"node": node, "mounts": {"photos": str(folder / "photos")}, **options}
    made = Chunks(Options(place.url, str(folder / node), **given), daemon)
    assert made.open(7, None) == (7, b"")
    try:
        yield made
    finally:
        made.close()


class Killed(Exception):
    """The command was killed here."""


class Job:
    """A job over hosts of `items` pictures, four in each chunk."""

    def __init__(
        self, folder: Path, spec: GraphSpec, items: int = 20, silent_s: float = 30.0, *, sends: bool = False, carries: bool = False
    ) -> None:
        """`sends`: its graph comes along for hosts that lack it. `carries`: its files do."""
        photos = folder / "photos"
        photos.mkdir(exist_ok=True)
        self.names = [f"{number}.jpg" for number in range(items)]
        for name in self.names:
            (photos / name).write_bytes(name.encode() * 100)
        (folder / "out").mkdir()
        self.path = folder / "out" / "ledger.sqlite"
        self.ledger = Ledger(str(self.path), create=True)
        self.ledger.begin({}, [Found(str(photos), "", confined=True)], ((0, name.encode()) for name in self.names), ["records"])
        sink = SinkSpec("records", {"path": str(folder / "out" / "records")}, "", "records", str(self.path))
        self.spec = JobSpec(CameraSpec(CameraName("job"), "job", {}, ""), [sink], spec, str(folder / "out"))
        root = Root("photos", b"", "")
        self.graph = SentGraph(spec) if sends else None
        files = None if self.graph is None else self.graph.files
        self.offer = Offer(1, "0", "job1", "small", key_of(spec), 64, 48, silent_s, (root, b"0.jpg"), ["photos"], files)
        self.roots, self.said = [root], list[str]()
        self.carries = carries
        if carries:
            self.roots = carrying.roots(self.ledger)
            self.offer = replace(self.offer, first=None, mounts=[], carried=True)

    def collect(self, place: NatsServer, until: Callable[[], object] = lambda: False, login: tuple[str, str] | None = None) -> None:
        """Run the command's side until all is written, or `until()` says that it is killed. `login`: user and password."""

        def show() -> None:
            if until():
                raise Killed

        feeder = Feeder(self.spec, self.ledger)
        carrier = carrying.Carrier(self.offer.job) if self.carries else None
        made = Collector(self.ledger, feeder, self.offer, self.roots, 4, show, self.said.append, self.graph, carrier)
        try:
            asyncio.run(asyncio.wait_for(made.run(Server(parse(place.url), *(login or ()))), 2 * WAIT_S))
        except Killed:
            # nothing is noted: only the lock goes
            for sink in feeder._sinks:
                sink._inner.close()
        else:
            feeder.close()

    def written(self) -> list[tuple[int, str | None, str | None]]:
        """Frame, item and error of each record."""
        with open(self.path.parent / "records", "rb") as file:
            return [(each.frame, each.item, each.outcome.error) for each in read(file)]

    @property
    def whole(self) -> list[tuple[int, str | None, str | None]]:
        return [(frame, name, None) for frame, name in enumerate(self.names)]


@contextmanager
def aside(work: Callable[[], None]) -> Iterator[threading.Thread]:
    """`work` in a thread, which has ended when the block is left."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield thread
    thread.join(3 * WAIT_S)
    assert not thread.is_alive()
    if failed:
        raise failed[0]
