"""The supervisor's side of a fork server (processes/fork_server.py): requests, answers, restarts.

Nothing here blocks. While no fork server runs, and when it does not answer in time, a child gets an interpreter of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ncs_cluster.messages import Fork, Forked, ForkFailed
from ncs_cluster.processes.buffered_channel import BufferedChannel
from ncs_cluster.processes.loop import Loop
from ncs_cluster.processes.process import Process, describe_exit

STARTING_S = 25.0
"""Time-out for Hello, which follows the imports. Shorter than a child's own time-out (core/child.py)."""
ANSWER_S = 5.0
"""Time-out for the answer to a request."""
STABLE_S = 30.0
"""A fork server that ran for longer is restarted after 1 s; else the wait doubles."""
LONGEST_WAIT_S = 60.0


class Request(NamedTuple):
    """An unanswered request."""

    process: Process
    sent_s: float


class ForkServer:
    """The fork server of one runtime."""

    def __init__(
        self,
        start: Callable[[], Process],
        loop: Loop,
        forked: Callable[[Process, int], None],
        not_forked: Callable[[Process], None],
        note: Callable[[str, str], None],
    ) -> None:
        """`start` returns a fork server or raises OSError. `forked` gets each forked child and its process id, `not_forked`
        each process that needs an interpreter of its own. `note(level, text)` logs a line."""
        self._start, self._loop = start, loop
        self._forked, self._not_forked, self._note = forked, not_forked, note
        self._process: Process | None = None
        self._link: BufferedChannel[object] | None = None
        self._requests: dict[int, Request] = {}
        self._next_ticket = 1
        self._ready = False
        self._heard_s = self._started_s = 0.0
        self._start_s: float | None = None
        """When the next fork server starts, while none runs."""
        self._deaths = 0
        self.restarts = 0
        self._launch()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def state(self) -> str:
        """As the state of a child in the status."""
        if self._process is None:
            return "backoff"
        return "running" if self._ready else "starting"

    @property
    def busy(self) -> bool:
        """A request is unanswered."""
        return bool(self._requests)

    def fork(self, process: Process) -> bool:
        """Request a child for this process's channel; `forked` or `not_forked` is called later. False when no fork server runs."""
        if self._link is None or process.child_end is None:
            return False
        ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
        self._requests[ticket] = Request(process, time.monotonic())
        if not self._link.send(Fork(ticket, process.endpoint.kind, str(process.endpoint)), process.child_end.fileno()):
            del self._requests[ticket]
            return False
        return True

    def tick(self, now_s: float) -> None:
        """Start a fork server that is due; kill one that does not answer."""
        if self._process is None:
            if self._start_s is not None and now_s >= self._start_s:
                self.restarts += 1
                self._launch()
            return
        patience_s = ANSWER_S if self._ready else STARTING_S
        oldest_s = min((request.sent_s for request in self._requests.values()), default=now_s)
        if now_s > max(oldest_s, self._heard_s) + patience_s:
            self._note("warning", f"killed: no answer for {patience_s:.0f} s")
            self._process.kill()
            self._heard_s = now_s

    def close(self, timeout_s: float) -> None:
        """Kill the fork server, and read its last answers: the children that it has forked."""
        self._start_s = None
        if self._process is None:
            return
        self._process.kill()
        until_s = time.monotonic() + timeout_s
        while self._process.poll() is None and time.monotonic() < until_s:
            time.sleep(0.001)
        self._drain()

    def _launch(self) -> None:
        self._start_s = None
        self._started_s = self._heard_s = time.monotonic()
        try:
            process = self._start()
        except OSError as error:
            self._wait(f"cannot be started ({error})")
            return
        self._process, self._ready = process, False
        self._link = BufferedChannel(process.channel, self._loop, self._receive, self._closed)
        self._loop.watch(process.pidfd, lambda _mask: self._exited(process))

    def _receive(self, message: object) -> None:
        self._ready, self._heard_s = True, time.monotonic()
        match message:
            case Forked(ticket=ticket, pid=pid) if ticket in self._requests:
                self._forked(self._requests.pop(ticket).process, pid)
            case ForkFailed(ticket=ticket, detail=detail) if ticket in self._requests:
                self._note("warning", f"cannot fork: {detail}")
                self._not_forked(self._requests.pop(ticket).process)

    def _closed(self, why: str) -> None:
        self._link = None
        if self._process is not None:
            self._process.kill()

    def _drain(self) -> None:
        if self._link is not None:
            self._link.drain()
        if self._link is not None:
            self._link.close()
            self._link = None

    def _exited(self, process: Process) -> None:
        self._drain()
        self._loop.forget(process.pidfd)
        self._process = None
        self._wait(f"ended ({describe_exit(process.reap())})")
        # a request without an answer has no child: a child goes on only after its answer was sent
        requests, self._requests = self._requests, {}
        for request in requests.values():
            self._not_forked(request.process)

    def _wait(self, why: str) -> None:
        now_s = time.monotonic()
        self._deaths = 1 if now_s - self._started_s > STABLE_S else self._deaths + 1
        wait_s = min(LONGEST_WAIT_S, 2.0 ** (self._deaths - 1))
        self._start_s = now_s + wait_s
        self._note("warning", f"{why}: children are started without it; next try in {wait_s:.0f} s")
