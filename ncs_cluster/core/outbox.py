"""Records on their way to the sink: numbered, kept until acknowledged, so that a killed sink loses none and repeats none.

put ---> queued ---> sent, not acknowledged ---> acknowledged (forgotten)
           ^                   |
           +---- sink died ----+   what the new sink finds written behind the last acknowledged byte counts as acknowledged
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

CREDITS = 64
"""Records that may be sent and not acknowledged."""
HIGH_WATER = 256
"""Ordered streams wait when so many records are kept."""
MOST_KEPT, MOST_BYTES = 20_000, 64_000_000
"""Live streams do not wait: beyond either of these their oldest unsent record is lost, and counted. Ordered streams lose none."""


class Kept(NamedTuple):
    """A record until it is acknowledged."""

    number: int
    record: bytes
    live: bool


class Outbox:
    """One sink's queue."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        self._sent = 0
        """How many of `_kept`, from the left, have been sent to the present sink."""
        self._next = 0
        self.offset: int | None = None
        """Bytes known to be written; None until the sink has said so once."""
        self.written = 0
        self.lost = 0
        self.open = False

    def put(self, record: bytes, *, live: bool = True) -> None:
        self._kept.append(Kept(self._next, record, live))
        self._bytes += len(record)
        self._next += 1
        while len(self._kept) > MOST_KEPT or self._bytes > MOST_BYTES:
            # behind the credits: what was sent, be it to a sink that has died since, may be on the disk already
            oldest = next((index for index in range(CREDITS, len(self._kept)) if self._kept[index].live), None)
            if oldest is None:
                break
            self._bytes -= len(self._kept[oldest].record)
            del self._kept[oldest]
            self.lost += 1

    def opened(self, written: int) -> None:
        """A new sink is ready and found `written` records behind the offset it was told."""
        for _ in range(min(written, len(self._kept))):
            self._done()
        self._sent = 0
        self.open = True

    def closed(self) -> None:
        """The sink died; everything that was not acknowledged is sent again, as far as the next sink does not find it written."""
        self._sent = 0
        self.open = False

    def sendable(self) -> list[tuple[int, bytes]]:
        """The next records to send; they count as sent now."""
        if not self.open:
            return []
        batch = []
        while self._sent < min(len(self._kept), CREDITS):
            batch.append(self._kept[self._sent][:2])
            self._sent += 1
        return batch

    def acked(self, number: int, offset: int) -> None:
        if not self.open:
            return
        while self._kept and self._sent and self._kept[0].number <= number:
            self._done()
            self._sent -= 1
        self.offset = offset

    def _done(self) -> None:
        self._bytes -= len(self._kept.popleft().record)
        self.written += 1

    @property
    def kept(self) -> int:
        return len(self._kept)

    @property
    def full(self) -> bool:
        return len(self._kept) >= HIGH_WATER
