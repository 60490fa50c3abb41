"""What this host does of each job over hosts: the chunks that it works on are jobs of their own, and are summed up here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.specs import ChunkOf
from ncs_cluster.status import FleetJobStatus

if TYPE_CHECKING:
    from ncs_cluster.core.jobs import Job

MOST_ENDED = 20
"""Jobs over hosts that have ended and are still listed."""


class FleetJob:
    """One job over hosts, since this daemon began."""

    def __init__(self, of: ChunkOf, now_s: float) -> None:
        self.of = of
        self.began_s = now_s
        self.ended_s: float | None = None
        """When the job was no longer offered and no chunk of it was left."""
        self.chunks = self.failed_chunks = 0
        """Those that are done, and those that this host could not do."""
        self.done = self.failed = 0
        """Frames of the chunks that are done; those of them without a result."""

    @property
    def name(self) -> str:
        return f"job {self.of.title}"


class FleetJobs:
    """The jobs over hosts by the name that the server has for them, in the order in which they began here."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        """`jobs`: the daemon's, by id; it changes."""
        self.by_id: dict[str, FleetJob] = {}
        self._jobs = jobs

    def running(self, id: str) -> list[Job]:
        """Chunks of it that have not ended."""
        return [job for job in self._jobs.values() if job.spec.chunk is not None and job.spec.chunk.job == id and not job.ended]

    def begun(self, of: ChunkOf, now_s: float) -> list[Action]:
        """A chunk of it has begun."""
        known = self.by_id.get(of.job)
        if known is not None and known.ended_s is None:
            return []
        self.by_id.pop(of.job, None)
        job = self.by_id[of.job] = FleetJob(of, now_s)
        return [LogEvent("info", job.name, "begins on this host, in chunks", group="")]

    def ended(self, of: ChunkOf, chunk: Job, now_s: float) -> list[Action]:
        """A chunk of it has ended, in whatever way."""
        # begun by a daemon before this one
        actions = [] if of.job in self.by_id else self.begun(of, now_s)
        job = self.by_id[of.job]
        if chunk.state == "done":
            job.chunks, job.done, job.failed = job.chunks + 1, job.done + chunk.done, job.failed + chunk.failed
        elif chunk.state == "failed":
            job.failed_chunks += 1
        return actions

    def look(self, offered: Iterable[str] | None, now_s: float) -> list[Action]:
        """End those that are offered no more and of which no chunk is left. `offered`: None: not known."""
        if offered is None:
            return []
        actions: list[Action] = []
        known = set(offered)
        for id, job in self.by_id.items():
            if job.ended_s is None and id not in known and not self.running(id):
                job.ended_s = now_s
                counts = f"{job.chunks:,} chunk{'s' * (job.chunks != 1)}, {job.done:,} frames, {job.failed:,} failed"
                actions.append(LogEvent("info", job.name, f"has ended; this host has done {counts}", group=""))
        ended = [id for id, job in self.by_id.items() if job.ended_s is not None]
        for id in ended[:-MOST_ENDED]:
            del self.by_id[id]
        return actions

    def status(self, now_s: float, now_at: float, fps: Callable[[Job], float]) -> list[FleetJobStatus]:
        """`now_at`: Unix seconds. `fps`: of a chunk's job, frames a second."""
        rows = []
        for id, job in self.by_id.items():
            running = self.running(id)
            rows.append(
                FleetJobStatus(
                    id=id,
                    name=job.of.title,
                    state="running" if job.ended_s is None else "ended",
                    chunks=job.chunks,
                    running=len(running),
                    failed_chunks=job.failed_chunks,
                    done=job.done + sum(each.done for each in running),
                    failed=job.failed + sum(each.failed for each in running),
                    fps=round(sum(map(fps, running)), 1),
                    began_at=round(now_at - (now_s - job.began_s), 3),
                    ended_at=None if job.ended_s is None else round(now_at - (now_s - job.ended_s), 3),
                )
            )
        return rows
