"""Messages between a program and the plugins `feed` and `relay`, as msgpack. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Optional, Union

from msgspec import Struct

from ncs_cluster.types import FrameNumber, Record


class FeedOpens(Struct, frozen=True, tag=True, array_like=True):
    """The first message of a source `feed`; answered by Ring."""

    name: str
    """Of its stream."""


class FeedReady(Struct, frozen=True, tag=True, array_like=True):
    """The source reads. Images before `next` are captured; those from it on are announced."""

    next: FrameNumber


class Taken(Struct, frozen=True, tag=True, array_like=True):
    """Images before `next` are captured: their slots are free."""

    next: FrameNumber


class RelayOpens(Struct, frozen=True, tag=True, array_like=True):
    """The first message of a source `relay`; answered by Credit."""

    name: str


class RelayEnded(Struct, frozen=True, tag=True, array_like=True):
    """The source has ended; it had `frames` frames."""

    frames: FrameNumber


class RelayLost(Struct, frozen=True, tag=True, array_like=True):
    """The source cannot be opened or gives no frame. `permanent`: another attempt would fail too."""

    detail: str
    permanent: bool


class SinkOpens(Struct, frozen=True, tag=True, array_like=True):
    """The first message of a sink `feed`: it has the records from `first` on. Answered by WriteFrom."""

    first: int


class Written(Struct, frozen=True, tag=True, array_like=True):
    """One record; the numbers rise by one."""

    number: int
    record: Record


FromPlugin = Union[FeedOpens, FeedReady, Taken, RelayOpens, RelayEnded, RelayLost, SinkOpens, Written]


class Ring(Struct, frozen=True, tag=True, array_like=True):
    """The image ring, whose descriptor comes with it. An image has at most `width` * `height` pixels."""

    slots: int
    width: int
    height: int


class Image(Struct, frozen=True, tag=True, array_like=True):
    """Slot `slot` of the ring holds image `number`, uint8 BGR [height, width, 3]."""

    number: FrameNumber
    slot: int
    width: int
    height: int
    submitted_s: float
    """time.monotonic()"""
    submitted_at: float
    """The same moment, Unix seconds."""


class Outgrown(Struct, frozen=True, tag=True, array_like=True):
    """The next image is larger than a slot: the source opens again and gets another ring."""


class Credit(Struct, frozen=True, tag=True, array_like=True):
    """The source may read its frames before `frames`; None: all."""

    frames: Optional[int]


class WriteFrom(Struct, frozen=True, tag=True, array_like=True):
    """The first record that the program does not have."""

    next: int


ToPlugin = Union[Ring, Image, Outgrown, Credit, WriteFrom]
