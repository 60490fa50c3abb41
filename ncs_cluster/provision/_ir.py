"""An IR of OpenVINO, to be changed in place: its layers, what they take, and the values of its constants."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

KINDS = {"i64": "q", "i32": "i", "u64": "Q", "u32": "I", "u8": "B", "i8": "b", "f64": "d", "f32": "f", "f16": "e"}

Xml = Any


class Graph:
    """The layers of one IR. A damaged file raises ValueError, KeyError, TypeError, AttributeError or struct.error."""

    def __init__(self, root: Xml, weights: bytes) -> None:
        self.layers: dict[str, Xml] = {layer.get("id"): layer for layer in root.findall("layers/layer")}
        self.added = b""
        """Values of new constants: they follow the weights."""
        self._parent, self._edges = root.find("layers"), root.find("edges")
        self._weights = weights

    def is_used(self, layer: Xml, port: str) -> bool:
        """Whether any layer takes this output."""
        return any((edge.get("from-layer"), edge.get("from-port")) == (layer.get("id"), port) for edge in self._edges)

    def inputs(self, layer: Xml) -> int:
        return len(layer.findall("input/port"))

    def shape(self, layer: Xml, at: int, side: str = "input") -> list[int]:
        return [int(dim.text) for dim in layer.findall(f"{side}/port")[at].findall("dim")]

    def values(self, layer: Xml, at: int) -> tuple[Any, ...] | None:
        """The numbers of an input, where it is a constant, or one that is stored in fewer bits."""
        source = self._source(layer, at)
        if source is not None and source.get("type") == "Convert":
            source = self._source(source, 0)
        if source is None or source.get("type") != "Const" or source.find("data").get("element_type") not in KINDS:
            return None
        data = source.find("data")
        kind, start, size = KINDS[data.get("element_type")], int(data.get("offset")), int(data.get("size"))
        return struct.unpack(f"<{size // struct.calcsize(kind)}{kind}", self._weights[start : start + size])

    def replace(self, layer: Xml, at: int, values: Sequence[float], kind: str) -> None:
        """Give an input, which may be a new one, to a new constant of these numbers."""
        number = str(max(map(int, self.layers)) + 1)
        constant = ElementTree.Element("layer", id=number, name=f"version10_{number}", type="Const", version="opset1")
        data = struct.pack(f"<{len(values)}{KINDS[kind]}", *values)
        about = {"element_type": kind, "shape": str(len(values)), "offset": str(self._end()), "size": str(len(data))}
        ElementTree.SubElement(constant, "data", about)
        self.added += data
        output = ElementTree.SubElement(
            ElementTree.SubElement(constant, "output"), "port", id="0", precision=kind.upper().replace("F", "FP")
        )
        ElementTree.SubElement(output, "dim").text = str(len(values))
        # constants come before what takes them
        self._parent.insert(0, constant)
        self.layers[number] = constant
        if at < self.inputs(layer):
            self.remove(layer, at)
        port = ElementTree.Element("port", id=self._free_port(layer), precision=output.get("precision", ""))
        ElementTree.SubElement(port, "dim").text = str(len(values))
        layer.find("input").insert(at, port)
        edge = {"from-layer": number, "from-port": "0", "to-layer": layer.get("id"), "to-port": port.get("id", "")}
        ElementTree.SubElement(self._edges, "edge", edge)

    def remove(self, layer: Xml, at: int) -> None:
        """Remove input `at` of the layer."""
        port = layer.findall("input/port")[at]
        for edge in [edge for edge in self._edges if self._leads_to(edge, layer, port)]:
            self._edges.remove(edge)
        layer.find("input").remove(port)

    def _source(self, layer: Xml, at: int) -> Xml | None:
        port = layer.findall("input/port")[at]
        return next((self.layers[edge.get("from-layer")] for edge in self._edges if self._leads_to(edge, layer, port)), None)

    @staticmethod
    def _leads_to(edge: Xml, layer: Xml, port: Xml) -> bool:
        return bool((edge.get("to-layer"), edge.get("to-port")) == (layer.get("id"), port.get("id")))

    @staticmethod
    def _free_port(layer: Xml) -> str:
        return str(max(int(port.get("id")) for port in layer.iter("port")) + 1)

    def _end(self) -> int:
        return len(self._weights) + len(self.added)
