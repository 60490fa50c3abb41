"""The states of one child process: when it starts, how long each state may last, when it restarts.

                start            Hello             ready
        DOWN ----------> STARTING -----> OPENING ----------> RUNNING
          ^                  |  exit         |  exit   <- lost -- |  exit
          |  exit            v               v                  v
      STOPPING <-- stop -- any of them ... BACKOFF -- deadline passed --> STARTING
                             |
                             +-- deadline passed, or kill --> KILLED -- exit --> BACKOFF (DOWN after stop)
                                                             |
                                                             +-- cannot be killed --> FENCED -- exit --> BACKOFF

A child that exits after it was healthy restarts at once, QUICK_RESTARTS times; then, and when it never became healthy, it waits 1 s
to 60 s, at most 5 s where a restart costs others little or it has done real work. Restarts never end.
What a child's messages mean is decided by its owner.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from ncs_cluster.core.actions import Action, Kill, LogEvent, Send, Spawn
from ncs_cluster.core.events import Endpoint
from ncs_cluster.messages import Stop


class State(Enum):
    DOWN = "down"
    STARTING = "starting"
    OPENING = "opening"
    RUNNING = "running"
    STOPPING = "stopping"
    KILLED = "killed"
    FENCED = "fenced"
    BACKOFF = "backoff"


ALIVE = frozenset({State.STARTING, State.OPENING, State.RUNNING, State.STOPPING, State.KILLED, State.FENCED})
ACCEPTING = (State.RUNNING, State.STARTING, State.OPENING, State.STOPPING)
"""A tuple, which is searched by identity: asked for every message, and the hash of an enum's member is computed in Python."""


class Limits(Struct, frozen=True):
    """The longest time in each state, seconds. Starting is generous: a slow machine imports large libraries."""

    starting_s: float = 45.0
    opening_s: float = 60.0
    compiling_s: float = 180.0
    silent_s: float = 5.0
    """Longest time without a message while running; every child sends one each second."""
    stopping_s: float = 3.0
    killed_s: float = 5.0
    """A process that exists for longer after SIGKILL is blocked in the kernel."""


QUICK_RESTARTS = 3
"""Exits of a healthy child that lead to a restart at once, before backoff begins."""
STABLE_S = 30.0
"""After so long in good health the failure count is reset."""
QUARANTINE = 5
"""Failures in a row that make a stick "quarantined" in status; it is still restarted, every 60 s, or LOW_BACKOFF_S if it worked."""
DEVICE_MISSING_S = 2.0
"""Least backoff after a stick was not found: within it discovery sees whether the stick was pulled or is resetting."""
LONGEST_BACKOFF_S = 60.0
LOW_BACKOFF_S, WORKED_S = 5.0, 10.0
"""The longest backoff of a gateway, sink or camera, and of a worker whose process was healthy for WORKED_S: to wait longer would
cost more than a restart."""
LONGEST_ERROR = 400
"""Characters kept of a child's error text."""


class Child:
    """One child process. The methods return the actions to perform."""

    def __init__(self, endpoint: Endpoint, runtime: str, limits: Limits | None = None) -> None:
        self.endpoint = endpoint
        self.runtime = runtime
        self.limits = limits or Limits()
        self.state = State.DOWN
        self.pid: int | None = None
        self.deadline_s: float | None = None
        self.restarts = 0
        self.failures = 0
        """Failures in a row, with less than STABLE_S in good health between two."""
        self.recovered_s: float | None = None
        """When the child worked again after `last_error`; None while the error is the present state."""
        self.spawned_s = 0.0
        """When the start of the present process was requested."""
        self.heard_s = 0.0
        """When a running child sent its last message, or when its long step may end."""
        self.step = ""
        """The long step that a child which opens has reported: "opening", "compiling"."""
        self._last_error: str | None = None
        self._wanted = False
        self._healthy_since_s: float | None = None
        self._worked = False
        """The present or last process was healthy for WORKED_S."""
        self._exit_reason: str | None = None
        self._slow_retry = False
        self._device_missing = False
        self._distrusted = False

    @property
    def last_error(self) -> str | None:
        """The newest failure, present or past: see `recovered_s`."""
        return self._last_error

    @last_error.setter
    def last_error(self, detail: str | None) -> None:
        self._last_error, self.recovered_s = detail, None

    @property
    def wanted(self) -> bool:
        """The core wants this process to run."""
        return self._wanted

    @property
    def alive(self) -> bool:
        """A process exists, in any state."""
        return self.state in ALIVE

    @property
    def listening(self) -> bool:
        """It has sent Hello and was sent its opening message, so other messages may follow."""
        return self.state in (State.OPENING, State.RUNNING)

    @property
    def accepts(self) -> bool:
        """Its messages are handled. Messages of a killed child, received late, are not."""
        return self.state in ACCEPTING

    @property
    def running(self) -> bool:
        return self.state is State.RUNNING

    @property
    def quarantined(self) -> bool:
        return self.failures >= QUARANTINE

    def start(self, now_s: float) -> list[Action]:
        """Run this child from now on."""
        self._wanted = True
        return [] if self.alive else self._spawn(now_s)

    def stop(self, now_s: float) -> list[Action]:
        """Stop this child: Stop first, SIGKILL after limits.stopping_s."""
        self._wanted = False
        if self.state in (State.STARTING, State.OPENING, State.RUNNING):
            self._enter(State.STOPPING, now_s + self.limits.stopping_s)
            return [Send(self.endpoint, Stop())]
        if self.state is State.BACKOFF:
            self._enter(State.DOWN, None)
        return []

    def restart(self, now_s: float) -> list[Action]:
        """Stop and start the child, with new settings. This does not count as a failure."""
        if self.state in (State.BACKOFF, State.DOWN):
            self._wanted, self.failures = True, 0
            return self._spawn(now_s)
        actions = self.stop(now_s)
        self._wanted = True
        return actions

    def kill(self, now_s: float, reason: str) -> list[Action]:
        """Kill the child for `reason`. It restarts as after any failure."""
        if not self.alive or self.state in (State.KILLED, State.FENCED):
            return []
        self._exit_reason = reason
        if self._wanted:
            self.last_error = reason
        self._enter(State.KILLED, now_s + self.limits.killed_s)
        return [LogEvent("warning", str(self.endpoint), f"killed: {reason}"), Kill(self.endpoint)]

    def spawned(self, pid: int) -> None:
        self.pid = pid

    def message_received(self, now_s: float) -> None:
        """A message arrived: a running child gets a new deadline."""
        if self.state is State.RUNNING:
            self.heard_s = now_s
            self.deadline_s = now_s + self.limits.silent_s

    def hello(self, now_s: float) -> None:
        if self.state is State.STARTING:
            self._enter(State.OPENING, now_s + self.limits.opening_s)

    def extend_opening(self, now_s: float) -> None:
        """Restart the deadline of a child that waits for something outside it, such as its turn to boot."""
        if self.state is State.STARTING:
            self.deadline_s = now_s + self.limits.starting_s
        elif self.state is State.OPENING:
            self.deadline_s = now_s + self.limits.opening_s

    def phase(self, name: str, now_s: float) -> None:
        """A long blocking step begins; no heartbeat is expected until it ends."""
        self.step = name
        if self.state in (State.OPENING, State.RUNNING):
            self.deadline_s = self.heard_s = now_s + (self.limits.compiling_s if name == "compiling" else self.limits.opening_s)

    def ready(self, now_s: float) -> None:
        """The child is open and healthy."""
        if self.state is State.OPENING:
            self._enter(State.RUNNING, now_s + self.limits.silent_s)
            self._healthy_since_s = self.heard_s = now_s
            self.works(now_s)

    def works(self, now_s: float) -> None:
        """The child works: its last error is past."""
        if self._last_error is not None and self.recovered_s is None:
            self.recovered_s = now_s

    def device_lost(self, detail: str, now_s: float, *, not_at_fault: bool = False) -> list[Action]:
        """A running worker lost its stick and opens it again itself. It counts as a failure unless `not_at_fault`; after
        QUICK_RESTARTS failures the process is killed instead."""
        if self.state is not State.RUNNING:
            return []
        self._end_healthy_period(now_s)
        detail = self._shorten(detail)
        if not not_at_fault and self.failures >= QUICK_RESTARTS:
            return self.kill(now_s, f"{detail}, {self.failures + 1} times in a row")
        self.failures += not not_at_fault
        self.last_error = detail
        self._enter(State.OPENING, now_s + self.limits.opening_s)
        return [LogEvent("warning", str(self.endpoint), f"{self.last_error}: resetting and reopening the stick")]

    def record_failure(self, detail: str, *, permanent: bool, device_missing: bool = False) -> None:
        """The child reports why it will exit. `permanent`: the next attempt waits LONGEST_BACKOFF_S. `device_missing`: its stick
        was not found. The first report counts."""
        self._exit_reason = self._exit_reason or self._shorten(detail)
        self._slow_retry, self._device_missing = permanent, device_missing

    def distrust(self, detail: str) -> None:
        """Its stick computes wrongly: after its exit it is quarantined, and opened again every LONGEST_BACKOFF_S."""
        self.record_failure(detail, permanent=True)
        self._distrusted = True

    def exited(self, how: str, now_s: float, *, not_at_fault: bool = False) -> list[Action]:
        """The process exited. `not_at_fault`: it held a unit that other sticks failed with too, so the exit does not count as a
        failure."""
        if not self.alive:
            return []
        was, self.pid = self.state, None
        healthy = self._end_healthy_period(now_s)
        reason, self._exit_reason = self._exit_reason, None
        if not self._wanted:
            self._enter(State.DOWN, None)
            return []
        if was is State.STOPPING:
            # a restart was requested: this exit is no failure
            return self._spawn(now_s)
        self.last_error = reason or how
        if not not_at_fault:
            self.failures += 1
        if self._distrusted:
            self.failures = max(self.failures, QUARANTINE)
        quick = healthy and self.failures <= QUICK_RESTARTS and not self._slow_retry
        wait_s = 0.0 if quick else self.backoff_s()
        if self._device_missing:
            quick, wait_s = False, max(DEVICE_MISSING_S, wait_s)
        self._slow_retry = self._device_missing = self._distrusted = False
        self.restarts += 1
        actions: list[Action] = []
        if was is not State.KILLED or reason is None:
            again = "restarting" if quick else f"next try in {wait_s:.0f} s"
            actions.append(LogEvent("warning", str(self.endpoint), f"ended ({how}{'; ' + reason if reason else ''}), {again}"))
        if quick:
            return actions + self._spawn(now_s)
        self._enter(State.BACKOFF, now_s + wait_s)
        return actions

    def _shorten(self, detail: str) -> str:
        """At most LONGEST_ERROR characters, without the stick's name, which the log line has already."""
        return detail.removeprefix(f"stick {self.endpoint.name}: ")[:LONGEST_ERROR]

    def _end_healthy_period(self, now_s: float) -> bool:
        """Returns whether the child was healthy. After STABLE_S in good health the failure count is reset."""
        since_s, self._healthy_since_s = self._healthy_since_s, None
        self._worked = self._worked or (since_s is not None and now_s - since_s >= WORKED_S)
        if since_s is not None and now_s - since_s >= STABLE_S:
            self.failures = 0
        return since_s is not None

    def backoff_s(self) -> float:
        """1, 2, 4 ... 60 s by the number of failures in a row, or up to LOW_BACKOFF_S."""
        if self._slow_retry:
            return LONGEST_BACKOFF_S
        longest_s = LOW_BACKOFF_S if self._worked or self.endpoint.kind != "worker" else LONGEST_BACKOFF_S
        return float(min(longest_s, 2.0 ** min(self.failures - 1, 6))) if self.failures > 0 else 1.0

    def tick(self, now_s: float) -> list[Action]:
        """Act on a deadline that has passed: start, kill or fence the process."""
        if self.deadline_s is None or now_s < self.deadline_s:
            return []
        if self.state is State.BACKOFF:
            return self._spawn(now_s)
        if self.state is State.KILLED:
            self._enter(State.FENCED, None)
            self.last_error = f"process {self.pid} survives SIGKILL (blocked in the kernel)"
            return [LogEvent("error", str(self.endpoint), f"{self.last_error}: fenced until it exits")]
        too_long = {
            State.STARTING: "did not start in time",
            State.OPENING: "was not ready in time",
            State.STOPPING: "did not stop in time",
            State.RUNNING: f"no heartbeat for {self.limits.silent_s:.0f} s",
        }
        return self.kill(now_s, too_long[self.state])

    def extend_deadlines(self, now_s: float) -> None:
        """After a stall of the event loop: a deadline that passed meanwhile is extended by limits.silent_s."""
        if self.state is State.RUNNING:
            self.message_received(now_s)
        elif self.deadline_s is not None and self.deadline_s < now_s:
            self.deadline_s = now_s + self.limits.silent_s

    def retry_now(self, now_s: float) -> list[Action]:
        """Start at once and forget earlier failures: the stick was plugged in again."""
        self.failures = 0
        return self._spawn(now_s) if self.state is State.BACKOFF else []

    def retry_within(self, wait_s: float, now_s: float) -> list[Action]:
        """Shorten the backoff: the cause of the last failure may be over."""
        if self.state is not State.BACKOFF or self.deadline_s is None or self.deadline_s <= now_s + wait_s:
            return []
        self.deadline_s = now_s + wait_s
        return [LogEvent("info", self.endpoint.name, f"is back on the bus: next try in {wait_s:.0f} s")]

    def _spawn(self, now_s: float) -> list[Action]:
        # a reason reported while stopping does not belong to the next process
        self.spawned_s, self.step = now_s, ""
        self._exit_reason, self._slow_retry, self._device_missing, self._worked = None, False, False, False
        self._distrusted = False
        self._enter(State.STARTING, now_s + self.limits.starting_s)
        return [Spawn(self.endpoint, self.runtime)]

    def _enter(self, state: State, deadline_s: float | None) -> None:
        self.state = state
        self.deadline_s = deadline_s
