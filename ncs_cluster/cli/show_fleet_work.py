"""Text of the work of the fleet that one host has, for `ncsctl status` and `ncsctl jobs`: structs in, lines out, no I/O."""

from __future__ import annotations

from ncs_cluster.cli.text import UNKNOWN, Cell, clock, number, printable, table
from ncs_cluster.status import FleetJobStatus, FleetStatus

Lines = list[list[Cell]]


def status(known: FleetStatus) -> Lines:
    """Whether the host is drained, and the jobs that it works on."""
    lines: Lines = []
    if known.drain in ("draining", "drained"):
        has = in_hand(known.chunks, known.frames)
        still = f"; it still has {has}" if has else ""
        what = "takes no chunks of jobs and no frames of other hosts"
        back = f"; ncsctl fleet return {printable(known.node)} ends that"
        lines.append([Cell("fleet     ", "dim"), Cell(known.drain, "warn"), Cell(f": this host {what}{still}{back}")])
    running = [job for job in known.jobs if job.state == "running"]
    return [*lines, *(jobs(running) if running else [])]


def in_hand(chunks: int, frames: int) -> str:
    """Work of the fleet that a host has; empty: none."""
    return " and ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in ((chunks, "chunk"), (frames, "frame")) if count)


def jobs(over: list[FleetJobStatus]) -> Lines:
    """A table of jobs over hosts, the newest last: what this host has done of each."""
    rows = [
        [
            Cell(printable(job.name), "bold" if job.state == "running" else ""),
            Cell(job.state, "good" if job.state == "running" else "dim"),
            Cell(f"{job.chunks:,}"),
            Cell(str(job.running)),
            Cell(f"{job.done:,}"),
            Cell(f"{job.failed:,}", "warn" if job.failed else ""),
            Cell(number(job.fps, ".1f") if job.state == "running" else UNKNOWN),
            Cell(clock(job.began_at, with_day=True)),
        ]
        for job in over
    ]
    head = ["JOB OVER HOSTS", "STATE", "CHUNKS", "IN HAND", "FRAMES", "FAILED", "FPS", "BEGAN"]
    lines: Lines = table(head, rows, right=(2, 3, 4, 5, 6))
    for job in over:
        if job.failed_chunks:
            count = f"{job.failed_chunks} chunk{'s' * (job.failed_chunks != 1)}"
            lines.append([Cell(f"  {printable(job.name)}: {count} could not be done here; another host was asked", "warn")])
    return lines
