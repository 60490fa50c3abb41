"""Which graphs of two hosts are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ncs_cluster.fleet.same_graph import FIXED, content, identity
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName


def graph(folder: Path, name: str = "net.xml", weights: bytes = b"weights") -> GraphSpec:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"<net/>")
    (folder / "net.bin").write_bytes(weights)
    return GraphSpec(
        GraphName("cats"), str(folder / name), "ssd", {1: "cat", 2: "dog"}, decoder_options={"b": {"y": 1, "x": 2}, "a": 3}
    )


def of(spec: GraphSpec) -> str:
    return identity(content(spec), spec)


def test_it_is_the_same_under_another_name_in_another_folder(tmp_path: Path) -> None:
    here = graph(tmp_path / "here")
    there = replace(graph(tmp_path / "there"), name=GraphName("animals"), blob="/x")
    assert of(there) == of(here)
    otherwise = replace(there, labels={2: "dog", 1: "cat"}, decoder_options={"a": 3, "b": {"x": 2, "y": 1}})
    assert of(otherwise) == of(here)


def test_it_is_another_one_with_other_weights_and_an_onnx_has_none_beside_it(tmp_path: Path) -> None:
    here, there = graph(tmp_path / "here"), graph(tmp_path / "there", weights=b"others")
    assert of(there) != of(here)
    assert content(graph(tmp_path / "a", "net.onnx")) == content(graph(tmp_path / "b", "net.onnx", b"others"))


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 0.5},
        {"labels": {1: "cat"}},
        {"decoder_options": {"a": 4}},
        {"colour": "RGB"},
        {"resize": "letterbox"},
        {"mean": (1.0, 0.0, 0.0)},
        {"extra_outputs": ["pool"]},
    ],
    ids=str,
)
def test_it_is_another_one_with_other_settings_on_which_an_answer_depends(tmp_path: Path, change: dict[str, Any]) -> None:
    here = graph(tmp_path)
    assert of(replace(here, **change)) != of(here)


def test_every_field_of_a_graph_counts_or_says_nothing_of_an_answer() -> None:
    assert set(GraphSpec.__struct_fields__) - {*FIXED, "threshold", "labels", "decoder_options"} == {"name", "model", "blob"}
