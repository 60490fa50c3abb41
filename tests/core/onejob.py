"""A daemon of one stick with a job, and what the job's camera and sinks say."""

from __future__ import annotations

from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.control_messages import ChangeJob
from ncs_cluster.core.actions import Action, LogEvent, Spawn
from ncs_cluster.core.events import Endpoint, Exited, JobGiven
from ncs_cluster.core.jobs import Job
from ncs_cluster.specs import CameraSpec, GraphSpec, JobRecord, JobSpec, Settings, SinkSpec
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName, FrameRef, GraphName, Outcome
from tests.core.onedaemon import HELLO, Daemon

CLIENT, WORKER, CAMERA = Endpoint("client", "5"), Endpoint("worker", "sim-1"), Endpoint("camera", "job-1")
JSONL, CSV = Endpoint("sink", "1/jsonl"), Endpoint("sink", "1/csv")
PROCESSES = (CAMERA, JSONL, CSV)
LEDGER = "/out/ledger.sqlite"
EXITED = Exited("exit code 0", 0)
OPENED = m.SourceOpened(640, 480, None, None, True, True, "4 items")


def sink(kind: str) -> SinkSpec:
    return SinkSpec(kind, {"path": f"/out/results.{kind}"}, f"/out/results.{kind}", kind, LEDGER)


JOB = JobSpec(
    CameraSpec(
        CameraName("job"),
        "job",
        {"ledger": LEDGER},
        "the job's items",
        graphs=[GraphName("demo")],
        ordered=True,
        weight=0.1,
        resumable=True,
        sinks=["jsonl", "csv"],
    ),
    [sink("jsonl"), sink("csv")],
    GraphSpec(GraphName("demo"), "demo.xml", "ssd"),
    "/out",
    ["/pictures"],
    started_at=1.7e9,
)
"""As its command gives it to the daemon."""


class JobDaemon(Daemon):
    """A daemon with one stick that is ready, and one job. Ticks come each quarter of a second."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings or installation(1, (), results=False))
        self.open(WORKER)

    def give(self, spec: JobSpec = JOB) -> list[Action]:
        return self.receive(CLIENT, JobGiven(spec))

    def ask(self, verb: str, id: str = "1") -> list[Action]:
        return self.receive(CLIENT, ChangeJob(id, verb))

    def tick(self) -> list[Action]:
        return self.run(self.now_s + 0.25)

    def open_job(self, first: int = 0) -> None:
        """Give it, start it, open its camera and sinks."""
        self.give()
        self.tick()
        self.open_processes(first)

    def open_processes(self, first: int = 0) -> None:
        for endpoint in (JSONL, CSV):
            self.receive(endpoint, HELLO)
            self.receive(endpoint, m.SinkOpened(0, b"0"))
        self.receive(CAMERA, HELLO)
        self.receive(CAMERA, structs.replace(OPENED, first=first))
        self.receive(CAMERA, m.SourceProgress(4, 0))

    def read(self, number: int, error: str | None = None) -> list[Action]:
        """The camera has read a frame of the job."""
        slots = self.engine.cameras.by_name["job-1"].slots
        assert slots is not None
        granted = next(slot for slot in range(slots.layout.slots) if slot in slots._granted)
        frame = FrameRef(CameraName("job-1"), slots.layout.pool, granted, number, 640, 480)
        return self.receive(CAMERA, m.FrameCaptured(frame, self.now_s, 1.7e9, f"{number}.jpg", error))

    def infer_all(self) -> None:
        """The stick answers all that it has."""
        for ticket in sorted(unit.ticket for unit in self.engine.tally.open if unit.ticket >= 0):
            self.receive(WORKER, m.Inferred(ticket, Outcome(), 0.05))

    def acknowledge(self, *sinks: Endpoint) -> None:
        """Those sinks, or all, have written what they have."""
        for endpoint in sinks or (JSONL, CSV):
            outbox = self.engine.sinks.by_name[endpoint.name].outbox
            if outbox.kept:
                self.receive(endpoint, m.Acked(outbox.written + outbox.kept - 1, b"t"))

    def work_through(self, frames: range) -> None:
        for number in frames:
            self.read(number)
            self.infer_all()
        self.acknowledge()

    def exit(self, *whom: Endpoint) -> None:
        for endpoint in whom:
            self.receive(endpoint, EXITED)

    @property
    def job(self) -> Job:
        return self.engine.jobs.by_id["1"]


def said(actions: list[Action]) -> list[str]:
    return [f"{each.origin}: {each.text}" for each in actions if isinstance(each, LogEvent)]


STARTED = [Spawn(JSONL, "default"), Spawn(CSV, "default"), Spawn(CAMERA, "default")]
NUMBERED = structs.replace(
    JOB,
    id="1",
    camera=structs.replace(JOB.camera, name="job-1", sinks=["1/jsonl", "1/csv"]),
    sinks=[structs.replace(each, name=f"1/{each.kind}") for each in JOB.sinks],
)
"""As the daemon names it."""
COMPLETE = m.SinkFinished(True, 0)


def kept(daemon: JobDaemon, state: str, detail: str | None = None, *, done: int = 0, expected: int = 0, failed: int = 0) -> bool:
    """The job as the next daemon gets it."""
    return daemon.engine.jobs.records() == [JobRecord(NUMBERED, state, detail, done, expected, failed)]


def stopped(daemon: JobDaemon) -> bool:
    """No process of the job is wanted any more."""
    return not any(child.wanted for child in daemon.engine.children() if child.endpoint in PROCESSES)
