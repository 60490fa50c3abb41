"""What hosts and the command that collects tell each other of a job, as JSON, read with bounds: the offer of the job, its chunks,
and the result of each. Pure. Runs on CPython 3.9.

Fields may be added, never renamed; a change of meaning is another PROTOCOL.
"""

from __future__ import annotations

import os
from typing import Annotated, Dict, List, Literal, Optional, Tuple, Type, TypeVar

import msgspec
from msgspec import Meta, Struct

from ncs_cluster.fleet.entry import PROTOCOL
from ncs_cluster.fleet.film_part import Edges, FilmPart

DIVIDED = 2
"""The protocol of jobs whose films may be divided: a host that does not know of it would do a whole film in place of a part."""
PROTOCOLS = (PROTOCOL, DIVIDED)
LARGEST = 512 * 1024
"""Bytes of an offer, a chunk or a result's description."""
PIECE = 512 * 1024
"""Bytes of a message with a piece of a result's records."""
MOST_PIECES = 2048
MOST_ITEMS = 500
"""Of one chunk."""
LONGEST_PATH = 4096
LARGEST_CARRIED = 512 << 20
"""Bytes of the files of a chunk that come with it."""

Id = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
"""A part of a subject, and of the name of a folder."""
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=400)]
Path = Annotated[bytes, Meta(max_length=LONGEST_PATH)]
"""Below a mount."""
Count = Annotated[int, Meta(ge=0, lt=2**53)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Side = Annotated[int, Meta(ge=1, le=8192)]
Unreadable = Literal["link", "kind", "closed"]
"""Why an item cannot be read: it leads out of its folder, is no regular file, or is closed to the user."""
GraphFile = Literal["graph.json", "model.xml", "model.bin", "model.onnx", "model.tflite", "model.blob"]
"""All names that a file of a graph can have on a host."""
T = TypeVar("T")


class Malformed(ValueError):
    """It is not as this version writes it; the message is one line."""


class Root(Struct, frozen=True):
    """A folder in which items were found; see jobs.ledger.Root."""

    mount: Name
    folder: Path
    """Below the mount; empty: the mount itself."""
    prefix: Annotated[str, Meta(max_length=LONGEST_PATH)]


class Parcel(Struct, frozen=True):
    """Files as one run of bytes, which lies in pieces at the server: see parcel.py."""

    sha256: Sha256
    """Of all bytes."""
    sizes: Annotated[List[Optional[Count]], Meta(max_length=MOST_ITEMS)]
    """Bytes of each file, in order; None: the file is not there."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size or 0 for size in self.sizes)

    @property
    def pieces(self) -> int:
        return -(-self.size // PIECE)


class GraphFiles(Struct, frozen=True):
    """The files of a job's graph, for hosts that lack it: see graph_files.py."""

    names: Annotated[List[GraphFile], Meta(min_length=2, max_length=4)]
    parcel: Parcel


class Offer(Struct, frozen=True):
    """A job that hosts may take chunks of."""

    protocol: Count
    version: Name
    job: Id
    graph: Name
    graph_key: Sha256
    """See jobs.same_graph.key_of."""
    max_width: Side
    max_height: Side
    silent_s: Annotated[float, Meta(ge=1, le=3600)]
    """A host that says nothing of its chunk for so long has lost it."""
    first: Optional[Tuple[Root, Path]] = None
    """An item that is there: a host whose mount does not have it has another disk there."""
    mounts: Annotated[List[Name], Meta(max_length=16)] = []
    files: Optional[GraphFiles] = None
    """Of its graph."""
    title: Optional[Text] = None
    """For people, of any characters; None: of an older version."""
    carried: bool = False
    """The files of its chunks come with them."""


class Chunk(Struct, frozen=True):
    """Consecutive items of a job."""

    protocol: Count
    job: Id
    chunk: Id
    """The number of its first item; of a chunk of one item, that was cut out of one that failed, "NUMBER-1"; of a part of a film
    "NUMBER-p5", where its parts are numbered from 0, or another letter where it is done again in another way."""
    roots: Annotated[List[Root], Meta(max_length=1000)]
    items: Annotated[List[Tuple[int, Path]], Meta(min_length=1, max_length=MOST_ITEMS)]
    """Index of its root, and the name below it."""
    parcel: Optional[Parcel] = None
    """Its files, in the order of the items; None: hosts have them below their mounts."""
    part: Optional[FilmPart] = None
    """Of its only item; None: it has whole items."""
    unreadable: Annotated[List[Tuple[int, Unreadable]], Meta(max_length=MOST_ITEMS)] = []
    """Items, by their place, that are there and not in the parcel: a host shall fail them with the same reason."""


class Result(Struct, frozen=True):
    """How a chunk has ended. The first one that is written counts; those of later hosts are dropped."""

    protocol: Count
    job: Id
    chunk: Id
    node: Id
    given_up: Optional[Text] = None
    """Why no host has done it; None: it has records."""
    attempt: Id = "0"
    """Where its pieces lie."""
    pieces: Annotated[int, Meta(ge=0, le=MOST_PIECES)] = 0
    size: Count = 0
    """Bytes of all pieces."""
    sha256: Optional[Sha256] = None
    lengths: Annotated[List[Optional[Count]], Meta(max_length=MOST_ITEMS)] = []
    """For each item the frames of a film, or of the part of it that the chunk has; None for a picture."""
    edges: Optional[Edges] = None
    """Of a part of a film."""


def encoded(message: Struct) -> bytes:
    """Raises Malformed for one that is too large."""
    payload = msgspec.json.encode(message)
    if len(payload) > LARGEST:
        raise Malformed(f"has {len(payload)} bytes, more than {LARGEST}")
    return payload


def decoded(payload: bytes, kind: Type[T]) -> T:
    """Raises Malformed, whatever the bytes are."""
    if len(payload) > LARGEST:
        raise Malformed(f"has {len(payload)} bytes, more than {LARGEST}")
    try:
        found = msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed("is not as this version writes it") from error
    if (protocol := getattr(found, "protocol", PROTOCOL)) not in PROTOCOLS:
        raise Malformed(f"is of protocol {protocol}; this version has {PROTOCOL} and {DIVIDED}")
    return found


def title(offer: Offer) -> str:
    """What people call a job, printable, of at most 64 characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in (offer.title or "").strip()[:64]) or offer.job


def is_below(path: bytes) -> bool:
    """Whether a path from outside names something below the folder it is put behind, or that itself. It does not look at links."""
    return not path.startswith(b"/") and b"\0" not in path and b".." not in path.split(b"/")


def check(chunk: Chunk) -> None:
    """Raises Malformed for a chunk whose paths lead elsewhere than below its mounts, and for a part of several items."""
    if chunk.part is not None and (len(chunk.items) != 1 or chunk.protocol != DIVIDED):
        raise Malformed("has a part of something else than one film")
    if not all(is_below(root.folder) for root in chunk.roots):
        raise Malformed("has a folder that is not below its mount")
    for root, name in chunk.items:
        if not 0 <= root < len(chunk.roots) or not name or not is_below(name):
            raise Malformed("has an item that is not below its folder")
    if chunk.parcel is not None and (len(chunk.parcel.sizes) != len(chunk.items) or chunk.parcel.size > LARGEST_CARRIED):
        raise Malformed(f"has other files than items, or more than {LARGEST_CARRIED >> 20} MB")
    if not all(0 <= number < len(chunk.items) for number, _ in chunk.unreadable):
        raise Malformed("has an unreadable item that is none")


def placed(mounts: Dict[str, str], root: Root) -> str:
    """The folder of a root on this machine. Raises Malformed where the mount is not set here, or links lead out of it."""
    if root.mount not in mounts:
        raise Malformed(f"has no mount {root.mount}")
    home = os.path.realpath(mounts[root.mount])
    folder = os.path.normpath(os.path.join(home, os.fsdecode(root.folder)))
    found = os.path.realpath(folder)
    if not is_below(root.folder) or os.path.commonpath([home, found]) != home:
        raise Malformed(f"has a folder that leads out of the mount {root.mount}")
    return found
