"""What users ask of jobs, and what a job's processes say, leads to exact actions."""

from __future__ import annotations

import pytest
from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.control_messages import Done, JobBegun
from ncs_cluster.core.actions import Exit, KeepJobs, LogEvent, Send, Spawn
from ncs_cluster.core.events import OPERATOR, Configured, StopRequested
from ncs_cluster.core.jobs import MOST_ENDED
from ncs_cluster.core.replies import answer, refuse
from ncs_cluster.specs import GraphSpec, JobRecord
from ncs_cluster.status import JobStatus
from ncs_cluster.testing.world import installation
from ncs_cluster.types import GraphName, Outcome
from tests.core.onejob import CAMERA, CLIENT, CSV, JOB, JSONL, PROCESSES, WORKER, JobDaemon, said

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


# -- pause, resume, cancel


def test_a_paused_job_has_no_processes_and_what_waited_for_an_earlier_frame_is_not_recorded() -> None:
    daemon = JobDaemon()
    daemon.open_job()
    daemon.work_through(range(1))
    daemon.read(1)
    daemon.read(2)
    (second,) = [unit.ticket for unit in daemon.engine.tally.open if unit.number == 2]
    daemon.receive(WORKER, m.Inferred(second, Outcome(), 0.05))
    daemon.tick()
    actions = daemon.ask("pause")
    assert actions[-3:] == [
        LogEvent("info", "job 1", "paused: 1 of 4 frames, 0 failed", group=""),
        KeepJobs(),
        answer(CLIENT, Done("job 1 is paused")),
    ]
    assert kept(daemon, "paused", done=1, expected=4)
    assert {sink.outbox.kept for sink in daemon.engine.sinks.by_name.values()} == {0}
    daemon.tick()
    assert stopped(daemon)


def test_a_resumed_job_starts_once_the_processes_of_its_time_before_are_gone() -> None:
    daemon = JobDaemon()
    daemon.open_job()
    daemon.work_through(range(2))
    daemon.ask("pause")
    daemon.tick()
    assert daemon.ask("resume")[-1] == answer(CLIENT, Done("job 1 is running"))
    assert daemon.tick() == []
    daemon.exit(*PROCESSES)
    assert [action for action in daemon.run(daemon.now_s + 0.5) if isinstance(action, Spawn)] == STARTED
    daemon.open_processes(first=2)
    daemon.work_through(range(2, 4))
    daemon.tick()
    assert daemon.job.done == 4


@pytest.mark.parametrize("paused", [False, True])
def test_a_cancelled_job_stops_and_stays_in_the_list(paused: bool) -> None:
    daemon = JobDaemon()
    daemon.open_job()
    if paused:
        daemon.ask("pause")
    assert daemon.ask("cancel")[-1] == answer(CLIENT, Done("job 1 is cancelled"))
    daemon.tick()
    assert stopped(daemon)
    assert [status.state for status in daemon.engine.jobs.status(daemon.now_s)] == ["cancelled"]


@pytest.mark.parametrize(
    ("before", "verb", "why"),
    [
        ([], "resume", "job 1 is running"),
        (["pause"], "pause", "job 1 is paused"),
        (["cancel"], "pause", "job 1 is cancelled"),
        (["cancel"], "resume", "job 1 is cancelled"),
        (["cancel"], "cancel", "job 1 is cancelled"),
        ([], "explode", "a job cannot explode: pause, resume or cancel it"),
    ],
)
def test_what_does_not_fit_its_state_is_refused(before: list[str], verb: str, why: str) -> None:
    daemon = JobDaemon()
    daemon.give()
    for each in before:
        daemon.ask(each)
    assert daemon.ask(verb) == [refuse(CLIENT, why)]


def test_a_job_that_is_not_there_is_refused() -> None:
    assert JobDaemon().ask("pause", "7") == [refuse(CLIENT, "there is no job 7; ncsctl jobs lists them")]


# -- over restarts and new settings


def test_the_next_daemon_goes_on_with_running_jobs_alone_and_with_the_next_number() -> None:
    states = ["running", "paused", "done", "cancelled"]
    records = [
        JobRecord(
            structs.replace(
                NUMBERED, id=str(number), out=f"/out{number}", camera=structs.replace(NUMBERED.camera, name=f"job-{number}")
            ),
            state,
        )
        for number, state in enumerate(states, 1)
    ]
    daemon = JobDaemon()
    daemon.engine.jobs.restore(records)
    assert daemon.tick() == STARTED
    daemon.give()
    assert [(id, job.state) for id, job in daemon.engine.jobs.by_id.items()] == [
        *zip("1234", states, strict=True),
        ("5", "running"),
    ]


def test_a_job_whose_graph_the_next_daemon_has_not_fails() -> None:
    daemon = JobDaemon(installation(1, (), ("faces",), results=False))
    daemon.engine.jobs.restore([JobRecord(NUMBERED)])
    assert daemon.tick() == [
        LogEvent("error", "job 1", "failed: there is no graph demo; known: faces", group=""),
        KeepJobs(),
    ]
    assert kept(daemon, "failed", "there is no graph demo; known: faces")


def test_a_paused_job_whose_graph_has_changed_is_not_resumed() -> None:
    daemon = JobDaemon()
    daemon.engine.jobs.restore([JobRecord(structs.replace(NUMBERED, graph=structs.replace(JOB.graph, threshold=0.9)), "paused")])
    assert daemon.ask("resume") == [refuse(CLIENT, "the threshold of graph demo changed since the job began")]


def test_new_settings_leave_jobs_alone_unless_their_graph_changes() -> None:
    daemon = JobDaemon()
    daemon.open_job()
    settings = daemon.engine.settings
    daemon.receive(OPERATOR, Configured(structs.replace(settings, cameras=installation(1).cameras)))
    assert daemon.job.running
    assert daemon.engine.cameras.by_name["job-1"].removed is False
    changed = structs.replace(settings, graphs=[structs.replace(settings.graphs[0], threshold=0.9)])
    assert "job 1: failed: the threshold of graph demo changed since the job began" in said(
        daemon.receive(OPERATOR, Configured(changed))
    )


def test_the_oldest_jobs_that_have_ended_are_forgotten() -> None:
    daemon = JobDaemon()
    daemon.give(structs.replace(JOB, out="/first"))
    daemon.ask("pause")
    for _ in range(MOST_ENDED + 2):
        daemon.give()
        daemon.ask("cancel", list(daemon.engine.jobs.by_id)[-1])
    assert list(daemon.engine.jobs.by_id) == ["1", *(str(number) for number in range(4, MOST_ENDED + 4))]


# -- the daemon's own end


def test_a_daemon_whose_film_has_ended_goes_on_until_its_job_is_done() -> None:
    daemon = JobDaemon(installation(1, ("cam0",), results=False))
    daemon.open_job()
    daemon.open(camera := daemon.camera.child.endpoint)
    daemon.receive(camera, m.SourceEnded(0))
    daemon.run(105.0)
    assert not daemon.engine.stopping
    daemon.receive(CAMERA, m.SourceEnded(0))
    daemon.tick()
    for endpoint in (JSONL, CSV):
        daemon.receive(endpoint, COMPLETE)
    daemon.tick()
    assert daemon.engine.stopping


def test_a_daemon_that_runs_for_a_job_alone_ends_with_it_and_keeps_none() -> None:
    settings = structs.replace(
        installation(1, (), results=False),
        jobs=[structs.replace(JOB, camera=structs.replace(JOB.camera, name="job-1"), sinks=NUMBERED.sinks)],
    )
    daemon = JobDaemon(settings)
    assert STARTED[0] in daemon.started
    daemon.open_processes()
    daemon.receive(CAMERA, m.SourceEnded(0))
    daemon.tick()
    for endpoint in (JSONL, CSV):
        daemon.receive(endpoint, COMPLETE)
    actions = daemon.tick()
    assert said(actions)[0] == "job: done: 4 of 4 frames, 0 failed"
    assert not any(isinstance(action, KeepJobs) for action in actions)
    assert daemon.engine.stopping


def test_a_daemon_that_runs_for_a_job_alone_ends_where_that_can_never_be_opened() -> None:
    daemon = JobDaemon(structs.replace(installation(1, (), results=False), jobs=[structs.replace(NUMBERED, id="")]))
    daemon.receive(CAMERA, m.Hello(m.PROTOCOL, 77, "3.11"))
    actions = daemon.receive(CAMERA, m.Failed("open", "is locked", permanent=True))
    assert [each for each in actions if isinstance(each, (LogEvent, Exit))] == [LogEvent("error", "job-1", "is locked"), Exit(78)]


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
