"""Commands a host writes to the stick's two monitors, and their answers. Little endian; unnamed bytes are zero.

`deviceMonitor` takes {u32 command, u32 argument}; `graphMonitor` takes one struct of 84 bytes about a graph or of 100 bytes about a
FIFO, each opened by its command, and answers with an i32 status. Runs on CPython 3.9.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

DEVICE_MONITOR, DEVICE_MONITOR_BYTES = "deviceMonitor", 2048
GRAPH_MONITOR, GRAPH_MONITOR_BYTES = "graphMonitor", 4096


class Device(IntEnum):
    """Commands of deviceMonitor."""

    THERMAL = 0
    """-> 26 f32: [0] throttle level 0, 1, 2; [1] degrees Celsius."""
    CAPABILITIES = 1
    """-> 40 bytes."""
    MEMORY = 2
    """-> u32 bytes in use."""
    DEVICE_ID = 3
    PING = 4
    """No answer beyond the write's own reply; feeds the firmware's watchdog."""
    POWER = 6
    """No answer."""
    ASYNC_DMA = 8
    """No answer."""


class Graph(IntEnum):
    """Commands of graphMonitor."""

    ALLOCATE = 0
    DEALLOCATE = 1
    TRIGGER = 2
    VERIFY = 3
    ALLOCATION_VERIFY = 4
    FIFO_ALLOCATE = 5
    FIFO_DEALLOCATE = 6
    TIMING = 7
    DEBUG = 8


DEVICE_COMMAND = struct.Struct("<II")
CAPABILITIES = struct.Struct("<4I4I2I")
"""max graphs, max FIFOs, max memory, max executors, firmware[4], mvtensor[2]."""
THERMAL = struct.Struct("<26f")
STATUS = struct.Struct("<i")
TENSOR = struct.Struct("<5I")
"""n, c, w, h, bytes in all."""
GRAPH_COMMAND = struct.Struct("<II64sIII")
FIFO_COMMAND = struct.Struct("<II64sI20sBBxx")
FIFO_RELEASE = struct.Struct("<II")
FIFO_WAKE = b"\xad\xde\x00\x00"
"""Written to an input FIFO before its release: wakes and ends its reader on the stick."""
VERIFY_BYTES = 132
"""Bytes of a blob's head that VERIFY takes."""
MYRIAD_X = 0x2480
"""firmware[1] of a Myriad X."""

STATUS_WORDS = {
    1: "null argument",
    2: "bad mask",
    3: "unsupported",
    4: "bad handle",
    5: "no resources",
    6: "not implemented",
    7: "shaves and slices do not fit",
    8: "time-out",
    9: "internal error",
    10: "out of memory",
}


class Capabilities(NamedTuple):
    """Limits and firmware of a stick."""

    max_graphs: int
    max_fifos: int
    max_memory: int
    max_executors: int
    firmware: str
    """As the vendor prints it: up to four hexadecimal words, zero words omitted."""
    is_myriad_x: bool


def device_command(command: int, argument: int = 0) -> bytes:
    return DEVICE_COMMAND.pack(command, argument)


def graph_command(command: int, graph: int, name: str = "", first: int = 0, second: int = 0, third: int = 0) -> bytes:
    """84 bytes. VERIFY, ALLOCATE: `third` is the number of executors. TRIGGER: `first`, `second` are the FIFOs in and out."""
    return GRAPH_COMMAND.pack(command, graph, name.encode("ascii"), first, second, third)


def fifo_command(fifo: int, name: str, elements: int, tensor: bytes, *, host_reads: bool) -> bytes:
    """100 bytes: a FIFO of so many tensors, described as the stick described them."""
    return FIFO_COMMAND.pack(Graph.FIFO_ALLOCATE, fifo, name.encode("ascii"), elements, tensor, host_reads, not host_reads)


def fifo_release(fifo: int) -> bytes:
    """8 bytes."""
    return FIFO_RELEASE.pack(Graph.FIFO_DEALLOCATE, fifo)


def capabilities(data: bytes) -> Capabilities:
    """Decode 40 bytes; the caller has checked the length."""
    graphs, fifos, memory, executors, *words = CAPABILITIES.unpack(data)
    firmware = ".".join(f"{word:x}" for word in words[:4] if word)
    return Capabilities(graphs, fifos, memory, executors, firmware, words[1] == MYRIAD_X)


def status_words(status: int) -> str:
    """The status in words."""
    return STATUS_WORDS.get(status, f"status {status}")
