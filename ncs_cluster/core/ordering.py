"""Results of one lane are released in the order of their frames.

A live lane holds a result while frames sent before it are still on their sticks, so that sticks of different speed lose no results.
It holds a result at most HOLD_S plus HOLD_SHARE of the result's own latency. A frame on a stick that hangs is then skipped, and its
result is late. An ordered lane waits for every frame, including those that are given up.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ncs_cluster.core.work import Unit
from ncs_cluster.types import Outcome

HOLD_SHARE, HOLD_S = 1.0, 0.01
"""The latencies of two requests on equal sticks differ by less than one latency."""


class Held(NamedTuple):
    """A held result: it waits for earlier frames, until `until_s` at the latest."""

    unit: Unit
    outcome: Outcome
    until_s: float


class LiveOrder:
    """The order of one graph of a live stream. Call `sent` when a unit goes to a stick, `arrived` with its result, then `ready`."""

    def __init__(self) -> None:
        self._newest = -1
        """Number of the newest frame whose result was released."""
        self._sent: deque[tuple[Unit, int]] = deque()
        """Units on sticks, each with its ticket when it was sent, oldest first."""
        self._held: dict[int, Held] = {}

    def sent(self, unit: Unit) -> None:
        """The unit was sent to a stick."""
        self._sent.append((unit, unit.ticket))

    def arrived(self, unit: Unit, outcome: Outcome, latency_s: float, now_s: float) -> bool:
        """A result arrived after `latency_s` on the stick. False: it is late, since the result of a later frame was released."""
        if unit.number <= self._newest:
            return False
        self._held[unit.number] = Held(unit, outcome, now_s + HOLD_S + HOLD_SHARE * latency_s)
        return True

    def ready(self, now_s: float) -> list[tuple[Unit, Outcome]]:
        """The results to release now, in order."""
        leaving: list[tuple[Unit, Outcome]] = []
        if not self._held:
            return leaving
        # a result due before one of an earlier frame releases that one too
        due = -1
        for number, held in self._held.items():
            if now_s >= held.until_s and number > due:
                due = number
        while self._held:
            number = min(self._held)
            held = self._held[number]
            while self._sent and (self._passed(*self._sent[0]) or self._sent[0][0].number < due):
                self._sent.popleft()
            # units are sent in the order of frames, except a retried one, whose result may be late
            if self._sent and self._sent[0][0].number < number:
                break
            del self._held[number]
            self._newest = number
            leaving.append((held.unit, held.outcome))
        return leaving

    @property
    def deadline_s(self) -> float | None:
        """When a held result is released at the latest; None when none is held."""
        return min([held.until_s for held in self._held.values()]) if self._held else None

    @property
    def holding(self) -> list[Unit]:
        return [held.unit for held in self._held.values()]

    def flush(self) -> list[tuple[Unit, Outcome]]:
        """Release all held results, in order, without waiting for earlier frames."""
        leaving = [(self._held[number].unit, self._held[number].outcome) for number in sorted(self._held)]
        if self._held:
            self._newest = max(self._held)
        self._held.clear()
        self._sent.clear()
        return leaving

    def _passed(self, unit: Unit, ticket: int) -> bool:
        """The unit is not on its stick any more: it has ended, its result is held, or it returned to its lane."""
        return unit.ended is not None or unit.ticket != ticket or unit.number in self._held


class Reorder:
    """The order of one graph of an ordered stream: a result waits until the results of all earlier frames are released."""

    def __init__(self) -> None:
        self._turns: deque[int] = deque()
        self._waiting: dict[int, tuple[Unit, Outcome]] = {}

    def expect(self, frame: int) -> None:
        """The frame was captured: its result is released after those of earlier frames."""
        self._turns.append(frame)

    def finished(self, unit: Unit, outcome: Outcome) -> list[tuple[Unit, Outcome]]:
        """The results to release now, in order."""
        self._waiting[unit.number] = (unit, outcome)
        ready = []
        while self._turns and self._turns[0] in self._waiting:
            ready.append(self._waiting.pop(self._turns.popleft()))
        return ready

    def flush(self) -> list[tuple[Unit, Outcome]]:
        """Release all waiting results, in order, without waiting for earlier frames."""
        leaving = [self._waiting[number] for number in sorted(self._waiting)]
        self._turns.clear()
        self._waiting.clear()
        return leaving

    @property
    def waiting(self) -> int:
        return len(self._waiting)
