"""Text of jobs, for `ncsctl jobs` and `ncsctl status`: structs in, lines out, no I/O."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ncs_cluster.cli.text import UNKNOWN, Cell, duration, printable, table

if TYPE_CHECKING:
    from ncs_cluster.status import JobStatus

Lines = list[list[Cell]]

STATE = {"running": "good", "paused": "warn", "done": "dim", "cancelled": "dim", "failed": "bad"}
LONGEST = 44


def listed(jobs: list[JobStatus]) -> Lines:
    """A table, the newest last; below it why jobs failed or do not go on."""
    if not jobs:
        return [[Cell("no jobs: ncsctl run SOURCE --graph G --out DIR --attach starts one", "dim")]]
    rows = [
        [
            Cell(job.id, "bold" if job.state == "running" else ""),
            Cell(job.state, STATE.get(job.state, "")),
            Cell(_percent(job)),
            Cell(f"{job.done:,}"),
            Cell(f"{job.failed:,}", "warn" if job.failed else ""),
            Cell(f"{job.fps:.1f}" if job.state == "running" else UNKNOWN),
            Cell(left(job)),
            Cell(printable(job.graph)),
            Cell(_end(printable(job.out))),
        ]
        for job in jobs
    ]
    head = ["JOB", "STATE", "DONE", "FRAMES", "FAILED", "FPS", "LEFT", "GRAPH", "OUT"]
    return [*table(head, rows, right=(2, 3, 4, 5, 6)), *(_detail(job) for job in jobs if job.detail)]


def shown(job: JobStatus) -> Lines:
    """One job, a line for each thing."""
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started_at))
    facts = {
        "state": job.state + (f": {printable(job.detail)}" if job.detail else ""),
        "frames": f"{job.done:,} of {job.expected:,} ({_percent(job)}), {job.failed:,} failed",
        "rate": f"{job.fps:.1f} frames/s, {left(job)} left" if job.state == "running" else UNKNOWN,
        "sources": ", ".join(map(printable, job.sources)),
        "graph": printable(job.graph),
        "out": printable(job.out),
        "formats": ", ".join(map(printable, job.formats)),
        "weight": f"{job.weight:g}",
        "began": began,
    }
    return [[Cell(f"{name:8} ", "dim"), Cell(text)] for name, text in facts.items()]


def left(job: JobStatus) -> str:
    """How long it still takes at the present rate."""
    if job.state != "running" or not job.fps or job.expected < job.done:
        return UNKNOWN
    return duration((job.expected - job.done) / job.fps)


def _percent(job: JobStatus) -> str:
    return f"{100 * job.done // job.expected} %" if job.expected else UNKNOWN


def _detail(job: JobStatus) -> list[Cell]:
    return [Cell(f"  job {job.id}: {printable(job.detail or '')}", "bad" if job.state == "failed" else "warn")]


def _end(path: str) -> str:
    return path if len(path) <= LONGEST else f"…{path[1 - LONGEST :]}"
