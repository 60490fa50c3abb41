"""What every sink looks like to its process. Raises OSError when writing fails; the process tries again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple, Optional, Protocol

from msgspec import Struct

from ncs_cluster.types import Record

if TYPE_CHECKING:
    from pathlib import Path


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


class Parsed(NamedTuple):
    """What a SPEC of --results means."""

    options: Dict[str, Any]
    """Fields of the sink's `Options`."""
    shown: str
    """The place for people, passwords taken out."""


Place = Callable[[str], "Path"]
"""A file that can be written, by a path as it was given -> its absolute path. Raises ValueError, one line."""


class SinkPlugin(Struct, frozen=True, kw_only=True):
    """What is known of a sink without importing it: its line of the registry. Strings that name code are "module:attribute".

    A sink is asked for by its name, `--results NAME:REST`; the one with `files` also by a path.
    """

    name: str
    form: str
    """Its SPECs, for people."""
    driver: str
    """The class, called with the options: see Sink."""
    options: str
    """The frozen dataclass of its options. Its `__post_init__` raises ValueError, one line, for values that make no sense."""
    parse: str
    """`(spec: str, place: Place) -> Parsed`; `spec` is what follows "NAME:". Raises ValueError, one line."""
    files: bool = False
    """It takes SPECs that are no other sink's."""
