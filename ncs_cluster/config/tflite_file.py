"""Inputs and outputs of a TensorFlow Lite file: Model of schema.fbs, of which only the tables on the way are read.

FlatBuffers, https://flatbuffers.dev/internals: a table begins with the offset back to its vtable, which has the place of each
field.
"""

from __future__ import annotations

import struct
from pathlib import Path

from ncs_cluster.config import text_file
from ncs_cluster.config.ports import Port, Ports
from ncs_cluster.errors import ConfigError

MOST_PORTS = 1000
MOST_SIDES = 16
SUBGRAPHS = 2
TENSORS, INPUTS, OUTPUTS = 0, 1, 2
SHAPE, TYPE, NAME, SIGNATURE = 0, 1, 3, 7
KINDS = ("f32", "f16", "i32", "u8", "i64", "string", "boolean", "i16", "", "i8")
"""TensorType."""


def ports(model: Path) -> Ports:
    """See ports.read."""
    with text_file.mapped(model) as data:
        try:
            if bytes(data[4:8]) != b"TFL3":
                raise ValueError("it does not bear the mark TFL3")
            return _ports(_Tables(data))
        except (ValueError, IndexError, struct.error) as error:
            raise ConfigError(f"{model}: is no TensorFlow Lite model, or it is damaged: {error}") from error


def _ports(tables: _Tables) -> Ports:
    graphs = tables.vector(tables.offset(0), SUBGRAPHS)
    if not graphs:
        raise ValueError("it has no graph")
    graph = tables.offset(graphs[0])
    tensors = tables.vector(graph, TENSORS)

    def listed(field: int) -> list[Port]:
        places = tables.vector(graph, field)
        return [_port(tables, tables.offset(tensors[tables.number(place)])) for place in places[:MOST_PORTS]]

    return Ports(listed(INPUTS), listed(OUTPUTS))


def _port(tables: _Tables, tensor: int) -> Port:
    places = tables.vector(tensor, SIGNATURE) or tables.vector(tensor, SHAPE)
    if len(places) > MOST_SIDES:
        raise ValueError(f"a shape of {len(places)} axes")
    kind = tables.field(tensor, TYPE)
    number = tables.byte(kind) if kind else 0
    shape = tuple(side if side > 0 else -1 for side in map(tables.number, places))
    return Port(tables.text(tensor, NAME), shape, KINDS[number] if number < len(KINDS) else "")


class _Tables:
    """Reads tables. Raises ValueError, IndexError or struct.error where a place lies outside the file."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def number(self, at: int) -> int:
        """int32."""
        return int(struct.unpack_from("<i", self._data, at)[0])

    def byte(self, at: int) -> int:
        return self._data[at]

    def offset(self, at: int) -> int:
        """The place that the offset there leads to."""
        return at + int(struct.unpack_from("<I", self._data, at)[0])

    def field(self, table: int, number: int) -> int:
        """The place of a field; 0 where the table has none."""
        vtable = table - self.number(table)
        if vtable < 0:
            raise ValueError("a table that begins before the file")
        size = struct.unpack_from("<H", self._data, vtable)[0]
        if 4 + 2 * number + 2 > size:
            return 0
        within = int(struct.unpack_from("<H", self._data, vtable + 4 + 2 * number)[0])
        return table + within if within else 0

    def vector(self, table: int, number: int) -> range:
        """Places of the elements, of 4 bytes each."""
        at = self.field(table, number)
        if not at:
            return range(0)
        start = self.offset(at)
        count = int(struct.unpack_from("<I", self._data, start)[0])
        if start + 4 + 4 * count > len(self._data):
            raise ValueError("a list that ends behind the file")
        return range(start + 4, start + 4 + 4 * count, 4)

    def text(self, table: int, number: int) -> str:
        at = self.field(table, number)
        if not at:
            return ""
        start = self.offset(at)
        length = min(1000, int(struct.unpack_from("<I", self._data, start)[0]))
        return bytes(self._data[start + 4 : start + 4 + length]).decode(errors="replace")
