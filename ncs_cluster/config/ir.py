"""What the .xml of an OpenVINO IR says of its outputs, read without OpenVINO. The file may come from a stranger."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Optional

from ncs_cluster.config import text_file
from ncs_cluster.config.labels import Classes
from ncs_cluster.config.ports import Port, Ports
from ncs_cluster.errors import ConfigError

LARGEST_XML = 64 << 20


ARITHMETIC = {"Add", "Subtract", "Multiply", "Divide"}


def ports(model: Path) -> Ports:
    """See ports.read. Outputs: the inputs of the Result layers (IR 10 and later), else the ports without an edge."""
    root = _root(model)
    inputs = [
        Port(layer.get("name") or "input", _shape(port), _kind(layer, port))
        for layer in root.findall("./layers/layer")
        if layer.get("type") in ("Parameter", "Input")
        for port in layer.findall("./output/port")
    ]
    return Ports(inputs, _outputs(root))


def has_arithmetic(model: Path) -> bool:
    """True where the first thing that an IR does with its input is adding or multiplying: mean and scale are inside."""
    root = _root(model)
    kinds = {layer.get("id"): layer.get("type") for layer in root.findall("./layers/layer")}
    edges = [(edge.get("from-layer"), edge.get("to-layer")) for edge in root.findall("./edges/edge")]
    return any(kinds.get(begin) in ("Parameter", "Input") and kinds.get(end) in ARITHMETIC for begin, end in edges)


def _outputs(root: ElementTree.Element) -> list[Port]:
    layers = root.findall("./layers/layer")
    results = [layer for layer in layers if layer.get("type") == "Result"]
    if results:
        found = [(layer, port) for layer in results for port in layer.findall("./input/port")]
    else:
        taken = {(edge.get("from-layer"), edge.get("from-port")) for edge in root.findall("./edges/edge")}
        found = [
            (layer, port)
            for layer in layers
            for port in layer.findall("./output/port")
            if (layer.get("id"), port.get("id")) not in taken
        ]
    names = [(layer.get("name") or f"output{index}").partition("/sink_port")[0] for index, (layer, _) in enumerate(found)]
    return [Port(name, _shape(port), _kind(layer, port)) for name, (layer, port) in zip(names, found, strict=True)]


def _shape(port: ElementTree.Element) -> tuple[int, ...]:
    sides = [_integer((dim.text or "").strip()) for dim in port.findall("dim")]
    return tuple(side if side is not None and 0 < side < 1 << 31 else -1 for side in sides)


def _kind(layer: ElementTree.Element, port: ElementTree.Element) -> str:
    about = layer.find("data")
    kind = port.get("precision") or (about.get("element_type") if about is not None else None) or layer.get("precision") or ""
    return {"fp32": "f32", "fp16": "f16"}.get(kind.lower(), kind.lower())


def classes(model: Path) -> Optional[Classes]:
    """What the model's DetectionOutput says of its classes; None for a model without one, and for a file that is no IR: opening
    it tells more."""
    try:
        root = _root(model) if model.suffix == ".xml" else None
    except ConfigError:
        return None
    layer = root.find("./layers/layer[@type='DetectionOutput']/data") if root is not None else None
    if layer is None:
        return None
    background, count = _integer(layer.get("background_label_id", "0")), _integer(layer.get("num_classes", ""))
    return Classes(background if background is not None else 0, count if count else None)


def _integer(text: str) -> Optional[int]:
    try:
        return int(text)
    except ValueError:
        return None


def _root(model: Path) -> ElementTree.Element:
    try:
        data = text_file.read(model, LARGEST_XML, "that is no IR description")
        if b"<!" in data.replace(b"<!--", b""):
            raise ConfigError(f"{model}: declares entities or a document type, as no IR does; the file is refused")
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise ConfigError(f"{model}: cannot be read: {error}; is the file damaged?") from error
