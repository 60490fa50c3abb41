"""Rewrites an IR of version 11 as one of version 10, which the vendor's compiler reads.

Both versions describe the same graph; the compiler knows operations up to opset 7. Of a later one each operation here has an equal
in an earlier opset, when its attributes and constants allow; any other is named and refused. The weights stay as they are; new
constants follow them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

from ncs_cluster.provision._ir import Graph

NEWEST_OPSET = 7
MOST_NAMED = 3
"""Most operations that one error message names."""
PRIOR = 4
"""Numbers of one prior box in `proposals` of DetectionOutput, 5 where it is not normalized."""
FURTHEST = 1 << 62
"""Bounds of a slice beyond any side: they end at the side's end."""

Xml = Any


class Unequal(ValueError):
    """The graph has no equal in version 10. The message is one line: the operations, and why."""


def downgraded(xml: bytes, weights: bytes) -> tuple[bytes, bytes]:
    """The same graph as an IR of version 10, and the bytes to append to its weights. Raises Unequal; ValueError and its kin for a
    damaged file."""
    root = ElementTree.fromstring(xml)
    graph, refused = Graph(root, weights), list[str]()
    for layer in list(graph.layers.values()):
        refused += _rewrite(layer, graph)
    if refused:
        more = f" and {len(refused) - MOST_NAMED} more" if len(refused) > MOST_NAMED else ""
        raise Unequal(f"version 10 has no equal of {', '.join(refused[:MOST_NAMED])}{more}")
    root.set("version", "10")
    for parent in list(root.iter()):
        for about in parent.findall("rt_info"):
            parent.remove(about)
    return ElementTree.tostring(root), graph.added


def _rewrite(layer: Xml, graph: Graph) -> Iterator[str]:
    """Replace the operation by its equal. Yields what has none, and why."""
    for inner in layer.iter("layer"):
        label = f"{inner.get('type')} of {inner.get('version')} ({inner.get('name')})"
        if inner.get("type") == "Parameter" and re.search(r"[?<>]|\.\.|-1", inner.find("data").get("shape", "")):
            yield f"the dynamic shape of its input {inner.get('name')}"
        found = re.fullmatch(r"opset(\d{1,3})", inner.get("version", ""))
        if found is None or int(found[1]) <= NEWEST_OPSET:
            continue
        rule = RULES.get((inner.get("type", ""), inner.get("version", ""))) if inner is layer else None
        if rule is None:
            yield label
        elif why := rule[1](inner, graph):
            yield f"{label}: {why}"
        else:
            inner.set("version", rule[0])


def _gather(layer: Xml, graph: Graph) -> str:
    data, indices = layer.find("data"), graph.values(layer, 1)
    if data is not None and data.get("batch_dims", "0") != "0":
        return f"batch_dims is {data.get('batch_dims')}"
    if indices is None or min(indices, default=0) < 0:
        return "its indices may be negative"
    if data is not None:
        layer.remove(data)
    return ""


def _pool(layer: Xml, graph: Graph) -> str:
    data = layer.find("data")
    dilations = data.get("dilations", "1").replace(" ", "")
    if set(dilations.split(",")) != {"1"}:
        return f"its dilations are {dilations}"
    if data.get("rounding_type", "floor") not in ("floor", "ceil"):
        return f"it rounds by {data.get('rounding_type')}"
    outputs = layer.find("output")
    for port in outputs.findall("port")[1:]:
        if graph.is_used(layer, port.get("id")):
            return "the indices of its maxima are used"
        outputs.remove(port)
    for name in ("dilations", "index_element_type", "axis"):
        data.attrib.pop(name, None)
    return ""


def _softmax(layer: Xml, graph: Graph) -> str:
    data = layer.find("data")
    axis = int(data.get("axis"))
    data.set("axis", str(axis + len(graph.shape(layer, 0)) if axis < 0 else axis))
    return ""


def _detection_output(layer: Xml, graph: Graph) -> str:
    """Opset 8 infers the number of classes from the shapes."""
    data = layer.find("data")
    scores, proposals = graph.shape(layer, 1)[1], graph.shape(layer, 2)[2]
    priors = proposals // (PRIOR if data.get("normalized") in ("true", "1") else PRIOR + 1)
    if not priors or scores % priors:
        return f"{scores} scores are no whole number of classes for {priors} priors"
    data.set("num_classes", str(scores // priors))
    return ""


def _prior_box(layer: Xml, graph: Graph) -> str:
    if layer.find("data").attrib.pop("min_max_aspect_ratios_order", "true") not in ("true", "1"):
        return "its boxes have another order"
    return ""


def _slice(layer: Xml, graph: Graph) -> str:
    """Becomes a StridedSlice, which names the bounds of every axis."""
    rank = len(graph.shape(layer, 0))
    begins, ends, steps = (graph.values(layer, at) for at in (1, 2, 3))
    axes = graph.values(layer, 4) if graph.inputs(layer) > 4 else tuple(range(len(begins or ())))
    if begins is None or ends is None or steps is None or axes is None:
        return "its bounds are computed"
    if min(steps, default=1) < 1:
        return "it goes backwards"
    whole = dict.fromkeys(range(rank), (0, 0, 1))
    cut = {axis % rank: each for axis, *each in zip(axes, begins, ends, steps, strict=True)}
    bounds = [cut.get(axis, whole[axis]) for axis in range(rank)]
    for at in reversed(range(4, graph.inputs(layer))):
        graph.remove(layer, at)
    for at, values in enumerate(zip(*bounds, strict=True), 1):
        graph.replace(layer, at, [max(-FURTHEST, min(FURTHEST, value)) for value in values], "i64")
    ignored = ",".join(str(int(axis not in cut)) for axis in range(rank))
    about = dict.fromkeys(("new_axis_mask", "shrink_axis_mask", "ellipsis_mask"), "")
    layer.insert(0, ElementTree.Element("data", {"begin_mask": ignored, "end_mask": ignored, **about}))
    layer.set("type", "StridedSlice")
    return ""


def _interpolate(layer: Xml, graph: Graph) -> str:
    """Opset 4 takes sizes and scales, opset 11 one of them."""
    data = layer.find("data")
    if data.get("mode") not in ("nearest", "linear", "linear_onnx", "cubic"):
        return f"its mode is {data.get('mode')}"
    if set(re.findall(r"-?\d+", f"{data.get('pads_begin')},{data.get('pads_end')}")) - {"0"}:
        return "it pads"
    before, after = graph.shape(layer, 0), graph.shape(layer, 0, "output")
    axes = graph.values(layer, 2) if graph.inputs(layer) > 2 else tuple(range(len(before)))
    if axes is None:
        return "its axes are computed"
    axes = tuple(axis % len(before) for axis in axes)
    scales = [after[axis] / before[axis] for axis in axes]
    if data.get("shape_calculation_mode") == "scales":
        given = graph.values(layer, 1)
        if given is None:
            return "its scales are computed"
        scales = list(given)
    while graph.inputs(layer) > 1:
        graph.remove(layer, 1)
    graph.replace(layer, 1, [after[axis] for axis in axes], "i64")
    graph.replace(layer, 2, scales, "f32")
    graph.replace(layer, 3, axes, "i64")
    return ""


def _top_k(layer: Xml, graph: Graph) -> str:
    return "it is stable" if layer.find("data").attrib.pop("stable", "false") in ("true", "1") else ""


def _pad(layer: Xml, graph: Graph) -> str:
    """Opset 12 also crops."""
    pads = graph.values(layer, 1), graph.values(layer, 2)
    return "" if all(each is not None and min(each, default=0) >= 0 for each in pads) else "its pads may be negative"


RULES: dict[tuple[str, str], tuple[str, Callable[[Xml, Graph], str]]] = {
    ("Gather", "opset8"): ("opset1", _gather),
    ("MaxPool", "opset8"): ("opset1", _pool),
    ("MaxPool", "opset14"): ("opset1", _pool),
    ("AvgPool", "opset14"): ("opset1", _pool),
    ("SoftMax", "opset8"): ("opset1", _softmax),
    ("Softmax", "opset8"): ("opset1", _softmax),
    ("DetectionOutput", "opset8"): ("opset1", _detection_output),
    ("PriorBox", "opset8"): ("opset1", _prior_box),
    ("Slice", "opset8"): ("opset1", _slice),
    ("Interpolate", "opset11"): ("opset4", _interpolate),
    ("TopK", "opset11"): ("opset3", _top_k),
    ("Pad", "opset12"): ("opset1", _pad),
}
"""Operation and opset -> the opset that has its equal, and what makes it that, in place, or returns why it cannot."""
