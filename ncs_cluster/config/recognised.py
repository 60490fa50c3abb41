"""A graph folder without graph.toml: what its model's inputs and outputs, and its labels, say by themselves.

A guess that may be wrong is refused, with the graph.toml to write: a graph that is shown other pixels than it was trained on finds
little, and nothing else looks wrong.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from ncs_cluster.config import ir, label_file, ports
from ncs_cluster.config.ports import Port, Ports
from ncs_cluster.decoders import DECODERS
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName

LABEL_FILES = (
    "labels.txt",
    "labels.json",
    "labels.pbtxt",
    "labels.yaml",
    "labels.yml",
    "classes.txt",
    "data.yaml",
    "metadata.yaml",
)
"""In the order in which they are looked for."""
YOLO_PIXELS = {"colour": "RGB", "resize": "letterbox", "scale": [255, 255, 255]}
"""What YOLOv5 and later are trained on."""
YOLOX_PIXELS = {"resize": "letterbox", "align": "top-left"}
USUAL_PIXELS = {
    ".xml": {"colour": "BGR", "mean": [0, 0, 0], "scale": [1, 1, 1]},
    ".onnx": {"colour": "RGB", "mean": [123.675, 116.28, 103.53], "scale": [58.395, 57.12, 57.375]},
    ".tflite": {"colour": "RGB", "mean": [127.5, 127.5, 127.5], "scale": [127.5, 127.5, 127.5]},
}
"""What is most often right, by the model file's ending: begins a graph.toml that is to be corrected."""


class _Guess(NamedTuple):
    decoder: str
    pixels: dict[str, Any]
    doubt: str = ""
    """What cannot be told; empty where there is no doubt."""


def description(folder: Path, name: str) -> dict[str, Any]:
    """The graph.toml that the folder does without. Raises ConfigError, one line, with the command that writes one."""
    model, names = _model(folder, name), _labels(folder)
    found = ports.read(model)
    guess = _guess(model, name, found, 0 if names is None else _count(names))
    described = {"model": model.name, "decoder": guess.decoder, "labels": names.name if names else None, "input": guess.pixels}
    described = {key: value for key, value in described.items() if value}
    if guess.doubt:
        lines = " ".join(shlex.quote(f"{key} = {_toml(value)}") for key, value in described.items())
        write = f"printf '%s\\n' {lines} > {shlex.quote(str(folder / 'graph.toml'))}"
        raise ConfigError(f"graph {name}: {model} has no graph.toml, and {guess.doubt}: {write}")
    return described


def _model(folder: Path, name: str) -> Path:
    """The one .xml, else the one model of another format."""
    models = sorted(path for path in folder.iterdir() if path.suffix in ports.FORMATS and _is_inside(path, folder))
    first = [path for path in models if path.suffix == ".xml"] or models
    if len(first) == 1:
        return first[0]
    kinds = first[0].suffix if first and first[0].suffix == ".xml" else "model"
    found = f"{len(first)} {kinds} files and no graph.toml" if first else "neither graph.toml nor a model (.xml, .onnx, .tflite)"
    raise ConfigError(f"graph {name}: {folder} holds {found}; describe it in a graph.toml (model, decoder, labels, [input])")


def _labels(folder: Path) -> Path | None:
    files = [folder / name for name in LABEL_FILES]
    return next((file for file in files if file.is_file() and _is_inside(file, folder)), None)


def _is_inside(file: Path, folder: Path) -> bool:
    """False for a link that leads out of the folder, which may come from a stranger."""
    try:
        return folder.resolve() in file.resolve().parents
    except (OSError, RuntimeError):
        return False


def _count(names: Path) -> int:
    read = label_file.read(names)
    return max(read) + 1 if isinstance(read, dict) else len(read)


def _guess(model: Path, name: str, found: Ports, names: int) -> _Guess:
    usual = USUAL_PIXELS[model.suffix]
    told = ", ".join(f"{port.name} [{', '.join(str(side) if side > 0 else '?' for side in port.shape)}]" for port in found.outputs)
    decoder, layout = _decoder(found, names)
    if decoder == "ssd" and model.suffix == ".xml" and len(found.outputs) == 1:
        return _Guess("ssd", {})
    if len(found.inputs) == 1:
        if decoder == "yolo" and not (model.suffix == ".xml" and ir.has_arithmetic(model)) and found.inputs[0].kind != "u8":
            return _yolo(layout, f"{model.stem} {name}".lower())
        if decoder in ("ssd", "classification") and model.suffix == ".tflite" and found.inputs[0].kind == "u8":
            return _Guess(decoder, {"colour": "RGB"})
        if decoder == "classification" and model.suffix == ".xml" and ir.has_arithmetic(model):
            return _Guess(decoder, {})
        if decoder:
            pixels = "the pixels it was trained on cannot be told; write one, with its colour, mean and scale corrected"
            return _Guess(
                decoder, {**YOLO_PIXELS} if decoder == "yolo" else usual, f"its outputs are those of {decoder}, but {pixels}"
            )
    kinds = ", ".join(DECODERS.names())
    doubt = f"its outputs {told} are of no kind that is known by sight; write one, with its decoder ({kinds}) and pixels corrected"
    return _Guess("features" if len(found.outputs) == 1 else "NAME", usual, doubt)


def _yolo(layout: str, name: str) -> _Guess:
    if layout == "v5-heads":
        return _Guess(
            "yolo", YOLO_PIXELS, "its anchors cannot be told; write one, and add decoder.anchors unless they are those of YOLOv5"
        )
    if layout == "yolox" and "yolox" not in name:
        return _Guess("yolo", YOLOX_PIXELS, "YOLOX and YOLOv6 look alike but for their pixels; write one, for YOLOX with")
    return _Guess("yolo", YOLOX_PIXELS if layout == "yolox" else YOLO_PIXELS)


def _decoder(found: Ports, names: int) -> tuple[str, str]:
    """The decoder that reads these outputs, and its layout for a YOLO head. Both empty: no decoder reads them, or several do."""
    from ncs_cluster.decoders import classification, ssd, yolo_layout

    if not found.outputs:
        return "", ""
    if all(port.name.startswith("TFLite_Detection_PostProcess") for port in found.outputs):
        return "ssd", ""
    outputs = {port.name: zeros for port in found.outputs if (zeros := _zeros(port)) is not None}
    if len(outputs) < len(found.outputs):
        return "", ""
    stub = GraphSpec(GraphName("g"), "", "")
    if ssd.check_outputs(outputs, stub, ssd.Options()) is None:
        return "ssd", ""
    size = _size(found.inputs)
    head = yolo_layout.head(outputs, "auto", "", 0, names, size)
    if isinstance(head, yolo_layout.Head):
        rows = [each * total for total in yolo_layout.cells(size) for each in (1, 3)]
        sure = head.layout in ("end2end", "v5-heads") or len(head.arrays[0]) in rows
        return ("yolo", head.layout) if sure else ("", "")
    classes = max(next(iter(outputs.values())).shape)
    if names == classes and classification.check_outputs(outputs, stub, classification.Options()) is None:
        return "classification", ""
    return "", ""


def _zeros(port: Port) -> Any:
    """An array of the port's shape without memory of its own. None: the shape is not fixed but for its batch, and the rows of
    a DetectionOutput."""
    import numpy

    if not port.shape or len(port.shape) > 8:
        return None
    rows = len(port.shape) == 4 and port.shape[3] == 7
    sides = [1 if side < 0 and (axis == 0 or (rows and axis == 2)) else side for axis, side in enumerate(port.shape)]
    return None if min(sides) < 0 else numpy.broadcast_to(numpy.float32(0), sides)


def _size(inputs: list[Port]) -> tuple[int, int]:
    """Width and height of a picture [1, 3, H, W] or [1, H, W, 3]; zeros for another input."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or min(inputs[0].shape[1:]) < 0:
        return 0, 0
    _, first, second, third = inputs[0].shape
    return (third, second) if first == 3 else (second, first)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
