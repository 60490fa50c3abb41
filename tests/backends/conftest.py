"""Small graphs built on the spot, and published ones from the test data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName

Save = Callable[..., GraphSpec]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """save(outputs, inputs, **spec): write an OpenVINO IR made of these nodes and describe it."""
    import openvino

    def write(outputs: list[Any], inputs: list[Any], **spec: Any) -> GraphSpec:
        path = tmp_path / "made.xml"
        openvino.save_model(openvino.Model(outputs, inputs, "made"), str(path), compress_to_fp16=False)
        return GraphSpec(GraphName("made"), str(path), "ssd", **spec)

    return write


@pytest.fixture
def identity(save: Save) -> Callable[..., GraphSpec]:
    """A graph that gives back its input as float32, whatever was folded in before it."""
    from openvino import Type
    from openvino import opset8 as ops

    def make(shape: tuple[int, ...], **spec: Any) -> GraphSpec:
        picture = ops.parameter(list(shape), Type.f32, name="picture")
        out = ops.relu(ops.add(picture, ops.constant(1000.0, Type.f32)))
        return save([out], [picture], **spec)

    return make


@pytest.fixture(scope="session")
def published(test_data: Path) -> Callable[..., GraphSpec]:
    """published(name, **spec): one of the published models."""

    def describe(name: str, **spec: Any) -> GraphSpec:
        folder = test_data / "models" / name
        labels = dict(enumerate((folder / "labels.txt").read_text().splitlines(), 1))
        return GraphSpec(GraphName(name), str(folder / f"{name}.xml"), "ssd", labels, **spec)

    return describe
