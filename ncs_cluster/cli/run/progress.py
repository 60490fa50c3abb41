"""How far a job is: a bar on a terminal, else a line every 10 seconds; and its summary."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import Any

from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.status import JobStatus, Status, StickStatus

LINE_S = 10.0
WINDOW_S = 20.0
"""Seconds of which the rate is the mean."""
NAMED = 10
"""Failed items that the summary names."""


class Progress:
    """Shown while the job runs."""

    def __init__(self, ledger: Ledger, *, quiet: bool) -> None:
        self._ledger = ledger
        self._quiet = quiet
        self._bar: Any = None
        self._line_s = time.monotonic() + LINE_S
        self._seen: deque[tuple[float, int]] = deque()
        self._reasons: list[str] = []
        self.began = ledger.written
        self.last: Status | None = None
        """The newest status in which a stick had worked."""
        self.alone = True
        """The sticks work for nothing else, so that their figures are the job's."""

    def __enter__(self) -> Progress:
        if not self._quiet and sys.stderr.isatty():
            from ncs_cluster.cli.run.bar import Bar

            self._bar = Bar()
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, status: Status | None, job: JobStatus | None = None) -> None:
        """`job`: as the daemon sees it, where it runs beside others."""
        now_s, done = time.monotonic(), self._ledger.written
        if job is not None:
            self.alone = False
            self._reasons = [job.state] if job.state == "paused" else [job.detail] if job.detail is not None else []
        elif status is not None:
            self._reasons = status.daemon.reasons
        if status is not None and any(stick.latency_ms.p50 is not None for stick in status.sticks):
            self.last = status
        self._seen.append((now_s, done))
        while now_s - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.show(self.words(), done, self._ledger.expected)
        elif now_s >= self._line_s:
            self._line_s = now_s + LINE_S
            print(self.words(), file=sys.stderr, flush=True)

    def words(self) -> str:
        (first_s, first), (last_s, done) = self._seen[0], self._seen[-1]
        rate = (done - first) / (last_s - first_s) if last_s > first_s else 0.0
        expected = self._ledger.expected
        parts = [f"{done:,} of {expected:,}", f"{rate:.3g}/s"]
        if rate and expected > done:
            parts.append(f"{duration((expected - done) / rate)} left")
        if failed := self._ledger.failed:
            parts.append(f"{failed:,} failed")
        if self.last is not None:
            parts += [_stick(stick.id, stick.fps, stick.temperature_c) for stick in self.last.sticks]
        return ", ".join([*parts, *self._reasons[:1]])


def summary(ledger: Ledger, progress: Progress, took_s: float) -> list[str]:
    """What was done, for people."""
    frames, failed = ledger.end or 0, ledger.failed
    done = frames - progress.began
    lines = [f"{frames:,} frames, {failed:,} failed; {done:,} of them now, in {duration(took_s)}"]
    if done and took_s > 0:
        lines[0] += f" ({done / took_s:.3g}/s)"
    if progress.last is not None and progress.alone:
        sticks = progress.last.sticks
        total = sum(stick.inferences for stick in sticks)
        for stick in sticks:
            if stick.inferences:
                times = f"p50 {_ms(stick.latency_ms.p50)}, p99 {_ms(stick.latency_ms.p99)}"
                lines.append(f"  {stick.id}: {stick.inferences / total:.0%} of them, {times}")
        answered = done - ledger.failed_from(progress.began)
        lines += _efficiency(answered / took_s if took_s > 0 else 0.0, sticks)
    for failure in ledger.failures(NAMED):
        lines.append(f"  frame {failure.frame}: {failure.reason}")
    if failed > NAMED:
        lines.append(f"  and {failed - NAMED:,} more; the outputs have them all")
    if failed:
        lines.append("--retry-failed works on the failed ones again")
    return lines


def _efficiency(rate: float, sticks: list[StickStatus]) -> list[str]:
    """How much of what its sticks are capable of the job has used: rate / sum(executors / latency p50) over the sticks that have
    worked. `rate`: frames that a stick has answered, per second from the command's start to its end, so that start and final form
    count. The latency is the time of one request on the stick, without waiting. Nothing where one of these figures is unknown; a
    p99 of all sticks together cannot be made of those of each."""
    worked = [stick for stick in sticks if stick.inferences]
    if not worked or not rate or not all(stick.executors and stick.latency_ms.p50 for stick in worked):
        return []
    capable = sum(1000 * (stick.executors or 0) / (stick.latency_ms.p50 or 1) for stick in worked)
    return [f"  efficiency {rate / capable:.0%}: {rate:.3g}/s of the {capable:.3g}/s that these sticks are capable of"]


def duration(seconds: float) -> str:
    """For people: "8.3 s", "2 min 5 s", "3 h 20 min"."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _stick(name: str, fps: float | None, celsius: float | None) -> str:
    return " ".join([name, f"{fps or 0:.3g}/s", *([] if celsius is None else [f"{celsius:.0f} C"])])


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g} ms"
