"""The interface of a sink. A sink raises OSError when writing fails; its process retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple, Optional, Protocol, runtime_checkable

from msgspec import Struct

from ncs_cluster.types import Record

if TYPE_CHECKING:
    from pathlib import Path


class Opened(NamedTuple):
    """The state of an opened sink."""

    next: int
    """Number of the first record to write: earlier records are written."""
    token: bytes
    """The state from which a later sink process resumes; opaque to all others."""


class Sink(Protocol):
    """One destination for results, created with its `Options`."""

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """`first`: number of the first record that was not acknowledged. `token`: the newest token of the process before, None at
        the daemon's start. A partly written record is removed. Raises OSError."""

    def follow(self) -> Optional[bytes]:
        """Called before each batch of writes, when all records written so far are acknowledged. A sink whose destination was moved
        or removed opens a new one and returns its token, else None. Raises OSError."""

    def write(self, record: Record) -> bytes:
        """Write one record whole, or nothing of it; returns the token after it. Raises OSError."""

    def close(self) -> None: ...


@runtime_checkable
class Finishing(Protocol):
    """A sink that can be a job's: its output survives a power cut, and has its final form once the job is done."""

    def sync(self) -> None:
        """Records written so far survive a power cut. The job's ledger notes the newest token afterwards. Raises OSError."""

    def finish(self) -> None:
        """Every record of the job is written: give the output its final form and name. Called again where the process exits before
        it returns; `open` and `close` may come between. Raises OSError."""


class Parsed(NamedTuple):
    """A parsed SPEC of --results."""

    options: Dict[str, Any]
    """Fields of the sink's `Options`."""
    shown: str
    """The destination for the operator, without passwords."""


Place = Callable[[str], "Path"]
"""Turns the given path of a writable file into its absolute path. Raises ValueError, one line."""


class SinkPlugin(Struct, frozen=True, kw_only=True):
    """The registry entry of a sink, known without importing it. Strings that name code are "module:attribute".

    A sink is selected by its name, `--results NAME:REST`; the one with `files` also by a path.
    """

    name: str
    form: str
    """The form of its SPECs, for the help text; empty: no SPEC asks for it."""
    driver: str
    """The class, called with the options: see Sink."""
    options: str
    """The frozen dataclass of its options. Its `__post_init__` raises ValueError, one line, for invalid values."""
    parse: str
    """`(spec: str, place: Place) -> Parsed`; `spec` is what follows "NAME:". Raises ValueError, one line."""
    output: Optional[str] = None
    """What its SPEC names in a job's folder, "." is the folder itself; None: it cannot serve a job."""
    files: bool = False
    """It takes SPECs without the name of a sink, as file names."""
    jobs_only: bool = False
    """Its results get their form when a job is done; without a job `--results` refuses it. It is a `Finishing`."""
