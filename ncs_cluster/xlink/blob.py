"""A graph compiled for the stick: its header parsed, every offset checked before use.

    0..51   like an ELF header, constant
    52..131 20 x u32: magic, file size, version, counts, sizes, resources, offsets of tables and sections
    tables  one entry per input or output: index, offset in the tensor buffer, name, type, order, dimensions

Dimensions lie in the section of constants, innermost first; the order is one hexadecimal digit per dimension, lowest innermost, W=1
H=2 C=3 N=4 (0x4321: NCHW, 0x4213: NHWC). Source: the open OpenVINO 2021.4 tree (blob_format.hpp, blob_reader.cpp), read, and blobs
made by it. Runs on CPython 3.9.
"""

from __future__ import annotations

import struct
from typing import List, NamedTuple, Tuple

from ncs_cluster.errors import NcsClusterError

HEADER = struct.Struct("<52s20I")
HEADER_BYTES = 132
MAGIC = 9709
VERSION_AT = 60
"""Offset of the version, two numbers."""
VERSION = (6, 0)
LUXONIS = (2021, 4)
"""Luxonis's converter writes the release of OpenVINO over the version of the blob; that release's version is 6.0."""
SHAVES, SLICES = 16, 19
"""SHAVE processors and CMX slices of a Myriad X."""
MOST_EXECUTORS = 3
IN_BLOB = 3
"""Location code of a shape stored in the blob; other shapes are known only while the graph runs."""
LONGEST_NAME = 1024
MOST_PORTS = 64
LARGEST = 512 << 20
"""Bytes: the stick's memory."""
AXES = {1: "W", 2: "H", 3: "C", 4: "N", 5: "D"}
DTYPES = {0: ("fp16", 2), 1: ("u8", 1), 2: ("s32", 4), 3: ("fp32", 4)}


class BlobError(NcsClusterError):
    """The message is one line: the fault of the blob, and the remedy."""


class Port(NamedTuple):
    """One input or output."""

    name: str
    offset: int
    """Bytes from the beginning of the tensor buffer."""
    dtype: str
    """ "fp16", "u8", "s32" or "fp32"."""
    layout: str
    """ "NCHW", "NHWC", "NC", ...: outermost first."""
    shape: Tuple[int, ...]
    """As the layout says, outermost first."""
    strides: Tuple[int, ...]
    """Bytes, outermost first."""
    size: int
    """Bytes without padding."""


class Blob(NamedTuple):
    """A parsed and checked blob."""

    data: bytes
    """As the stick takes it: with version 6.0."""
    version: Tuple[int, int]
    inputs: List[Port]
    outputs: List[Port]
    inputs_size: int
    outputs_size: int
    stages: int
    batch: int
    slices: int
    shaves: int

    @property
    def executors(self) -> int:
        """Inferences the stick can execute at once."""
        return max(1, min(MOST_EXECUTORS, SHAVES // max(1, self.shaves), SLICES // max(1, self.slices)))

    @classmethod
    def parse(cls, data: bytes) -> Blob:
        """Raises BlobError."""
        if len(data) < HEADER_BYTES:
            raise BlobError(f"{len(data)} bytes are too few for a blob: compile the graph again")
        head, *words = HEADER.unpack_from(data)
        (magic, size, major, minor, inputs, outputs, stages, inputs_size, outputs_size, batch) = words[:10]
        (_bss, slices, shaves, _hw, _shave, _dma, input_table, output_table, _stages, constants) = words[10:]
        if head[:4].lower() != b"\x7felf" or magic != MAGIC:
            raise BlobError("not a blob for a Myriad X: compile the graph with ncsctl graphs compile")
        if (major, minor) == LUXONIS:
            (major, minor), at = VERSION, VERSION_AT
            data = data[:at] + struct.pack("<2I", major, minor) + data[at + 8 :]
        if (major, minor) != VERSION:
            raise BlobError(
                f"it is a blob of version {major}.{minor}, the stick's firmware takes {VERSION[0]}.{VERSION[1]}: compile it again"
            )
        if size != len(data):
            raise BlobError(f"it has {len(data)} bytes where its header says {size}: it was cut off or damaged, get it again")
        if not 1 <= inputs <= MOST_PORTS or not 1 <= outputs <= MOST_PORTS:
            raise BlobError(f"it claims {inputs} inputs and {outputs} outputs (1 to {MOST_PORTS} are possible): it is damaged")
        if not 0 < inputs_size <= LARGEST or not 0 < outputs_size <= LARGEST:
            raise BlobError(f"it claims {inputs_size} bytes of input and {outputs_size} of output: it is damaged")
        if shaves > slices or shaves > SHAVES or slices > SLICES:
            raise BlobError(
                f"it wants {shaves} shaves and {slices} slices, a Myriad X has {SHAVES} and {SLICES}: compile it with fewer"
            )
        read = _Reader(data, constants)
        return cls(
            data,
            (major, minor),
            read.table(input_table, inputs, inputs_size, "input"),
            read.table(output_table, outputs, outputs_size, "output"),
            inputs_size,
            outputs_size,
            stages,
            batch,
            slices,
            shaves,
        )


class _Reader:
    """Reads the tables that the header points to."""

    def __init__(self, data: bytes, constants: int) -> None:
        self._data, self._constants = data, constants

    def table(self, at: int, count: int, room: int, what: str) -> List[Port]:
        ports = []
        for index in range(count):
            port, at = self._port(at, room, f"{what} {index}")
            ports.append(port)
        names = [port.name for port in ports]
        if len(set(names)) != len(names):
            raise BlobError(f"two of its {what}s have one name: it is damaged")
        return ports

    def _port(self, at: int, room: int, what: str) -> Tuple[Port, int]:
        _index, offset, length = self._words(at, "<IiI", what)
        if not 0 < length <= LONGEST_NAME:
            raise BlobError(f"the name of its {what} has {length} bytes: it is damaged")
        raw = self._bytes(at + 12, length, what).partition(b"\0")[0]
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise BlobError(f"the name of its {what} is not UTF-8: it is damaged") from None
        if not name.isprintable():
            raise BlobError(f"the name of its {what} is not printable: it is damaged")
        at += 12 + length
        code, order, rank, where, dims_at, strides_where, strides_at = self._words(at, "<7I", what)
        if code not in DTYPES:
            raise BlobError(f"its {what} {name!r} has a type of number {code}, unknown here: compile it again")
        if not 1 <= rank <= 5:
            raise BlobError(f"its {what} {name!r} has {rank} dimensions (1 to 5 are possible): it is damaged")
        if where != IN_BLOB or strides_where != IN_BLOB:
            raise BlobError(f"its {what} {name!r} has a dynamic shape, which is not supported")
        shape = self._numbers(dims_at, rank, what)
        strides = self._numbers(strides_at, rank, what)
        dtype, width = DTYPES[code]
        size = width
        for side in shape:
            if not 0 < side <= LARGEST or size > LARGEST:
                raise BlobError(f"its {what} {name!r} has an impossible shape: it is damaged")
            size *= side
        extent = width + sum((side - 1) * stride for side, stride in zip(shape, strides))
        if offset < 0 or offset + max(size, extent) > room:
            raise BlobError(f"its {what} {name!r} does not fit into the {room} bytes there are: it is damaged")
        return Port(name, offset, dtype, _layout(order, rank, what), shape, strides, size), at + 28

    def _numbers(self, offset: int, rank: int, what: str) -> Tuple[int, ...]:
        return tuple(reversed(self._words(self._constants + offset, f"<{rank}I", what)))

    def _words(self, at: int, form: str, what: str) -> Tuple[int, ...]:
        return tuple(struct.unpack(form, self._bytes(at, struct.calcsize(form), what)))

    def _bytes(self, at: int, length: int, what: str) -> bytes:
        if not 0 <= at <= len(self._data) - length:
            raise BlobError(f"the offset of its {what} lies outside the file: it is damaged")
        return self._data[at : at + length]


def _layout(order: int, rank: int, what: str) -> str:
    digits = [order >> 4 * place & 15 for place in reversed(range(rank))]
    if order >> 4 * rank or sorted(set(digits)) != sorted(digits) or not set(digits) <= set(AXES):
        raise BlobError(f"its {what} has an invalid dimension order {order:#x}: it is damaged")
    return "".join(AXES[digit] for digit in digits)
