"""What every sink looks like to its process. Raises OSError when writing fails; the process tries again."""

from __future__ import annotations

from typing import NamedTuple, Optional, Protocol

from ncs_cluster.types import Record


class Opened(NamedTuple):
    """Where an opened sink goes on."""

    next: int
    """Number of the record it wants first: those before it are written."""
    token: bytes
    """Whatever lets a later sink process resume here; nobody else looks into it."""


class Sink(Protocol):
    """One open place for results. Made with its `Options`."""

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """`first`: number of the first record that was not acknowledged. `token`: the newest one of the process before, None at
        the daemon's start. What is half written is undone."""

    def follow(self) -> Optional[bytes]:
        """Called when every record written so far has been acknowledged. A sink whose place was moved or removed goes on to a new
        one and returns the token for it, else None. Raises OSError."""

    def write(self, record: Record) -> bytes:
        """Write one record whole, or nothing of it; returns the token behind it. Raises OSError."""

    def close(self) -> None: ...
