"""A recording of USB traffic with sticks as a file: its items, and their encoding. Pure.

A transcript is JSON Lines: a `Header`, then items in the order in which they ended. Of each open stick there are

    call    a call of libusb that moves no bytes of the protocol, or a transfer that failed
    boot    the firmware as it was written to the boot ROM (2485), all transfers together, by its hash
    frame   an XLink frame (f63b) of one direction: header, payload, and the lengths of the USB transfers they came in
    loose   bytes that are no frame, and why

Payloads up to WHOLE bytes are kept, longer ones as length and SHA-256; of a graph's blob only its hash. capture_log.py makes
transcripts from raw logs, compare.py compares two of them.
"""

from __future__ import annotations

from typing import Annotated, Iterable, Iterator, List, NamedTuple, Optional, Union

import msgspec

from ncs_cluster.errors import NcsClusterError

VERSION = 1
WHOLE = 4096
"""Payload bytes that are kept."""


class TranscriptError(NcsClusterError):
    """The input is not a log or a transcript; the message is one line that follows the file's name."""


Hexadecimal = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})*$")]


class Item(msgspec.Struct, frozen=True, tag_field="what", omit_defaults=True):
    """One event. Times are seconds since the first log began; `handle` numbers the opened sticks."""

    t: float
    took: float
    handle: int


class Call(Item, frozen=True, tag="call", omit_defaults=True):
    """`argument` is the interface, the configuration, the endpoint or an index; `device` the stick where no handle is."""

    name: str
    rc: int = 0
    argument: int = 0
    size: int = 0
    device: str = ""


class Boot(Item, frozen=True, tag="boot", omit_defaults=True):
    """`published_sha256`: of the file as Intel published it, without the two insertions of 6 bytes every host makes; None where the
    insertions are not found."""

    size: int
    transfers: List[int]
    sha256: Optional[str] = None
    published_sha256: Optional[str] = None
    watchdog: Optional[int] = None
    memory: Optional[int] = None


class Frame(Item, frozen=True, tag="frame", omit_defaults=True):
    """One XLink frame. `sent` is host to stick. `head` and `body` are the lengths of the transfers its header and its payload came
    in; `merged` when a transfer held bytes of another frame too. A payload is `data` (hexadecimal) or `sha256`, or was not kept."""

    sent: bool
    type: str
    id: int
    name: str
    stream: int
    size: int
    flags: int
    head: List[int]
    body: List[int] = []
    merged: bool = False
    data: Optional[Hexadecimal] = None
    sha256: Optional[str] = None


class Loose(Item, frozen=True, tag="loose", omit_defaults=True):
    """Bytes that are not a frame; the rest of this direction is not parsed."""

    sent: bool
    size: int
    why: str


AnyItem = Union[Call, Boot, Frame, Loose]


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """Versions and machine of a recording; nothing identifies its owner."""

    transcript: int
    ncs_cluster: str
    libusb: List[str]
    machine: str
    system: str = ""
    of: str = ""
    """The command's name, without its arguments."""
    cut: bool = False
    """The log grew too long: later payloads were not kept."""


class Transcript(NamedTuple):
    header: Header
    items: List[AnyItem]


def dump(transcript: Transcript) -> Iterator[bytes]:
    """Its lines."""
    encoder = msgspec.json.Encoder()
    yield encoder.encode(transcript.header) + b"\n"
    for item in transcript.items:
        yield encoder.encode(item) + b"\n"


def load(lines: Iterable[bytes]) -> Transcript:
    """The transcript of these lines. Raises TranscriptError."""
    decoder = msgspec.json.Decoder(AnyItem)
    header: Optional[Header] = None
    items: List[AnyItem] = []
    for number, line in enumerate(lines, 1):
        try:
            if header is None:
                header = msgspec.json.decode(line, type=Header)
                if header.transcript != VERSION:
                    raise TranscriptError(f"is a transcript of version {header.transcript}, this program reads {VERSION}")
            else:
                items.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TranscriptError(f"line {number} is not an item of a transcript: {error}") from error
    if header is None:
        raise TranscriptError("is empty")
    return Transcript(header, items)
