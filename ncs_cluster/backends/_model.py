"""A model file prepared for pixels: read, checked with clearer errors than OpenVINO's, preprocessing folded in.

The input becomes uint8 [1, H, W, 3] BGR; mean, scale, colour order and layout go inside the graph. Runs on CPython 3.9.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec

OLDEST_IR = 10
INTEGERS = {"u8": (0, 255), "i8": (-128, 127)}
"""Types of inputs that hold pixels without fractions, with their least and largest value."""


def read(core: Any, spec: GraphSpec) -> Any:
    """The model as the file has it. Raises StickError("graph", ...)."""
    path = Path(spec.model)
    if not path.is_file():
        raise StickError("graph", f"{graph_label(spec)}: there is no such file")
    version = _ir_version(spec, path) if path.suffix == ".xml" else None
    try:
        return core.read_model(os.fspath(path))
    except RuntimeError as error:
        reason = short_reason(error)
        if reason.startswith("Unable to read the model"):
            # OpenVINO's message lists the formats it knows, not the fault
            format_name = f"files ending in {path.suffix}" if version is None else f"IR version {version}"
            reason = f"the file is damaged, or this OpenVINO knows no {format_name}: convert the model again"
        raise StickError("graph", f"{graph_label(spec)}: it cannot be read: {reason}") from error


def fold(model: Any, spec: GraphSpec) -> Any:
    """uint8 [1, H, W, 3] BGR in, float32 out, all else inside the graph. Raises StickError("graph", ...)."""
    try:
        from openvino import Layout, Type
    except ImportError:  # 2022
        from openvino.runtime import Layout, Type
    from openvino.preprocess import ColorFormat, PrePostProcessor

    layout = _input_layout(model, spec)
    for name in spec.extra_outputs:
        _add_output(model, spec, name)
    _check_range(model, spec)
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().tensor().set_color_format(ColorFormat.BGR)
    steps.input().model().set_layout(Layout(layout))
    arithmetic = steps.input().preprocess()
    arithmetic.convert_element_type(Type.f32)
    if spec.colour == "RGB":
        arithmetic.convert_color(ColorFormat.RGB)
    if any(spec.mean):
        arithmetic.mean(list(spec.mean))
    if any(value != 1.0 for value in spec.scale):
        arithmetic.scale(list(spec.scale))
    for index in range(len(model.outputs)):
        steps.output(index).tensor().set_element_type(Type.f32)
    return steps.build()


def graph_label(spec: GraphSpec) -> str:
    """The beginning of every error about a graph."""
    return f"graph {spec.name}: {spec.model}"


def short_reason(error: Exception) -> str:
    """The last line of an OpenVINO error: the lines before it are source positions."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(("Exception from", "Check '", "FrontEnd API"))]
    return (telling or lines or [type(error).__name__])[-1].rstrip(".")


def _input_layout(model: Any, spec: GraphSpec) -> str:
    """ "NCHW" or "NHWC"; a free batch becomes 1. Raises StickError for an input that is no colour picture of known size."""
    if len(model.inputs) != 1:
        names = ", ".join(port.any_name for port in model.inputs)
        raise StickError(
            "graph", f"{graph_label(spec)}: it has {len(model.inputs)} inputs ({names}): a graph has exactly one, a picture"
        )
    shape = model.inputs[0].partial_shape
    if not shape.rank.is_static or len(shape) != 4:
        raise StickError("graph", f"{graph_label(spec)}: its input {shape} is not a picture [1, 3, H, W] or [1, H, W, 3]")
    if shape[0].is_dynamic or shape[0].get_length() != 1:
        model.reshape([1, *(shape[axis] for axis in (1, 2, 3))])
        shape = model.inputs[0].partial_shape
    if shape.is_dynamic:
        raise StickError(
            "graph", f"{graph_label(spec)}: its input {shape} has no fixed size: export it with a fixed height and width"
        )
    sizes = [int(shape[axis].get_length()) for axis in range(4)]
    if sizes[1] == 3:
        return "NCHW"
    if sizes[3] == 3:
        return "NHWC"
    raise StickError("graph", f"{graph_label(spec)}: its input {sizes} is not a colour picture [1, 3, H, W] or [1, H, W, 3]")


def _check_range(model: Any, spec: GraphSpec) -> None:
    """Raises StickError where pixels after mean and scale are not whole numbers of an input of integers: OpenVINO would let them
    overflow and cut off fractions."""
    kind = model.inputs[0].get_element_type().get_type_name()
    if kind not in INTEGERS:
        return
    least, most = INTEGERS[kind]
    for mean, scale in zip(spec.mean, spec.scale):
        darkest, lightest = sorted(((0 - mean) / scale, (255 - mean) / scale))
        if darkest < least or lightest > most or scale not in (1.0, -1.0) or mean != int(mean):
            remedy = "leave mean and scale out" if least == 0 else "set mean = [128, 128, 128], and no scale"
            made = f"input.mean and input.scale make pixels of {darkest:g} to {lightest:g}"
            raise StickError("graph", f"{graph_label(spec)}: its input takes {kind}, {least} to {most}, and {made}: {remedy}")


def _add_output(model: Any, spec: GraphSpec, name: str) -> None:
    """Make the tensor `name` inside the model an output. Raises StickError where the model has no such tensor; its text names
    similar ones."""
    layers = model.get_ordered_ops()
    tensors = {each: port for layer in layers for port in layer.outputs() for each in port.get_names()}
    port = tensors.get(name) or next((layer.output(0) for layer in layers if layer.get_friendly_name() == name), None)
    if port is None:
        known = [*tensors, *(layer.get_friendly_name() for layer in layers)]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise StickError("graph", f'{graph_label(spec)}: it has no layer "{name}"; similar are {", ".join(near)}')
    model.add_outputs(port)
    port.get_tensor().set_names({name})


def _ir_version(spec: GraphSpec, path: Path) -> str:
    """The version of an OpenVINO IR. Raises StickError where OpenVINO's error says little: no XML, too old, no weights."""
    try:
        with path.open("rb") as file:
            _, root = next(ElementTree.iterparse(file, events=("start",)))
    except (ElementTree.ParseError, StopIteration, UnicodeDecodeError) as error:
        raise StickError("graph", f"{graph_label(spec)}: it is damaged, or no OpenVINO IR at all: {error}") from error
    version = str(root.get("version", ""))
    if root.tag != "net" or not version.isdigit():
        raise StickError("graph", f"{graph_label(spec)}: it is XML, but no OpenVINO IR")
    if int(version) < OLDEST_IR:
        detail = f"IR version {version} is too old, {OLDEST_IR} is the oldest that loads: convert the model again"
        raise StickError("graph", f"{graph_label(spec)}: {detail}")
    if not path.with_suffix(".bin").is_file():
        raise StickError("graph", f"{graph_label(spec)}: its weights {path.with_suffix('.bin').name} are missing beside it")
    return version
