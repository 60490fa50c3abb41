"""Blobs made of nothing but a header and tables: enough for a host, and for an emulated stick."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ncs_cluster.xlink.blob import Blob

WIDTHS = {0: 2, 1: 1, 2: 4, 3: 4}
U8, FP16, S32, FP32 = 1, 0, 2, 3
NCHW, NHWC, NC = 0x4321, 0x4213, 0x43


class Entry(NamedTuple):
    """`shape` outermost first, densely packed."""

    name: str
    shape: tuple[int, ...]
    dtype: int = U8
    order: int = NCHW


def make(
    inputs: list[Entry],
    outputs: list[Entry],
    *,
    shaves: int = 7,
    slices: int = 9,
    stages: int = 3,
    filling: int = 0,
    version: int = 6,
) -> bytes:
    """The bytes of a blob."""
    constants = bytearray()

    def place(numbers: list[int]) -> int:
        at = len(constants)
        constants.extend(struct.pack(f"<{len(numbers)}I", *numbers))
        return at

    def table(entries: list[Entry]) -> tuple[bytes, int]:
        packed, offset = b"", 0
        for index, entry in enumerate(entries):
            strides, step = [], WIDTHS[entry.dtype]
            for side in reversed(entry.shape):
                strides.append(step)
                step *= side
            dims = place(list(reversed(entry.shape)))
            name = entry.name.encode() + b"\0" * (4 - len(entry.name) % 4)
            packed += struct.pack("<IiI", index, offset, len(name)) + name
            packed += struct.pack("<7I", entry.dtype, entry.order, len(entry.shape), 3, dims, 3, place(strides))
            offset += -(-step // 64) * 64
        return packed, offset - -(-step // 64) * 64 + step if entries else 0

    table_in, size_in = table(inputs)
    table_out, size_out = table(outputs)
    at_out = 132 + len(table_in)
    at_constants = at_out + len(table_out)
    size = at_constants + len(constants) + filling
    words = [9709, size, version, 0, len(inputs), len(outputs), stages, size_in, size_out, 1, 0, slices, shaves, 1, 1, 1]
    head = b"\x7fELF".ljust(52, b"\0") + struct.pack("<20I", *words, 132, at_out, at_constants, at_constants)
    return head + table_in + table_out + bytes(constants) + bytes(filling)


def small(side: int = 4, outputs: int = 7, **how: int) -> Blob:
    """One input of 3 x side x side bytes, one output of so many floats."""
    return Blob.parse(make([Entry("data", (1, 3, side, side))], [Entry("out", (1, outputs), FP32, NC)], **how))
