"""Jobs are paused, resumed and cancelled; they outlive a daemon, and a daemon may run for one alone: exact actions."""

from __future__ import annotations

import pytest
from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.control_messages import Done
from ncs_cluster.core.actions import Exit, KeepJobs, LogEvent, Spawn
from ncs_cluster.core.events import OPERATOR, Configured
from ncs_cluster.core.jobs import MOST_ENDED
from ncs_cluster.core.replies import answer, refuse
from ncs_cluster.specs import JobRecord
from ncs_cluster.testing.world import installation
from ncs_cluster.types import Outcome
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
    WORKER,
    JobDaemon,
    kept,
    said,
    stopped,
)

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


def test_a_job_that_ends_behind_many_others_is_listed_and_the_daemon_lives() -> None:
    """It ends at a tick, which goes over all jobs, and the one that ended first is forgotten."""
    daemon = JobDaemon()
    daemon.give()
    daemon.tick()
    for number in range(2, MOST_ENDED + 2):
        daemon.give(structs.replace(JOB, out=f"/{number}"))
        daemon.ask("cancel", str(number))
    daemon.receive(CAMERA, m.Hello(m.PROTOCOL, 77, "3.11"))
    daemon.receive(CAMERA, m.Failed("open", "there is no ledger", permanent=True))
    daemon.tick()
    assert (daemon.job.state, daemon.job.detail) == ("failed", "there is no ledger")
    assert list(daemon.engine.jobs.by_id) == ["1", *(str(number) for number in range(3, MOST_ENDED + 2))]


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
