"""Records on their way to one sink: kept until acknowledged, so that a killed sink process loses none and repeats none.

put ---> queued ---> sent, not acknowledged ---> acknowledged (forgotten)
           ^                   |
           +---- sink died ----+   records that the next sink process finds written count as acknowledged

A record gets its number when it is sent: a live record that is lost before that leaves no gap.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ncs_cluster.types import Record

CREDITS = 64
"""Records that may be sent and not acknowledged."""
HIGH_WATER = 256
"""Ordered streams wait when so many records are kept."""
MOST_KEPT, MOST_BYTES = 20_000, 64_000_000
"""Live streams do not wait: beyond either of these their oldest unsent record is lost, and counted. Ordered streams lose none."""
_RECORD_BYTES, _OBJECT_BYTES = 400, 250
"""What a record costs in memory, about: itself, and each detection or class in it."""


class Kept(NamedTuple):
    """A record until it is acknowledged."""

    record: Record
    live: bool
    size: int


class Outbox:
    """The queue of one sink."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        self._sent = 0
        """How many of `_kept`, from the left, have been sent to the present sink process."""
        self.token: bytes | None = None
        """Where the next sink process resumes; None until one has opened."""
        self.written = 0
        """Records acknowledged; the number of the oldest kept record."""
        self.lost = 0
        self.open = False

    def put(self, record: Record, *, live: bool = True) -> None:
        outcome = record.outcome
        size = _RECORD_BYTES + _OBJECT_BYTES * (len(outcome.detections) + len(outcome.classes))
        self._kept.append(Kept(record, live, size))
        self._bytes += size
        while len(self._kept) > MOST_KEPT or self._bytes > MOST_BYTES:
            # behind the credits: a record that was sent, be it to a sink that has died since, may be written already
            oldest = next((index for index in range(CREDITS, len(self._kept)) if self._kept[index].live), None)
            if oldest is None:
                break
            self._bytes -= self._kept[oldest].size
            del self._kept[oldest]
            self.lost += 1

    def opened(self, wanted: int, token: bytes) -> None:
        """A sink process is ready. It wants record `wanted` first: those before it are written."""
        while self._kept and self.written < wanted:
            self._done()
        self._sent = 0
        self.token = token
        self.open = True

    def closed(self) -> None:
        """The sink process ended: unacknowledged records are sent again, as far as the next one does not find them written."""
        self._sent = 0
        self.open = False

    def sendable(self) -> list[tuple[int, Record]]:
        """The next records to send, with their numbers; they count as sent now."""
        if not self.open:
            return []
        batch = []
        while self._sent < min(len(self._kept), CREDITS):
            batch.append((self.written + self._sent, self._kept[self._sent].record))
            self._sent += 1
        return batch

    def acked(self, number: int, token: bytes) -> None:
        if not self.open:
            return
        while self._sent and self.written <= number:
            self._done()
            self._sent -= 1
        self.token = token

    def _done(self) -> None:
        self._bytes -= self._kept.popleft().size
        self.written += 1

    @property
    def kept(self) -> int:
        return len(self._kept)

    @property
    def full(self) -> bool:
        return len(self._kept) >= HIGH_WATER
