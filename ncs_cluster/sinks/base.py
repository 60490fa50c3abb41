"""The interface of a sink. A sink raises OSError when writing fails; its process retries."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Protocol, Sequence, Tuple

from msgspec import Struct

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.types import Outcome, Record

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ncs_cluster.jobs.ledger import Item, Ledger
    from ncs_cluster.messages import WorkTold
    from ncs_cluster.specs import GraphSpec, JobSpec
    from ncs_cluster.status import Event, Status


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


@typing.runtime_checkable
class Finishing(Protocol):
    """A sink that can be a job's: its output survives a power cut, and has its final form once the job is done."""

    def sync(self) -> None:
        """Records written so far survive a power cut. The job's ledger notes the newest token afterwards. Raises OSError."""

    def finish(self) -> None:
        """Every record of the job is written: give the output its final form and name. Called again where the process exits before
        it returns; `open` and `close` may come between. Raises OSError."""


@typing.runtime_checkable
class Tidying(Protocol):
    """A sink that keeps what a further pass over failed frames would need."""

    def tidy(self) -> None:
        """All outputs of the job are final, and no frame has failed: remove it. The sink is not open. Called again where the
        process exits before it returns. Raises OSError."""


@typing.runtime_checkable
class Remote(Protocol):
    """A sink that takes records also while the place they go to is away."""

    def trouble(self) -> Optional[str]:
        """Why nothing arrives there at present, one line; None: it does. Asked once a second."""


@typing.runtime_checkable
class InFleet(Protocol):
    """A sink that takes part in the fleet."""

    def work(self) -> WorkTold:
        """What it knows and has of the work of other hosts. Asked once a second."""


class Unjoinable(NcsClusterError):
    """The outputs of a part are not as its job has written them; the message is one line."""


class Part(NamedTuple):
    """One of the parts of a job, which is done."""

    folder: str
    sink: Any
    """Of the class that joins, with the outputs of this part as its destination; not open."""
    ledger: Ledger


@typing.runtime_checkable
class Joining(Protocol):
    """A sink that can make a job's output of those of its parts."""

    def join(self, parts: Sequence[Part], order: Iterable[int]) -> None:
        """`order`: for each frame of the whole job the index of the part that has it. Frames keep their order in each part. The
        sink is not open. Called again where the process exits before it returns. Raises OSError, Unjoinable."""


class Lost(NcsClusterError):
    """An item cannot be read again; the message is its name and the reason, one line."""


class FilmFrame(NamedTuple):
    """One frame of a film."""

    pixels: Optional[NDArray[np.uint8]]
    """BGR [height, width, 3] in the film's size, valid until the next one is read; None: it cannot be decoded."""
    time_s: Optional[float]
    """When it is shown, from the film's start; None where it cannot be decoded."""


class FilmAgain(Protocol):
    """A film that is read again, frames numbered as in the records. Used by one thread."""

    size: Tuple[int, int]
    """Width and height, pixels."""
    fps: float
    """The rate that its header declares; 0: unknown."""
    next: int
    """The number of the frame that `read` gives next."""

    def skip(self, number: int, until_s: float) -> bool:
        """Pass frames up to `number`, which must not be behind `next`; False when time.monotonic() is at `until_s` before."""

    def read(self) -> Optional[FilmFrame]:
        """The next frame; None after the last."""

    def close(self) -> None: ...


class Imagery(Protocol):
    """What a sink of pictures gets beside its options, because it must not import sources and render: a job's items are read
    again, and results drawn."""

    def picture(self, item: Item) -> NDArray[np.uint8]:
        """BGR [height, width, 3], of the file's size. Raises Lost."""

    def film(self, item: Item) -> FilmAgain:
        """An open film at its first frame. Raises Lost."""

    def draw(self, pixels: NDArray[np.uint8], graph: str, outcome: Outcome) -> None:
        """Draw boxes, labels and captions, in place."""

    def jpeg(self, pixels: NDArray[np.uint8]) -> bytes:
        """A whole JPEG file."""


class Observer(Protocol):
    """What a sink that tells of the daemon gets beside its options, because it must not import the client. Several threads may call
    its methods; those that ask the daemon raise NcsClusterError, one line."""

    def status(self) -> Status:
        """The status document. Blocks for some seconds at most."""

    def wait(self, timeout_s: float) -> None:
        """Return at the daemon's next event, at `wake`, or after `timeout_s`."""

    def wake(self) -> None:
        """End `wait` in another thread."""

    def switch(self) -> str:
        """Switch to the next cluster. Returns what the daemon did, one line."""

    def picture(self, camera: str) -> bytes:
        """The camera's next drawn picture, a JPEG file. Blocks for some seconds at most."""


class JobObserver(Observer, Protocol):
    """An observer that has the daemon do jobs, too."""

    def graphs(self) -> List[GraphSpec]:
        """The daemon's. Raises NcsClusterError."""

    def begin_job(self, job: JobSpec) -> str:
        """Returns its id. Raises NotRunning, or another NcsClusterError where the daemon refuses it."""

    def cancel_job(self, id: str) -> None:
        """Raises NcsClusterError."""

    def change_guests(self, guests: List[Tuple[str, str]]) -> None:
        """Have the daemon load these graphs of other machines, by name and folder, and no others any more; blocks for minutes at
        most. Raises NotRunning, or another NcsClusterError where one does not load: then nothing has changed."""


class EventObserver(Observer, Protocol):
    """An observer that tells of events, too."""

    def events(self) -> List[Event]:
        """Those since the last call, oldest first; the newest of them, where there were very many. Does not ask the daemon: they
        come while another thread is in `wait`."""


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
    redraws: bool = False
    """It reads the items of a job again: it has the option `ledger`, the path of the job's ledger, which the job sets, and its
    class is called with its options and an `Imagery`."""
    files: bool = False
    """It takes SPECs without the name of a sink, as file names."""
    jobs_only: bool = False
    """Its results get their form when a job is done; without a job `--results` refuses it. It is a `Finishing`."""
    observes: bool = False
    """It tells of the daemon: it has the option `runtime_dir`, the folder of the daemon's control socket, and its class is called
    with its options and an `Observer`."""
