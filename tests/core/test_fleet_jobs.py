"""What a host does of a job over hosts is summed up over its chunks, which do not fill the list of jobs and the log."""

from __future__ import annotations

from msgspec.structs import replace

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.jobs import MOST_ENDED, MOST_ENDED_CHUNKS
from ncs_cluster.messages import SourceEnded, WorkTold
from ncs_cluster.specs import ChunkOf, JobRecord, SinkSpec
from ncs_cluster.status import FleetJobStatus
from ncs_cluster.testing.world import installation
from tests.core.oneengine import NOW_AT, drawn
from tests.core.onejob import CAMERA, HELLO, JOB, OPENED, JobDaemon

OF = ChunkOf("1f2e", "photos/2024")
FLEET = SinkSpec("fleet", {"node": "attic"}, "nats://server:4222", "fleet")
CHUNKS = SinkSpec("chunks", {}, "nats://server:4222", "chunks", records=False)


class Host(JobDaemon):
    def __init__(self) -> None:
        super().__init__(replace(installation(1, (), results=False), sinks=[FLEET, CHUNKS]))
        self.logged: list[tuple[str, str]] = []
        self.receive(Endpoint("sink", "chunks"), HELLO)

    def chunk(self, number: int, state: str = "done") -> None:
        """One that ends in this way: 20 frames, one of them failed."""
        spec = replace(JOB, out=f"/chunks/{number}", chunk=OF)
        self.note(self.give(spec))
        job = list(self.engine.jobs.by_id.values())[-1]
        self.note(self.tick())
        job.done = job.expected = 20
        job.failed = 1
        self.note(self.engine.jobs._enter(job, state, self.now_s, "the disk is full" if state == "failed" else None))
        self.note(self.tick())

    def offered(self, *jobs: str) -> None:
        self.note(self.receive(Endpoint("sink", "chunks"), WorkTold(False, 0, list(jobs))))
        self.note(self.tick())

    def note(self, actions: list[Action]) -> None:
        self.logged += [(each.level, f"{each.origin}: {each.text}") for each in actions if isinstance(each, LogEvent)]

    def summed(self) -> list[FleetJobStatus]:
        fleet = drawn(self.engine, self.now_s).fleet
        assert fleet is not None
        return fleet.jobs


def test_chunks_are_one_row_and_two_lines_of_the_log() -> None:
    host = Host()
    host.offered(OF.job)
    for number in range(14):
        host.chunk(number)
    host.chunk(14, "failed")
    (row,) = host.summed()
    assert replace(row, began_at=0.0) == FleetJobStatus(
        "1f2e", "photos/2024", "running", 14, 0, 1, 280, 14, 0.0, began_at=0.0, ended_at=None
    )
    assert NOW_AT - 60.0 < row.began_at <= NOW_AT
    host.offered()
    assert [each.state for each in host.summed()] == ["ended"]
    told = [line for level, line in host.logged if level == "info" and "job" in line]
    assert told == [
        "job photos/2024: begins on this host, in chunks",
        "job photos/2024: has ended; this host has done 14 chunks, 280 frames, 14 failed",
    ]
    assert [line for level, line in host.logged if level == "error"] == ["job 15: failed: the disk is full"]
    assert len([line for level, line in host.logged if level == "debug"]) == 15 + 14


def test_a_job_goes_on_while_the_server_is_away_and_while_a_chunk_is_left() -> None:
    host = Host()
    host.offered(OF.job)
    host.note(host.give(replace(JOB, chunk=OF)))
    host.note(host.tick())
    (row,) = host.summed()
    assert (row.running, row.chunks, row.state) == (1, 0, "running")
    host.offered()
    assert host.summed()[0].state == "running"
    host.receive(Endpoint("sink", "chunks"), WorkTold(False, 0, None))
    host.ask("cancel")
    host.tick()
    assert host.summed()[0].state == "running"
    host.offered()
    assert host.summed()[0].state == "ended"


def test_ended_chunks_leave_the_list_to_the_jobs_of_this_host() -> None:
    host = Host()
    for number in range(MOST_ENDED):
        host.give(replace(JOB, out=f"/own/{number}"))
        host.ask("cancel", str(number + 1))
    for number in range(30):
        host.chunk(number)
    listed = host.engine.jobs.status(host.now_s)
    assert len([job for job in listed if job.chunk_of is None]) == MOST_ENDED
    assert [job.chunk_of for job in listed if job.chunk_of is not None] == [OF.job] * MOST_ENDED_CHUNKS


def test_a_chunk_of_the_daemon_before_is_summed_up_too() -> None:
    host = Host()
    host.engine.jobs.restore([JobRecord(replace(JOB, id="1", chunk=OF))])
    host.note(host.tick())
    assert [(row.name, row.running) for row in host.summed()] == [("photos/2024", 1)]


def test_the_camera_of_a_chunk_has_lines_in_the_log_alone() -> None:
    host = Host()
    host.give(replace(JOB, chunk=OF, camera=replace(JOB.camera, routine="debug")))
    host.tick()
    host.receive(CAMERA, HELLO)
    host.logged.clear()
    host.note(host.receive(CAMERA, OPENED))
    host.note(host.receive(CAMERA, SourceEnded(4)))
    assert host.logged == [("debug", "job-1: opened: 4 items, 640x480"), ("debug", "job-1: ended after 0 frames")]
