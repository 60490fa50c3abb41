"""Inputs and outputs of a model file, read without the library that runs it: IR, ONNX and TensorFlow Lite.

Files come from strangers: lengths are checked, and nothing is followed twice without a bound.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FORMATS = (".xml", ".onnx", ".tflite")
"""Endings of the files that OpenVINO reads as models."""


class Port(NamedTuple):
    """An input or output."""

    name: str
    shape: tuple[int, ...]
    """-1: not fixed. Empty where the file does not tell, too."""
    kind: str
    """Type of the numbers as OpenVINO has it, such as "f32" or "u8"; empty where the file does not tell."""


class Ports(NamedTuple):
    """What goes into a model and comes out."""

    inputs: list[Port]
    outputs: list[Port]


def read(model: Path) -> Ports:
    """Inputs and outputs of a model file. Raises ConfigError for an unknown or damaged format, OSError for an unreadable file."""
    from ncs_cluster.config import ir, onnx_file, tflite_file

    if model.suffix == ".xml":
        return ir.ports(model)
    return onnx_file.ports(model) if model.suffix == ".onnx" else tflite_file.ports(model)
