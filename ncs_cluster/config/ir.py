"""What the .xml of an OpenVINO IR says of its outputs, read without OpenVINO. The file may come from a stranger."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Optional

from ncs_cluster.config import text_file
from ncs_cluster.config.labels import Classes
from ncs_cluster.errors import ConfigError

LARGEST_XML = 64 << 20


def output_shapes(model: Path) -> list[list[str]]:
    """Shapes of the outputs: the inputs of the Result layers (IR 10 and later), else the ports without an edge."""
    root = _root(model)
    layers = root.findall("./layers/layer")
    results = [layer for layer in layers if layer.get("type") == "Result"]
    if results:
        ports = [port for layer in results for port in layer.findall("./input/port")]
    else:
        taken = {(edge.get("from-layer"), edge.get("from-port")) for edge in root.findall("./edges/edge")}
        ports = [
            port for layer in layers for port in layer.findall("./output/port") if (layer.get("id"), port.get("id")) not in taken
        ]
    return [[(dim.text or "").strip() for dim in port.findall("dim")] for port in ports]


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
