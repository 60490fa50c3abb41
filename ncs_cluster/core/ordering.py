"""Results of one lane leave in the order of their frames.

A live lane holds a result while frames that were handed out before it are still on their sticks, so that sticks of varying times
lose no results. It holds a result no longer than HOLD_S plus HOLD_SHARE of the time its own inference took. A frame on a stick that
hangs is passed over then, once, and its own result is late. An ordered lane waits for every frame, also for one that was given up.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ncs_cluster.core.work import Unit
from ncs_cluster.types import Outcome

HOLD_SHARE, HOLD_S = 1.0, 0.01
"""Two requests of one stick's usual time differ by less than one such time."""


class Held(NamedTuple):
    """A result that waits for the frames before it."""

    unit: Unit
    outcome: Outcome
    until_s: float


class LiveOrder:
    """One graph of a live stream: `sent` each time a unit goes to a stick, `arrived` when its result comes, `ready` afterwards."""

    def __init__(self) -> None:
        self._newest = -1
        """Number of the newest frame whose result has left."""
        self._sent: deque[tuple[Unit, int]] = deque()
        """Units on sticks with the ticket of their hand-over, oldest first."""
        self._held: dict[int, Held] = {}

    def sent(self, unit: Unit) -> None:
        """The unit was handed to a stick."""
        self._sent.append((unit, unit.ticket))

    def arrived(self, unit: Unit, outcome: Outcome, latency_s: float, now_s: float) -> bool:
        """The result came after `latency_s` on the stick. False: the result of a later frame has left; this one is late."""
        if unit.number <= self._newest:
            return False
        self._held[unit.number] = Held(unit, outcome, now_s + HOLD_S + HOLD_SHARE * latency_s)
        return True

    def ready(self, now_s: float) -> list[tuple[Unit, Outcome]]:
        """Results that may leave now, in order."""
        leaving: list[tuple[Unit, Outcome]] = []
        # a result may be due before one of an earlier frame, which leaves with it
        due = max((number for number, held in self._held.items() if now_s >= held.until_s), default=-1)
        while self._held:
            number = min(self._held)
            held = self._held[number]
            while self._sent and (self._passed(*self._sent[0]) or self._sent[0][0].number < due):
                self._sent.popleft()
            # hand-overs are in the order of frames, but for a retried one, which may be late
            if self._sent and self._sent[0][0].number < number:
                break
            del self._held[number]
            self._newest = number
            leaving.append((held.unit, held.outcome))
        return leaving

    @property
    def deadline_s(self) -> float | None:
        """When a held result leaves at the latest; None when none is held."""
        return min((held.until_s for held in self._held.values()), default=None)

    @property
    def holding(self) -> list[Unit]:
        return [held.unit for held in self._held.values()]

    def flush(self) -> list[tuple[Unit, Outcome]]:
        """All held results, in order: no frame is waited for any more."""
        leaving = [(self._held[number].unit, self._held[number].outcome) for number in sorted(self._held)]
        if self._held:
            self._newest = max(self._held)
        self._held.clear()
        self._sent.clear()
        return leaving

    def _passed(self, unit: Unit, ticket: int) -> bool:
        """The hand-over is over: the unit has ended, has its result here, or went back to its lane."""
        return unit.ended is not None or unit.ticket != ticket or unit.number in self._held


class Reorder:
    """One graph of an ordered stream: results of frames finished early wait for those before them."""

    def __init__(self) -> None:
        self._turns: deque[int] = deque()
        self._waiting: dict[int, tuple[Unit, Outcome]] = {}

    def expect(self, frame: int) -> None:
        """This frame was captured; its turn comes after those before it."""
        self._turns.append(frame)

    def finished(self, unit: Unit, outcome: Outcome) -> list[tuple[Unit, Outcome]]:
        """Results that may leave now, in order."""
        self._waiting[unit.number] = (unit, outcome)
        ready = []
        while self._turns and self._turns[0] in self._waiting:
            ready.append(self._waiting.pop(self._turns.popleft()))
        return ready

    def flush(self) -> list[tuple[Unit, Outcome]]:
        """All results that wait, in order: no frame is waited for any more."""
        leaving = [self._waiting[number] for number in sorted(self._waiting)]
        self._turns.clear()
        self._waiting.clear()
        return leaving

    @property
    def waiting(self) -> int:
        return len(self._waiting)
