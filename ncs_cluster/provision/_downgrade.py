"""Rewrites an IR of version 11 as one of version 10, which the vendor's compiler reads. The weights stay as they are.

Both versions describe the same graph; the compiler knows operations up to opset 7. Of a later one each operation here has an equal
in opset 1, when its attributes and constants allow; any other is named and refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

NEWEST_OPSET = 7
MOST_NAMED = 3
"""Operations that one message names."""
INTEGERS = {"i64": "q", "i32": "i", "u8": "B", "i8": "b", "u64": "Q", "u32": "I"}
PRIOR = 4
"""Numbers of one prior box in `proposals` of DetectionOutput, 5 where it is not normalized."""

Xml = Any


class Unequal(ValueError):
    """The graph has no equal in version 10. The message is one line: the operations, and why."""


class _Graph:
    """The layers of one IR, and the values of its constants."""

    def __init__(self, root: Xml, weights: bytes) -> None:
        self.layers: dict[str, Xml] = {layer.get("id"): layer for layer in root.findall("layers/layer")}
        self._edges = root.findall("edges/edge")
        self._weights = weights

    def is_used(self, layer: Xml, port: str) -> bool:
        return any((edge.get("from-layer"), edge.get("from-port")) == (layer.get("id"), port) for edge in self._edges)

    def integers(self, layer: Xml, at: int) -> tuple[int, ...] | None:
        """The values of an input, where it is a constant of whole numbers."""
        port = layer.findall("input/port")[at].get("id")
        sources = [
            self.layers[edge.get("from-layer")]
            for edge in self._edges
            if (edge.get("to-layer"), edge.get("to-port")) == (layer.get("id"), port)
        ]
        source = sources[0] if sources else layer
        data = source.find("data")
        if source.get("type") != "Const" or data.get("element_type") not in INTEGERS:
            return None
        kind, start, size = INTEGERS[data.get("element_type")], int(data.get("offset")), int(data.get("size"))
        return struct.unpack(f"<{size // struct.calcsize(kind)}{kind}", self._weights[start : start + size])

    @staticmethod
    def shape(layer: Xml, at: int) -> list[int]:
        return [int(dim.text) for dim in layer.findall("input/port")[at].findall("dim")]


def downgraded(xml: bytes, weights: bytes) -> bytes:
    """The same graph as an IR of version 10. Raises Unequal; ValueError and its kin for a damaged file."""
    root = ElementTree.fromstring(xml)
    graph, refused = _Graph(root, weights), list[str]()
    for layer in graph.layers.values():
        refused += _rewrite(layer, graph)
    if refused:
        more = f" and {len(refused) - MOST_NAMED} more" if len(refused) > MOST_NAMED else ""
        raise Unequal(f"version 10 has no equal of {', '.join(refused[:MOST_NAMED])}{more}")
    root.set("version", "10")
    for parent in list(root.iter()):
        for about in parent.findall("rt_info"):
            parent.remove(about)
    return ElementTree.tostring(root)


def _rewrite(layer: Xml, graph: _Graph) -> Iterator[str]:
    """Replace the operation by its equal. Yields what has none, and why."""
    for inner in layer.iter("layer"):
        operation = f"{inner.get('type')} of {inner.get('version')}"
        label = f"{operation} ({inner.get('name')})"
        if inner.get("type") == "Parameter" and re.search(r"[?<>]|\.\.|-1", inner.find("data").get("shape", "")):
            yield f"the dynamic shape of its input {inner.get('name')}"
        found = re.fullmatch(r"opset(\d{1,3})", inner.get("version", ""))
        if found is None or int(found[1]) <= NEWEST_OPSET:
            continue
        rule = RULES.get((inner.get("type", ""), inner.get("version", ""))) if inner is layer else None
        why = "" if rule is None else rule(inner, graph)
        if rule is None or why:
            yield label + (f": {why}" if why else "")
        else:
            inner.set("version", "opset1")


def _gather(layer: Xml, graph: _Graph) -> str:
    data, indices = layer.find("data"), graph.integers(layer, 1)
    if data is not None and data.get("batch_dims", "0") != "0":
        return f"batch_dims is {data.get('batch_dims')}"
    if indices is None or min(indices, default=0) < 0:
        return "its indices may be negative"
    if data is not None:
        layer.remove(data)
    return ""


def _max_pool(layer: Xml, graph: _Graph) -> str:
    data = layer.find("data")
    dilations = data.get("dilations", "1").replace(" ", "")
    if set(dilations.split(",")) != {"1"}:
        return f"its dilations are {dilations}"
    outputs = layer.find("output")
    for port in outputs.findall("port")[1:]:
        if graph.is_used(layer, port.get("id")):
            return "the indices of its maxima are used"
        outputs.remove(port)
    for name in ("dilations", "index_element_type", "axis"):
        data.attrib.pop(name, None)
    return ""


def _softmax(layer: Xml, graph: _Graph) -> str:
    data = layer.find("data")
    axis = int(data.get("axis"))
    data.set("axis", str(axis + len(graph.shape(layer, 0)) if axis < 0 else axis))
    return ""


def _detection_output(layer: Xml, graph: _Graph) -> str:
    """Opset 8 infers the number of classes from the shapes."""
    data = layer.find("data")
    scores, proposals = graph.shape(layer, 1)[1], graph.shape(layer, 2)[2]
    priors = proposals // (PRIOR if data.get("normalized") in ("true", "1") else PRIOR + 1)
    if not priors or scores % priors:
        return f"{scores} scores are no whole number of classes for {priors} priors"
    data.set("num_classes", str(scores // priors))
    return ""


def _prior_box(layer: Xml, graph: _Graph) -> str:
    if layer.find("data").attrib.pop("min_max_aspect_ratios_order", "true") not in ("true", "1"):
        return "its boxes have another order"
    return ""


RULES: dict[tuple[str, str], Callable[[Xml, _Graph], str]] = {
    ("Gather", "opset8"): _gather,
    ("MaxPool", "opset8"): _max_pool,
    ("SoftMax", "opset8"): _softmax,
    ("Softmax", "opset8"): _softmax,
    ("DetectionOutput", "opset8"): _detection_output,
    ("PriorBox", "opset8"): _prior_box,
}
"""Operation and opset -> makes it one of opset 1, in place; returns why it cannot."""
