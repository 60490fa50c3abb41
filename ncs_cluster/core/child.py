"""The life of one child process: when it is started, how long each phase may take, when it is tried again.

                start            Hello             ready
        DOWN ----------> STARTING -----> OPENING ----------> RUNNING
          ^                  |  exit         |  exit   <- lost -- |  exit
          |  exit            v               v                  v
      STOPPING <-- stop -- any of them ... BACKOFF -- its time has come --> STARTING
                             |
                             +-- too late, or asked to --> KILLED -- exit --> BACKOFF (or DOWN when it was to stop)
                                                             |
                                                             +-- cannot be killed --> FENCED -- exit --> BACKOFF

A child that dies after it was healthy starts again at once, unless that happens often; one that never became healthy waits 1 s to
60 s. It is tried for ever: there is no state for giving up.
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


class Limits(Struct, frozen=True):
    """How long a child of one kind may take, seconds. Generous where a slow machine imports big libraries."""

    starting_s: float = 45.0
    opening_s: float = 60.0
    compiling_s: float = 180.0
    silent_s: float = 5.0
    """Without a word while running; every child says something each second."""
    stopping_s: float = 3.0
    killed_s: float = 5.0
    """After SIGKILL a process that is still there hangs in the kernel."""


QUICK_RESTARTS = 3
"""Deaths after health that are answered at once, before backoff begins."""
STABLE_S = 30.0
"""Healthy for this long: earlier deaths are forgotten."""
QUARANTINE = 5
"""Deaths in a row that make a stick "quarantined" in status; it is still tried, every 60 s."""
DEVICE_MISSING_S = 2.0
"""What it drives is gone: whether it was pulled, or has only reset itself, shows in this time."""
LONGEST_BACKOFF_S = 60.0
LONGEST_ERROR = 400
"""Characters kept of a child's last word."""


class Child:
    """One child process as the core sees it. Every method returns what must be done."""

    def __init__(self, endpoint: Endpoint, runtime: str, limits: Limits | None = None) -> None:
        self.endpoint = endpoint
        self.runtime = runtime
        self.limits = limits or Limits()
        self.state = State.DOWN
        self.pid: int | None = None
        self.deadline_s: float | None = None
        self.restarts = 0
        self.failures = 0
        """Deaths in a row without a stable time between."""
        self.last_error: str | None = None
        self._wanted = False
        self._healthy_since_s: float | None = None
        self._exit_reason: str | None = None
        self._slow_retry = False
        self._device_missing = False

    @property
    def alive(self) -> bool:
        """A process exists, in whatever state."""
        return self.state in ALIVE

    @property
    def listening(self) -> bool:
        """Messages may be sent to it: it has said Hello, and its first word was sent with the answer."""
        return self.state in (State.OPENING, State.RUNNING)

    @property
    def accepts(self) -> bool:
        """What it says counts. Not the late words of one that was killed."""
        return self.state in (State.STARTING, State.OPENING, State.RUNNING, State.STOPPING)

    @property
    def running(self) -> bool:
        return self.state is State.RUNNING

    @property
    def quarantined(self) -> bool:
        return self.failures >= QUARANTINE

    def start(self, now_s: float) -> list[Action]:
        """From now on this child shall run."""
        self._wanted = True
        return [] if self.alive else self._spawn(now_s)

    def stop(self, now_s: float) -> list[Action]:
        """From now on it shall not; Stop first, SIGKILL when it takes too long."""
        self._wanted = False
        if self.state in (State.STARTING, State.OPENING, State.RUNNING):
            self._enter(State.STOPPING, now_s + self.limits.stopping_s)
            return [Send(self.endpoint, Stop())]
        if self.state is State.BACKOFF:
            self._enter(State.DOWN, None)
        return []

    def restart(self, now_s: float) -> list[Action]:
        """It shall run with new settings: stop it politely and start it again. This is no death."""
        if self.state in (State.BACKOFF, State.DOWN):
            self._wanted, self.failures = True, 0
            return self._spawn(now_s)
        actions = self.stop(now_s)
        self._wanted = True
        return actions

    def kill(self, now_s: float, reason: str) -> list[Action]:
        """It misbehaves: end it now. Restarted like any other death."""
        if not self.alive or self.state in (State.KILLED, State.FENCED):
            return []
        self._exit_reason = reason
        self._enter(State.KILLED, now_s + self.limits.killed_s)
        return [LogEvent("warning", str(self.endpoint), f"killed: {reason}"), Kill(self.endpoint)]

    def spawned(self, pid: int) -> None:
        self.pid = pid

    def message_received(self, now_s: float) -> None:
        """Any message came: a running child is alive."""
        if self.state is State.RUNNING:
            self.deadline_s = now_s + self.limits.silent_s

    def hello(self, now_s: float) -> None:
        if self.state is State.STARTING:
            self._enter(State.OPENING, now_s + self.limits.opening_s)

    def extend_opening(self, now_s: float) -> None:
        """It has started or opens what it drives, and what it waits for is not its own doing."""
        if self.state is State.STARTING:
            self.deadline_s = now_s + self.limits.starting_s
        elif self.state is State.OPENING:
            self.deadline_s = now_s + self.limits.opening_s

    def phase(self, name: str, now_s: float) -> None:
        """A long step begins; while it lasts nothing is expected to be heard."""
        if self.state in (State.OPENING, State.RUNNING):
            self.deadline_s = now_s + (self.limits.compiling_s if name == "compiling" else self.limits.opening_s)

    def ready(self, now_s: float) -> None:
        """It is healthy: it does what it is for."""
        if self.state is State.OPENING:
            self._enter(State.RUNNING, now_s + self.limits.silent_s)
            self._healthy_since_s = now_s

    def device_lost(self, detail: str, now_s: float, *, not_at_fault: bool = False) -> list[Action]:
        """A running one has lost what it drives and opens it again by itself. It counts as a death; too many end it."""
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
        """The child reports why it fails. A permanent failure is retried after the longest backoff. `device_missing`: the stick it
        drives is not there."""
        self._exit_reason = self._exit_reason or self._shorten(detail)
        self._slow_retry, self._device_missing = permanent, device_missing

    def exited(self, how: str, now_s: float, *, not_at_fault: bool = False) -> list[Action]:
        """The process is gone. `not_at_fault`: what it was given has killed others too, so the death does not count against it."""
        if not self.alive:
            return []
        was, self.pid = self.state, None
        healthy = self._end_healthy_period(now_s)
        reason, self._exit_reason = self._exit_reason, None
        if not self._wanted:
            self._enter(State.DOWN, None)
            return []
        if was is State.STOPPING:
            # asked to, and since then to run again: no death
            return self._spawn(now_s)
        self.last_error = reason or how
        if not not_at_fault:
            self.failures += 1
        quick = healthy and self.failures <= QUICK_RESTARTS and not self._slow_retry
        wait_s = 0.0 if quick else self.backoff_s()
        if self._device_missing:
            quick, wait_s = False, max(DEVICE_MISSING_S, wait_s)
        self._slow_retry = self._device_missing = False
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
        """Without its own name in front: that is said anyway."""
        return detail.removeprefix(f"stick {self.endpoint.name}: ")[:LONGEST_ERROR]

    def _end_healthy_period(self, now_s: float) -> bool:
        """Health is over: was it ever? After a stable time earlier deaths are forgotten."""
        since_s, self._healthy_since_s = self._healthy_since_s, None
        if since_s is not None and now_s - since_s >= STABLE_S:
            self.failures = 0
        return since_s is not None

    def backoff_s(self) -> float:
        """1, 2, 4 ... 60 s by the number of deaths in a row."""
        if self._slow_retry:
            return LONGEST_BACKOFF_S
        return float(min(LONGEST_BACKOFF_S, 2.0 ** min(self.failures - 1, 6))) if self.failures > 0 else 1.0

    def tick(self, now_s: float) -> list[Action]:
        """Act on a deadline that has passed."""
        if self.deadline_s is None or now_s < self.deadline_s:
            return []
        if self.state is State.BACKOFF:
            return self._spawn(now_s)
        if self.state is State.KILLED:
            self._enter(State.FENCED, None)
            return [
                LogEvent(
                    "error",
                    str(self.endpoint),
                    f"process {self.pid} survives SIGKILL (blocked in the kernel): fenced until it exits",
                )
            ]
        too_long = {
            State.STARTING: "did not start in time",
            State.OPENING: "was not ready in time",
            State.STOPPING: "did not stop in time",
            State.RUNNING: f"no heartbeat for {self.limits.silent_s:.0f} s",
        }
        return self.kill(now_s, too_long[self.state])

    def extend_deadlines(self, now_s: float) -> None:
        """The supervisor itself was stopped for a while: nobody is late."""
        if self.state is State.RUNNING:
            self.message_received(now_s)
        elif self.deadline_s is not None and self.deadline_s < now_s:
            self.deadline_s = now_s + self.limits.silent_s

    def retry_now(self, now_s: float) -> list[Action]:
        """The reason for waiting is over (the stick was plugged in again)."""
        self.failures = 0
        return self._spawn(now_s) if self.state is State.BACKOFF else []

    def _spawn(self, now_s: float) -> list[Action]:
        # the last words of one that was to stop are not the next one's
        self._exit_reason, self._slow_retry, self._device_missing = None, False, False
        self._enter(State.STARTING, now_s + self.limits.starting_s)
        return [Spawn(self.endpoint, self.runtime)]

    def _enter(self, state: State, deadline_s: float | None) -> None:
        self.state = state
        self.deadline_s = deadline_s
