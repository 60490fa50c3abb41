"""What users ask of jobs, and what a job's processes say, leads to exact actions."""

from __future__ import annotations

import pytest
from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.control_messages import JobBegun
from ncs_cluster.core.actions import Exit, KeepJobs, LogEvent, Send
from ncs_cluster.core.events import OPERATOR, Endpoint, StopRequested
from ncs_cluster.core.replies import answer, refuse
from ncs_cluster.specs import GraphSpec, JobRecord
from ncs_cluster.status import JobStatus
from ncs_cluster.testing.world import installation
from ncs_cluster.types import GraphName
from tests.core.onejob import (
    CAMERA,
    CLIENT,
    COMPLETE,
    CSV,
    JOB,
    JSONL,
    NUMBERED,
    PROCESSES,
    STARTED,
    JobDaemon,
    kept,
    said,
    stopped,
)

# -- begin


def test_a_job_is_numbered_kept_and_starts_its_processes_at_the_next_tick() -> None:
    daemon = JobDaemon()
    text = "begins: /pictures with demo into /out"
    assert daemon.give() == [KeepJobs(), LogEvent("info", "job 1", text, group=""), answer(CLIENT, JobBegun("1"))]
    assert kept(daemon, "running")
    assert daemon.tick() == STARTED
    assert [sink.spec.name for sink in daemon.engine.sinks.by_name.values()] == ["1/jsonl", "1/csv"]
    assert daemon.tick() == []


def test_a_folder_has_one_job_at_a_time() -> None:
    daemon = JobDaemon()
    daemon.give()
    assert daemon.give() == [refuse(CLIENT, "job 1 works in /out already")]
    daemon.ask("cancel")
    daemon.give()
    assert list(daemon.engine.jobs.by_id) == ["1", "2"]


def test_a_number_whose_camera_name_is_taken_is_passed_over() -> None:
    daemon = JobDaemon(installation(1, ("job-1", "job-2"), results=False))
    daemon.give()
    assert [(id, job.spec.camera.name) for id, job in daemon.engine.jobs.by_id.items()] == [("3", "job-3")]


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (GraphSpec(GraphName("faces"), "faces.xml", "ssd"), "there is no graph faces; known: demo"),
        (structs.replace(JOB.graph, threshold=0.9), "the threshold of graph demo changed since the job began"),
        (structs.replace(JOB.graph, model="x", decoder="yolo"), "the model, decoder of graph demo changed since the job began"),
    ],
)
def test_a_job_of_another_graph_than_the_daemons_is_refused(graph: GraphSpec, why: str) -> None:
    daemon = JobDaemon()
    assert daemon.give(structs.replace(JOB, graph=graph)) == [refuse(CLIENT, why)]
    assert daemon.engine.jobs.by_id == {}


def test_a_daemon_that_stops_takes_no_job() -> None:
    daemon = JobDaemon()
    daemon.receive(OPERATOR, StopRequested())
    assert daemon.give() == [refuse(CLIENT, "the daemon is stopping")]


# -- work


def test_records_of_a_job_go_to_its_sinks_alone() -> None:
    daemon = JobDaemon(installation(1, ()))
    daemon.open_job()
    daemon.read(0)
    daemon.infer_all()
    assert {name: sink.outbox.kept for name, sink in daemon.engine.sinks.by_name.items()} == {"": 0, "1/jsonl": 1, "1/csv": 1}


def test_a_source_that_an_earlier_run_has_begun_goes_on_behind_it() -> None:
    daemon = JobDaemon()
    daemon.open_job(first=2)
    assert daemon.job.done == 0
    daemon.tick()
    assert daemon.job.done == 2
    daemon.work_through(range(2, 4))
    assert daemon.engine.tally.out_of_order == 0
    daemon.tick()
    assert (daemon.job.done, daemon.job.expected) == (4, 4)


def test_a_job_ends_when_its_source_has_ended_all_is_written_and_every_sink_has_finished() -> None:
    daemon = JobDaemon()
    daemon.open_job()
    daemon.work_through(range(3))
    daemon.read(3)
    daemon.receive(CAMERA, m.SourceEnded(4))
    assert daemon.tick() == [], "a frame is with the stick"
    daemon.infer_all()
    daemon.acknowledge(JSONL)
    assert daemon.tick() == [], "a record is not acknowledged"
    daemon.acknowledge(CSV)
    assert daemon.tick()[-2:] == [Send(JSONL, m.FinishSink()), Send(CSV, m.FinishSink())]
    daemon.receive(JSONL, COMPLETE)
    daemon.tick()
    assert daemon.job.running
    daemon.receive(CSV, COMPLETE)
    assert daemon.tick()[-2:] == [
        LogEvent("info", "job 1", "done: 4 of 4 frames, 0 failed", group=""),
        KeepJobs(),
    ]
    assert kept(daemon, "done", done=4, expected=4)
    daemon.tick()
    assert stopped(daemon)
    daemon.exit(*PROCESSES)
    daemon.run(daemon.now_s + 0.5)
    assert (daemon.engine.sinks.by_name, daemon.engine.cameras.by_name) == ({}, {})


def test_a_sink_that_dies_while_it_finishes_is_asked_again() -> None:
    daemon = JobDaemon()
    daemon.open_job()
    daemon.receive(CAMERA, m.SourceEnded(0))
    daemon.tick()
    daemon.exit(CSV)
    daemon.receive(CSV, m.Hello(m.PROTOCOL, 78, "3.11"))
    assert daemon.receive(CSV, m.SinkOpened(0, b"0")) == [Send(CSV, m.FinishSink())]


def test_a_strict_job_that_met_a_failure_has_failed() -> None:
    daemon = JobDaemon()
    daemon.open_job()
    daemon.read(0, "0.jpg: is truncated")
    daemon.acknowledge()
    daemon.receive(CAMERA, m.SourceEnded(1))
    daemon.tick()
    for endpoint in (JSONL, CSV):
        daemon.receive(endpoint, m.SinkFinished(False, 1))
    assert said(daemon.tick()) == ["job 1: failed: stopped at the first failed item"]
    assert daemon.job.record() == JobRecord(NUMBERED, "failed", "stopped at the first failed item", 1, 4, 1)


@pytest.mark.parametrize("endpoint", [CAMERA, CSV], ids=str)
def test_a_job_fails_where_its_source_or_a_sink_can_never_be_opened_and_the_daemon_goes_on(endpoint: object) -> None:
    daemon = JobDaemon()
    daemon.give()
    daemon.tick()
    daemon.receive(endpoint, m.Hello(m.PROTOCOL, 77, "3.11"))  # type: ignore[arg-type]
    actions = daemon.receive(endpoint, m.Failed("open", "is locked", permanent=True))  # type: ignore[arg-type]
    actions += daemon.tick()
    assert "job 1: failed: is locked" in said(actions)
    daemon.tick()
    assert stopped(daemon)
    assert not any(isinstance(action, Exit) for action in actions)


@pytest.mark.parametrize("endpoint", [CAMERA, CSV], ids=str)
def test_a_job_whose_ledger_fails_has_failed_though_its_processes_had_opened_it(endpoint: Endpoint) -> None:
    daemon = JobDaemon()
    daemon.open_job()
    actions = daemon.receive(endpoint, m.Failed("open", "the ledger is damaged", permanent=True))
    assert "job 1: failed: the ledger is damaged" in said([*actions, *daemon.tick()])
    assert (daemon.job.state, daemon.job.detail) == ("failed", "the ledger is damaged")


# -- status


def test_the_status_of_a_job_is_what_its_processes_say() -> None:
    daemon = JobDaemon()
    daemon.open_job()
    daemon.work_through(range(1))
    daemon.tick()
    daemon.work_through(range(1, 2))
    daemon.receive(CAMERA, m.SourceProgress(4, 1))
    daemon.tick()
    (status,) = daemon.engine.jobs.status(daemon.now_s)
    assert status == JobStatus(
        "1", "running", ["/pictures"], "demo", "/out", ["jsonl", "csv"], 2, 4, 1, status.fps, 0.1, 1.7e9, None
    )
    assert status.fps > 0
    daemon.receive(CSV, m.SinkBlocked("No space left on device"))
    assert daemon.engine.jobs.status(daemon.now_s)[0].detail == "/out/results.csv: No space left on device"
    daemon.receive(CSV, m.SinkBlocked(None))
    daemon.receive(CAMERA, m.SourceLost("the disk is gone"))
    assert daemon.engine.jobs.status(daemon.now_s)[0].detail == "the disk is gone"


def test_a_job_counts_the_frames_of_a_film_that_ended_before_their_number_was_told() -> None:
    daemon = JobDaemon()
    daemon.open_job()
    daemon.receive(CAMERA, m.SourceProgress(1, 0))
    daemon.work_through(range(5))
    daemon.receive(CAMERA, m.SourceEnded(5))
    daemon.infer_all()
    daemon.acknowledge(JSONL, CSV)
    daemon.tick()
    for sink in (JSONL, CSV):
        daemon.receive(sink, COMPLETE)
    daemon.tick()
    assert kept(daemon, "done", done=5, expected=5)
