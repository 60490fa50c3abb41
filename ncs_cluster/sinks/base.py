"""What every sink looks like to its process. Raises OSError when writing fails; the process tries again."""

from __future__ import annotations

from typing import NamedTuple, Optional, Protocol


class Found(NamedTuple):
    """What an opened sink found at its place."""

    written: int
    """Whole records behind the offset it was told; 0 when none was told."""
    offset: int
    """Where the next record begins."""


class Sink(Protocol):
    """One open place for results."""

    def open(self, offset: Optional[int]) -> Found:
        """`offset`: what is known to be written, None at the daemon's start. A torn record at the end is cut off."""

    def follow(self) -> Optional[int]:
        """Called when all that was written has been acknowledged: where its place was moved or removed, on to a new one; where the
        next record begins there, else None. Raises OSError."""

    def write(self, record: bytes) -> int:
        """Write one record whole, or nothing of it; returns the offset behind it. Raises OSError."""

    def close(self) -> None: ...
