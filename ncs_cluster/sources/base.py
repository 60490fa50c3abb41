"""The interface of frame sources.

`open` finds the device and says what it gives; `read` blocks until the next frame is due and writes it straight into the
pool slot; `close` may be called at any time, twice, and from another thread than `read`. Sources raise only SourceError.
A source paces itself: a file at its own frame rate (by the monotonic clock, without drift), unless `paced` is false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Protocol, Tuple, runtime_checkable

from msgspec import Struct

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ncs_cluster.types import Size, Truth


class SourceInfo(NamedTuple):
    """Size, rate and kind of an open source's frames."""

    width: int
    """Largest width of a frame, pixels."""
    height: int
    fps: Optional[float]
    """Its own rate; None when it has none (images)."""
    depth_scale_m: Optional[float] = None
    """Metres per depth unit; None without depth."""
    finite: bool = False
    """True when `read` returns None after the last frame."""
    ordered: bool = False
    """True when every frame counts, each once and in order (images, folders)."""
    description: str = ""
    """For people: "Intel RealSense D435 (serial 123)"."""
    first: int = 0
    """Frames that an earlier run has done: `skip` passes over them."""


class Planes(NamedTuple):
    """A pool slot to write into. Views of shared memory: write in place, never rebind."""

    colour: NDArray[np.uint8]
    """[height, width, 3], BGR, C-contiguous."""
    depth: Optional[NDArray[np.uint16]] = None
    """[height, width], aligned to the colour plane; 0 means unknown."""


class Captured(NamedTuple):
    """One frame was written. A frame smaller than the slot says its own size and lies C-contiguous at the plane's start
    (`planes.colour.reshape(-1)[: width * height * 3]`)."""

    captured_s: float
    """time.monotonic() when the frame was taken."""
    captured_at: float
    """The same moment as unix time, for people and records."""
    width: int
    height: int
    item: Optional[str] = None
    """File name, for images and folders."""
    truth: Optional[List[Truth]] = None
    """Synthetic scenes only."""
    error: Optional[str] = None
    """Set when this item cannot be shown (a corrupt picture, a damaged frame): it is recorded as given up; the source goes on."""
    size: Optional[Size] = None
    """Of the picture before it was scaled down; see types.Record."""
    item_frame: Optional[int] = None
    """The frame's number in its item, where an item has several."""
    item_fps: Optional[float] = None
    """Frames per second that the item's header declares, where it has several frames; None: unknown."""


class Source(Protocol):
    """One open device, stream, file or folder."""

    def open(self) -> SourceInfo: ...

    def read(self, into: Planes) -> Optional[Captured]:
        """Write the next frame into the planes. None at the end of a finite source. Raises SourceError."""

    def close(self) -> None: ...


@runtime_checkable
class Skipping(Protocol):
    """A source that can skip frames without decoding them, repeated passes included; frames of other finite sources are read and
    dropped."""

    def skip(self, frames: int) -> None:
        """Called between `open` and the first `read`: a restarted camera process goes on at the frame it had reached."""


@runtime_checkable
class Idling(Protocol):
    """A source whose frames come when somebody gives them: `read` may wait without end, and does not count as hung meanwhile."""

    @property
    def idle(self) -> bool:
        """`read` waits for such a frame."""


class Progress(NamedTuple):
    """How far a source is that counts its frames."""

    expected: int
    """Frames of the source, as far as they are known."""
    failed: int
    """Frames without a result, of earlier runs too."""


@runtime_checkable
class Counting(Protocol):
    """A source with a ledger."""

    def progress(self) -> Optional[Progress]:
        """Called from another thread than `read`. None where the ledger cannot be read now."""


class Parsed(NamedTuple):
    """A parsed SPEC."""

    options: Dict[str, Any]
    """Fields of the source's `Options`."""
    shown: str
    """The SPEC as logs and status show it, without passwords."""


Find = Callable[[str], "Path"]
"""Turns the given path of an existing file or folder into its absolute path. Raises ValueError, one line."""


class SourcePlugin(Struct, frozen=True, kw_only=True):
    """The registry entry of a source, known without importing it. Strings that name code are "module:attribute".

    A source of another package is asked for by its name, NAME or NAME:REST; of the fields that say which SPECs are a source's,
    only those of built-in sources count.
    """

    name: str
    form: str
    """The form of its SPECs in help and docs: "usb:N or /dev/videoN"; empty: no SPEC asks for it."""
    driver: str
    """The class, called with the options: see Source."""
    options: str
    """The frozen dataclass of its options. Its `__post_init__` raises ValueError, one line, for values that make no sense."""
    parse: str
    """`(spec: str, find: Find) -> Parsed`. Raises ValueError, one line, for an invalid SPEC."""
    words: List[str] = []
    """Words of its SPECs: WORD alone, or WORD:REST."""
    addresses: List[str] = []
    """URL schemes of its SPECs: SCHEME://..."""
    prefixes: List[str] = []
    suffixes: List[str] = []
    """Endings of its files, such as ".bag"."""
    folders: bool = False
    files: bool = False
    """True: it takes every file that matches no suffix of another source."""
    size: Optional[Tuple[str, str]] = None
    """Options that --size sets: those for width and height."""
    fps: Optional[str] = None
    """The option that --fps sets."""
    loop: Optional[str] = None
    """The option that --loop sets to true."""
    every_frame: Optional[Dict[str, Any]] = None
    """Options that --every-frame sets; None for a source without an end."""
    ends_with: Optional[str] = None
    """Option without which --loop and --every-frame do not apply to the source; None: they always do."""
    ordered: bool = False
    """True: the stream is ordered also without --every-frame."""
    items: Optional[str] = None
    """`(options) -> List[str]`: the `item` of each frame, in order, of a source that knows them before it is opened; empty where
    there is no end. A daemon goes on where the results of an earlier run end. Raises nothing."""
    demo: bool = False
    """True: the demo graph detects the objects of this source."""
