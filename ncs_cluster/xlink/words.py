"""Frames in words, for comparison. Fields the receiver does not read are left out. Pure."""

from __future__ import annotations

import itertools
from enum import IntEnum
from typing import Sequence, Tuple, Type

from ncs_cluster.xlink.commands import (
    DEVICE_COMMAND,
    DEVICE_MONITOR,
    FIFO_COMMAND,
    FIFO_RELEASE,
    GRAPH_COMMAND,
    GRAPH_MONITOR,
    TENSOR,
    Device,
    Graph,
)
from ncs_cluster.xlink.frames import HEADER_SIZE, Flags
from ncs_cluster.xlink.transcript import Frame

_UNREAD_ARGUMENT = (Device.THERMAL, Device.CAPABILITIES, Device.MEMORY, Device.PING)


def written(stream: str, frame: Frame) -> Tuple[str, bool]:
    """A host's payload in words, without the fields the stick does not read; and whether it has such fields."""
    data = bytes.fromhex(frame.data or "")
    if stream == DEVICE_MONITOR and len(data) == DEVICE_COMMAND.size:
        command, argument = DEVICE_COMMAND.unpack(data)
        unread = command in _UNREAD_ARGUMENT
        return _word(Device, command) + ("" if unread else f" {argument}"), unread
    if stream == GRAPH_MONITOR and len(data) == GRAPH_COMMAND.size:
        return _graph_command(data), True
    if stream == GRAPH_MONITOR and len(data) == FIFO_COMMAND.size:
        command, fifo, name, elements, each, read, write = FIFO_COMMAND.unpack(data)
        of = "{}x{}x{}x{}, {} bytes".format(*TENSOR.unpack(each))
        return f"{_word(Graph, command)} {fifo} {_text(name)}, {elements} of {of}, host reads {read}, writes {write}", True
    if stream == GRAPH_MONITOR and len(data) == FIFO_RELEASE.size:
        command, fifo = FIFO_RELEASE.unpack(data)
        return f"{_word(Graph, command)} {fifo}", False
    return payload(frame), False


def _graph_command(data: bytes) -> str:
    command, graph, name, first, second, third = GRAPH_COMMAND.unpack(data)
    said = f"{_word(Graph, command)} graph {graph}"
    if command in (Graph.ALLOCATE, Graph.VERIFY):
        said += f" {_text(name)}, executors {third}"
    elif command == Graph.TRIGGER:
        said += f", FIFO {first} to {second}"
    return said


def _word(commands: Type[IntEnum], number: int) -> str:
    return commands(number).name if number in list(commands) else f"command {number}"


def payload(frame: Frame) -> str:
    return f"{frame.size} bytes {frame.data or frame.sha256 or 'not kept'}"


def shape(frame: Frame) -> str:
    """The transfers of its header, unless the header was one transfer of its own."""
    by_itself = frame.head == [HEADER_SIZE] and not frame.merged
    return "" if by_itself else f" in transfers of {frame.head} {frame.body}"


def lengths(transfers: Sequence[int]) -> str:
    """ "3 x 1048576, 201492"."""
    runs = [(size, len(list(run))) for size, run in itertools.groupby(transfers)]
    return ", ".join(f"{count} x {size}" if count > 1 else str(size) for size, count in runs)


def flags(bits: int) -> str:
    return "ack" if bits & (Flags.ACK | Flags.NACK) == Flags.ACK else f"flags {bits:#x}"


def _text(name: bytes) -> str:
    return name.split(b"\0")[0].decode("ascii", "backslashreplace")


def way(sent: bool) -> str:
    return "host" if sent else "stick"
