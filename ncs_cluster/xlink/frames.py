"""One XLink frame: an 84-byte header, for WRITE followed by `size` bytes of its own. Little endian throughout.

    i32 event id | i32 type | char[64] stream name | u32 stream id | u32 size | u32 flags

The header is one USB transfer, the data follows in others; neither side may merge them. A reply has the type of its request + 9
and the same event id. Of its other fields only the ack bit has a meaning; the rest is uninitialised, as are the bytes after a
name's NUL, and the name of any frame but CREATE. Source: the open XLink host code and the traffic of the vendor's plugin. Runs on
CPython 3.9.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

from ncs_cluster.errors import NcsClusterError

_HEADER = struct.Struct("<ii64sIII")
HEADER_SIZE = 84
LONGEST_NAME = 63
FIRST_EVENT = 10
"""The vendor's first event id; smaller ones have never been seen."""


class FrameType(IntEnum):
    """What a frame asks for, and the replies: request + 9. READ is local to a host and never on the wire."""

    WRITE_REQ = 0
    READ_REQ = 1
    READ_REL_REQ = 2
    READ_REL_SPEC_REQ = 3
    CREATE_STREAM_REQ = 4
    CLOSE_STREAM_REQ = 5
    PING_REQ = 6
    RESET_REQ = 7
    WRITE_RESP = 9
    READ_RESP = 10
    READ_REL_RESP = 11
    READ_REL_SPEC_RESP = 12
    CREATE_STREAM_RESP = 13
    CLOSE_STREAM_RESP = 14
    PING_RESP = 15
    RESET_RESP = 16

    @property
    def is_reply(self) -> bool:
        return self >= FrameType.WRITE_RESP

    @property
    def reply(self) -> FrameType:
        """The type that answers this request."""
        return FrameType(self + 9)


_TYPES = {int(kind): kind for kind in FrameType}


class Flags(IntFlag):
    """Requests leave with ACK; a reply without it has failed."""

    ACK = 1
    NACK = 2
    BLOCK = 4
    LOCAL_SERVE = 8
    TERMINATE = 16
    BUFFER_FULL = 32
    SIZE_TOO_BIG = 64
    NO_SUCH_STREAM = 128


class Header(NamedTuple):
    """One frame without its data."""

    id: int
    type: FrameType
    name: str = ""
    stream: int = 0
    size: int = 0
    flags: int = int(Flags.ACK)

    def encode(self) -> bytes:
        """84 bytes; what follows the name is zero."""
        return _HEADER.pack(self.id, self.type, self.name.encode("latin-1"), self.stream, self.size, self.flags)


class FrameError(NcsClusterError):
    """These bytes are no header; the message is one line."""


def decode(data: bytes) -> Header:
    """Decode 84 bytes. The name is checked in CREATE only. Raises FrameError."""
    if len(data) != HEADER_SIZE:
        raise FrameError(f"received a header of {len(data)} bytes, expected {HEADER_SIZE}")
    event, number, raw, stream, size, flags = _HEADER.unpack(data)
    kind = _TYPES.get(number)
    if kind is None:
        raise FrameError(f"received a frame of unknown type {number}")
    name, end, _ = raw.partition(b"\0")
    text = name.decode("latin-1")
    if kind is FrameType.CREATE_STREAM_REQ and not (end and text and text.isascii() and text.isprintable()):
        raise FrameError("received a CREATE whose stream name is empty, unterminated or not printable ASCII")
    return Header(event, kind, text, stream, size, flags)
