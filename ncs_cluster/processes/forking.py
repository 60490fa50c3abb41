"""The supervisor's side of a fork server (processes/fork_server.py): requests, answers, and what happens without it.

Nothing here waits for it. While it is away, and when it does not answer, workers are started with an interpreter of their own.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from typing import NamedTuple

from ncs_cluster.messages import Forked, ForkFailed, ForkWorker
from ncs_cluster.processes.links import Link
from ncs_cluster.processes.process import Process, describe_exit

STARTING_S = 25.0
"""Until its first word: it imports what workers need. Less than a worker may take to start."""
ANSWER_S = 5.0
STABLE_S = 30.0
"""After so long a death starts a new count."""
LONGEST_WAIT_S = 60.0


class Request(NamedTuple):
    """A worker that is to be forked."""

    process: Process
    sent_s: float


class ForkServer:
    """One runtime's."""

    def __init__(
        self,
        start: Callable[[], Process],
        selector: selectors.BaseSelector,
        forked: Callable[[Process], None],
        not_forked: Callable[[Process], None],
        note: Callable[[str, str], None],
    ) -> None:
        """`start` gives a started fork server or raises OSError. `not_forked` gets each process that must be started otherwise.
        `note(level, text)`: for the log."""
        self._start, self._selector = start, selector
        self._forked, self._not_forked, self._note = forked, not_forked, note
        self._process: Process | None = None
        self._link: Link | None = None
        self._requests: dict[int, Request] = {}
        self._next_ticket = 1
        self._ready = False
        self._heard_s = self._started_s = 0.0
        self._start_s: float | None = None
        """When the next one is due, while there is none."""
        self._deaths = 0
        self.restarts = 0
        self._launch()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def state(self) -> str:
        """As a child's in the status."""
        if self._process is None:
            return "backoff"
        return "running" if self._ready else "starting"

    @property
    def busy(self) -> bool:
        """A request is unanswered."""
        return bool(self._requests)

    def fork(self, process: Process) -> bool:
        """Ask for a worker at the end of this process's channel; `forked` or `not_forked` is called later. False: ask nobody."""
        if self._link is None:
            return False
        ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
        self._requests[ticket] = Request(process, time.monotonic())
        if not self._link.send(ForkWorker(ticket, str(process.endpoint)), process.child_end.fileno()):
            del self._requests[ticket]
            return False
        return True

    def tick(self, now_s: float) -> None:
        """Start one that is due; end one that does not answer."""
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
        """End it, and learn of every worker it has forked."""
        self._start_s = None
        if self._process is None:
            return
        self._process.kill()
        until_s = time.monotonic() + timeout_s
        while self._process.poll() is None and time.monotonic() < until_s:
            time.sleep(0.001)
        self._hear_last_words()

    def _launch(self) -> None:
        self._start_s = None
        self._started_s = self._heard_s = time.monotonic()
        try:
            process = self._start()
        except OSError as error:
            self._wait(f"cannot be started ({error})")
            return
        self._process, self._ready = process, False
        self._link = Link(process.channel, self._selector, self._receive, self._closed)
        self._selector.register(process.pidfd, selectors.EVENT_READ, lambda _mask: self._exited(process))

    def _receive(self, message: object) -> None:
        self._ready, self._heard_s = True, time.monotonic()
        match message:
            case Forked(ticket=ticket, pid=pid) if ticket in self._requests:
                process = self._requests.pop(ticket).process
                process.started(pid)
                self._forked(process)
            case ForkFailed(ticket=ticket, detail=detail) if ticket in self._requests:
                self._note("warning", f"cannot fork: {detail}")
                self._not_forked(self._requests.pop(ticket).process)

    def _closed(self, why: str) -> None:
        self._link = None
        if self._process is not None:
            self._process.kill()

    def _hear_last_words(self) -> None:
        if self._link is not None:
            self._link.drain()
        if self._link is not None:
            self._link.close()
            self._link = None

    def _exited(self, process: Process) -> None:
        self._hear_last_words()
        self._selector.unregister(process.pidfd)
        self._process = None
        self._wait(f"ended ({describe_exit(process.reap())})")
        # what has no answer was not forked: a worker goes on only after its answer was sent
        requests, self._requests = self._requests, {}
        for request in requests.values():
            self._not_forked(request.process)

    def _wait(self, why: str) -> None:
        now_s = time.monotonic()
        self._deaths = 1 if now_s - self._started_s > STABLE_S else self._deaths + 1
        wait_s = min(LONGEST_WAIT_S, 2.0 ** (self._deaths - 1))
        self._start_s = now_s + wait_s
        self._note("warning", f"{why}: workers are started without it; next try in {wait_s:.0f} s")
