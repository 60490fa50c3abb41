"""Inputs and outputs of an ONNX file: ModelProto of onnx.proto, of which only the fields on the way are read.

Protocol Buffers, https://protobuf.dev/programming-guides/encoding: a field is a tag (number and wire type) and a value; the value
of a message has its length before it, so weights are stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Union

from ncs_cluster.config import text_file
from ncs_cluster.config.ports import Port, Ports
from ncs_cluster.errors import ConfigError

MOST_FIELDS = 500_000
"""Fields that are looked at: a second of work."""
GRAPH, INITIALIZER, INPUT, OUTPUT = 7, 5, 11, 12
KINDS = {1: "f32", 2: "u8", 3: "i8", 6: "i32", 7: "i64", 9: "boolean", 10: "f16", 11: "f64"}
"""TensorProto.DataType."""
Value = Union[int, memoryview]


def ports(model: Path) -> Ports:
    """See ports.read. Initializers, which old files list as inputs too, are none."""
    with text_file.mapped(model) as data:
        try:
            return _ports(_Reader(), data)
        except (ValueError, IndexError) as error:
            raise ConfigError(f"{model}: is no ONNX model, or it is damaged: {error}") from error


def _ports(reader: _Reader, data: memoryview) -> Ports:
    graphs = [value for number, value in reader.fields(data) if number == GRAPH and isinstance(value, memoryview)]
    if len(graphs) != 1:
        raise ValueError("it has no graph")
    inputs, outputs, weights = [], [], set()
    for number, value in reader.fields(graphs[0]):
        if number == INITIALIZER:
            weights.add(_text(reader, value, 8))
        elif number == INPUT:
            inputs.append(_port(reader, value))
        elif number == OUTPUT:
            outputs.append(_port(reader, value))
    return Ports([port for port in inputs if port.name not in weights], outputs)


def _port(reader: _Reader, value: Value) -> Port:
    """ValueInfoProto: name 1, type 2; TypeProto: tensor_type 1; its elem_type 1 and shape 2; TensorShapeProto: dim 1."""
    tensor = _message(reader, _message(reader, value, 2), 1)
    kind = next((number for field, number in reader.fields(tensor) if field == 1 and isinstance(number, int)), 0)
    sides = [side for field, side in reader.fields(_message(reader, tensor, 2)) if field == 1]
    lengths = [next((n for field, n in reader.fields(side) if field == 1 and isinstance(n, int)), -1) for side in sides]
    shape = tuple(length if 0 < length < 1 << 31 else -1 for length in lengths)
    return Port(_text(reader, value, 1), shape, KINDS.get(kind, ""))


def _message(reader: _Reader, value: Value, number: int) -> Value:
    """The submessage in field `number`, the last one where the field is repeated; an empty message where the field is missing."""
    found: Value = memoryview(b"")
    for field, each in reader.fields(value):
        found = each if field == number else found
    return found


def _text(reader: _Reader, value: Value, number: int) -> str:
    text = _message(reader, value, number)
    return bytes(text[:1000]).decode(errors="replace") if isinstance(text, memoryview) else ""


class _Reader:
    """Reads fields, and counts them."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS

    def fields(self, data: Value) -> Iterator[tuple[int, Value]]:
        """Number and value of each field. Raises ValueError or IndexError where the bytes are no Protocol Buffers message."""
        if isinstance(data, int):
            raise ValueError("a message is a number")
        at = 0
        while at < len(data):
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"more than {MOST_FIELDS} fields")
            tag, at = _varint(data, at)
            number, wire = tag >> 3, tag & 7
            if wire == 0:
                value, at = _varint(data, at)
                yield number, value
                continue
            if wire == 2:
                length, at = _varint(data, at)
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
            else:
                raise ValueError(f"a field of wire type {wire}")
            if at + length > len(data):
                raise ValueError("it ends in the middle of a field")
            yield number, data[at : at + length]
            at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number without end")
