"""The records for one sink, kept until acknowledged, so that a killed sink process loses none and repeats none.

put ---> queued ---> sent, not acknowledged ---> acknowledged (deleted)
           ^                   |
           +--- sink exited ---+   records that the next sink process finds written count as acknowledged

A record is numbered when it is sent: a live record dropped before that leaves no gap.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ncs_cluster.types import Record

CREDITS = 64
"""Most records sent and not acknowledged."""
HIGH_WATER = 256
"""Ordered streams are held while so many records are kept."""
MOST_KEPT, MOST_BYTES = 20_000, 64_000_000
"""Live streams are not held: beyond either limit their oldest unsent record is dropped and counted as lost. Ordered streams lose
none."""
_RECORD_BYTES, _OBJECT_BYTES = 400, 250
"""Approximate memory of a record without its objects, and of each detection or class in it."""


class Kept(NamedTuple):
    """A record that is not acknowledged yet."""

    record: Record
    live: bool
    size: int


class Outbox:
    """The queue of one sink."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        self._sent = 0
        """How many of `_kept`, from the left, were sent to the present sink process."""
        self.token: bytes | None = None
        """The newest resume token, for the next sink process; None until a sink has opened."""
        self.written = 0
        """Records acknowledged; the number of the oldest kept record."""
        self.lost = 0
        self.open = False

    def put(self, record: Record, *, live: bool = True) -> None:
        outcome = record.outcome
        size = _RECORD_BYTES + _OBJECT_BYTES * (len(outcome.detections) + len(outcome.classes)) + len(outcome.features or b"")
        self._kept.append(Kept(record, live, size))
        self._bytes += size
        while len(self._kept) > MOST_KEPT or self._bytes > MOST_BYTES:
            # not among the first CREDITS records: those may have been sent, to an earlier sink process too, and be written
            oldest = next((index for index in range(CREDITS, len(self._kept)) if self._kept[index].live), None)
            if oldest is None:
                break
            self._bytes -= self._kept[oldest].size
            del self._kept[oldest]
            self.lost += 1

    def opened(self, wanted: int, token: bytes) -> None:
        """A sink process is ready. Its first record is `wanted`: earlier ones are written."""
        while self._kept and self.written < wanted:
            self._done()
        self._sent = 0
        self.token = token
        self.open = True

    def closed(self) -> None:
        """The sink process exited. Unacknowledged records that the next process does not find written are sent again."""
        self._sent = 0
        self.open = False

    def sendable(self) -> list[tuple[int, Record]]:
        """The next records to send, with their numbers; they count as sent from now on."""
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

    def discard(self) -> int:
        """The records that are kept are lost; says how many."""
        discarded, self._sent, self._bytes = len(self._kept), 0, 0
        self._kept.clear()
        self.lost += discarded
        return discarded

    def _done(self) -> None:
        self._bytes -= self._kept.popleft().size
        self.written += 1

    @property
    def kept(self) -> int:
        return len(self._kept)

    @property
    def full(self) -> bool:
        return len(self._kept) >= HIGH_WATER
