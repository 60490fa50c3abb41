"""Jobs: each is a camera and sinks of its own, which come and go with it. What is done stands in the job's ledger, so a job that is
paused, or whose daemon ends, goes on where it was.

    start ----> running ----> its source has ended, every record is written ----> sinks finish ----> done, or failed (a strict job)
                 |    ^
               pause resume    cancel, from running or paused: cancelled; its source or a sink can never be opened: failed
                 v    |
                paused
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import count

from msgspec import structs

from ncs_cluster.core.actions import Action, KeepJobs, LogEvent
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.fleet_jobs import FleetJobs
from ncs_cluster.core.sinks import Sink, Sinks
from ncs_cluster.core.work import Tally
from ncs_cluster.specs import GraphSpec, JobRecord, JobSpec
from ncs_cluster.status import FleetJobStatus, JobStatus

MOST_ENDED = 20
"""Jobs that have ended and are still listed."""
MOST_ENDED_CHUNKS = 8
"""Of jobs over hosts: until the process that has given them has seen how they ended."""


class Job:
    """One job. Its processes exist while it is running, and until they have stopped."""

    def __init__(self, record: JobRecord) -> None:
        self.spec = record.job
        self.state = record.state
        self.detail = record.detail
        self.expected = record.expected
        self.failed = record.failed
        self.done = record.done
        """Frames whose result is on its way to every sink."""
        self.started = False
        """Its camera and sinks were added."""
        self.ended_s = -math.inf
        """When it has ended; -inf: before this daemon."""

    @property
    def name(self) -> str:
        return f"job {self.spec.id}".rstrip()

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def ended(self) -> bool:
        return self.state not in ("running", "paused")

    def record(self) -> JobRecord:
        return JobRecord(self.spec, self.state, self.detail, self.done, self.expected, self.failed)


class Jobs:
    """The jobs by id, in the order in which they began."""

    def __init__(
        self,
        specs: Sequence[JobSpec],
        graphs: Callable[[], Sequence[GraphSpec]],
        cameras: Cameras,
        sinks: Sinks,
        tally: Tally,
    ) -> None:
        """`specs`: jobs for which alone the daemon runs. `graphs()`: the daemon's."""
        self.by_id = {spec.id: Job(JobRecord(spec)) for spec in specs}
        self.fleet = FleetJobs(self.by_id)
        self._alone = list(self.by_id)
        self._graphs = graphs
        self._cameras, self._sinks, self._tally = cameras, sinks, tally

    # -- what users ask for

    def restore(self, records: Sequence[JobRecord]) -> None:
        """The jobs of the daemon before this one; they go on at `tick`."""
        self.by_id.update({record.job.id: Job(record) for record in records})

    def begin(self, spec: JobSpec) -> tuple[Job | None, str]:
        """A new job, which starts at `tick`. Returns it, or None and why it is refused."""
        if (job := next((each for each in self.by_id.values() if each.spec.out == spec.out and not each.ended), None)) is not None:
            return None, f"{job.name} works in {spec.out} already"
        if (why := self._unfit(spec)) is not None:
            return None, why
        taken = {job.spec.camera.name for job in self.by_id.values()} | set(self._cameras.by_name)
        first = max((int(id) for id in self.by_id if id), default=0) + 1
        number = next(str(each) for each in count(first) if f"job-{each}" not in taken)
        sinks = [structs.replace(sink, name=f"{number}/{sink.kind}") for sink in spec.sinks]
        camera = structs.replace(spec.camera, name=f"job-{number}", sinks=[sink.name for sink in sinks])
        job = self.by_id[number] = Job(JobRecord(structs.replace(spec, id=number, camera=camera, sinks=sinks)))
        return job, ""

    def change(self, id: str, verb: str, now_s: float) -> tuple[list[Action], str | None]:
        """`verb`: pause, resume or cancel. Returns what is to be done, and why it is refused."""
        job = self.by_id.get(id)
        if job is None:
            return [], f"there is no job {id}; ncsctl jobs lists them"
        states = {"pause": ("running", "paused"), "resume": ("paused", "running"), "cancel": ("", "cancelled")}
        if verb not in states:
            return [], f"a job cannot {verb}: pause, resume or cancel it"
        needed, state = states[verb]
        if job.ended or (needed and job.state != needed):
            return [], f"{job.name} is {job.state}"
        if state == "running" and (why := self._unfit(job.spec)) is not None:
            return [], why
        return self._enter(job, state, now_s), None

    # -- time

    def tick(self, now_s: float) -> list[Action]:
        """Start jobs, see how far they are, and end them."""
        actions: list[Action] = []
        for job in self._each():
            if job.running and not job.started:
                actions += self._start(job, now_s)
            elif job.running:
                actions += self._advance(job, now_s)
        return actions

    def check_graphs(self, now_s: float) -> list[Action]:
        """After new settings: a job whose graph is another one would mix two kinds of results."""
        actions: list[Action] = []
        for job in self._each():
            if job.running and (why := self._unfit(job.spec)) is not None:
                actions += self._enter(job, "failed", now_s, why)
        return actions

    @property
    def live(self) -> bool:
        """A job is running."""
        return any(job.running for job in self.by_id.values())

    @property
    def over(self) -> bool:
        """The daemon runs for its jobs alone, and none is left."""
        return bool(self._alone) and not any(self.by_id[id].running for id in self._alone)

    @property
    def cameras(self) -> set[str]:
        """Names of the cameras that belong to jobs."""
        return {str(job.spec.camera.name) for job in self.by_id.values()}

    def records(self) -> list[JobRecord]:
        return [job.record() for job in self.by_id.values()]

    def status(self, now_s: float) -> list[JobStatus]:
        return [self._status(job, now_s) for job in self.by_id.values()]

    def fleet_status(self, now_s: float, now_at: float) -> list[FleetJobStatus]:
        """`now_at`: Unix seconds."""
        return self.fleet.status(now_s, now_at, lambda job: self._status(job, now_s).fps)

    # -- one job

    def _each(self) -> list[Job]:
        """A copy of the list: a job that ends removes the job that ended first from `by_id`."""
        return list(self.by_id.values())

    def _start(self, job: Job, now_s: float) -> list[Action]:
        """Add its camera and sinks, once those of its time before a pause are gone."""
        spec = job.spec
        if spec.camera.name in self._cameras.by_name or any(sink.name in self._sinks.by_name for sink in spec.sinks):
            return []
        if (why := self._unfit(spec)) is not None:
            return self._enter(job, "failed", now_s, why)
        job.started = True
        added = bool(spec.id)
        actions = [] if spec.chunk is None else self.fleet.begun(spec.chunk, now_s)
        actions += [action for sink in spec.sinks for action in self._sinks.add(sink, now_s, added=added)]
        return actions + self._cameras.add(spec.camera, now_s, added=added)

    def _advance(self, job: Job, now_s: float) -> list[Action]:
        camera, sinks = self._cameras.by_name[job.spec.camera.name], self._sinks_of(job)
        refused = next((each.refused for each in sinks if each.refused is not None), camera.detail if camera.refused else None)
        if refused is not None:
            return self._enter(job, "failed", now_s, refused)
        if camera.progress is not None:
            job.expected, job.failed = camera.progress.expected, camera.progress.failed
        if camera.stream is not None:
            job.done = 1 + max(camera.stream.published.values(), default=camera.first - 1)
        if not camera.ended or self._tally.count(camera.spec.name).open or any(sink.outbox.kept for sink in sinks):
            return []
        if not all(sink.finishing for sink in sinks):
            return [action for sink in sinks if not sink.finishing for action in sink.finish()]
        if (results := [sink.result for sink in sinks if sink.result is not None]) and len(results) == len(sinks):
            job.failed = results[0].failed
            if all(result.complete for result in results):
                # the camera's last figure may be older: a short film ends before its number of frames was told
                job.done = job.expected = max(job.done, job.expected)
                return self._enter(job, "done", now_s)
            return self._enter(job, "failed", now_s, "stopped at the first failed item")
        return []

    def _enter(self, job: Job, state: str, now_s: float, detail: str | None = None) -> list[Action]:
        actions: list[Action] = []
        if job.running and job.started:
            actions += self._cameras.remove(job.spec.camera.name, now_s)
            actions += [action for sink in self._sinks_of(job) for action in sink.close(now_s)]
        job.state, job.detail, job.started = state, detail, False
        job.ended_s = now_s
        if job.spec.chunk is not None and job.ended:
            actions += self.fleet.ended(job.spec.chunk, job, now_s)
        counts = f"{job.done:,} of {job.expected:,} frames, {job.failed:,} failed"
        text = f"{state}: {detail}" if detail is not None else f"{state}: {counts}"
        level = "error" if state == "failed" else "info" if job.spec.chunk is None else "debug"
        log = LogEvent(level, job.name, text, group="")
        return [*actions, log, *self.keep()]

    def keep(self) -> list[Action]:
        """Write down the jobs for the next daemon; those that have ended first are forgotten."""
        ended = sorted((job for job in self.by_id.values() if job.ended and job.spec.id), key=lambda job: job.ended_s)
        chunks, others = [job for job in ended if job.spec.chunk is not None], [job for job in ended if job.spec.chunk is None]
        for job in [*chunks[:-MOST_ENDED_CHUNKS], *others[:-MOST_ENDED]]:
            del self.by_id[job.spec.id]
        return [] if self._alone else [KeepJobs()]

    def _sinks_of(self, job: Job) -> list[Sink]:
        return [self._sinks.by_name[sink.name] for sink in job.spec.sinks if sink.name in self._sinks.by_name]

    def _unfit(self, spec: JobSpec) -> str | None:
        """Why the daemon's graphs do not fit the job."""
        graphs = self._graphs()
        graph = next((each for each in graphs if each.name == spec.graph.name), None)
        if graph is None:
            return f"there is no graph {spec.graph.name}; known: {', '.join(str(each.name) for each in graphs) or 'none'}"
        differing = [name for name in graph.__struct_fields__ if getattr(graph, name) != getattr(spec.graph, name)]
        return f"the {', '.join(differing)} of graph {graph.name} changed since the job began" if differing else None

    def _status(self, job: Job, now_s: float) -> JobStatus:
        camera = self._cameras.by_name.get(job.spec.camera.name) if job.running and job.started else None
        stream = camera.stream if camera is not None else None
        detail = job.detail
        if camera is not None:
            blocked = [f"{sink.spec.shown}: {why}" for sink in self._sinks_of(job) if (why := sink.detail(now_s)) is not None]
            detail = next(iter(blocked), None if camera.signal or camera.ended else camera.detail)
        return JobStatus(
            id=job.spec.id,
            state=job.state,
            sources=job.spec.sources,
            graph=str(job.spec.graph.name),
            out=job.spec.out,
            formats=[sink.kind for sink in job.spec.sinks],
            done=job.done,
            expected=job.expected,
            failed=job.failed,
            fps=round(stream.detection_fps(now_s), 1) if stream is not None else 0.0,
            weight=job.spec.camera.weight,
            started_at=job.spec.started_at,
            detail=detail,
            chunk_of=None if job.spec.chunk is None else job.spec.chunk.job,
        )
