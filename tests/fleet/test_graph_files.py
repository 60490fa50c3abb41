"""A graph as files: what a host reads is the graph that was sent, and nothing else is read for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ncs_cluster.config import guests
from ncs_cluster.errors import ConfigError
from ncs_cluster.fleet import graph_files
from ncs_cluster.fleet.chunk import GraphFiles, Malformed, Parcel
from ncs_cluster.fleet.parcel import Blocks
from ncs_cluster.jobs.same_graph import key_of
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName

NAME = GraphName("mine@0123456789ab")
SHA256 = "0" * 64


@pytest.fixture
def graph(tmp_path: Path) -> GraphSpec:
    (tmp_path / "mine.xml").write_text("<net/>")
    (tmp_path / "mine.bin").write_bytes(b"weights")
    labels, mean = {3: "dög", 1: "cat"}, (1.5, 0.0, 2.0)
    return GraphSpec(GraphName("mine"), str(tmp_path / "mine.xml"), "ssd", labels, 0.25, "RGB", "letterbox", mean=mean)


def folder(graph: GraphSpec, into: Path, **changed: Any) -> Path:
    """The files of a graph as a host has them; `changed`: fields of graph.json."""
    found = graph_files.sources(graph)
    into.mkdir()
    parts = [found.description, *(Path(path).read_bytes() for path in found.paths)]
    for name, part in zip(found.names, parts, strict=True):
        (into / name).write_bytes(part)
    if changed:
        (into / "graph.json").write_text(json.dumps({**json.loads(found.description), **changed}))
    return into


def test_a_host_reads_the_graph_that_was_sent(graph: GraphSpec, tmp_path: Path) -> None:
    there = folder(graph, tmp_path / "host")
    found = guests.read(str(there), NAME, tmp_path, blob=False)
    assert found == replace(graph, name=NAME, model=str(there / "model.xml"))
    assert key_of(found) == key_of(graph)
    (there / "model.bin").write_bytes(b"other weights")
    assert key_of(found) != key_of(graph)


def test_one_graph_has_one_hash_in_whatever_order_its_labels_are_known(graph: GraphSpec) -> None:
    again = replace(graph, name=GraphName("yours"), labels=dict(reversed(graph.labels.items())))
    assert graph_files.sources(again) == graph_files.sources(graph)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"decoder": "rm"}, 'decoder: there is no decoder "rm"'),
        ({"decoder_options": {"lion": 1}}, "decoder.lion"),
        ({"extra_outputs": ["secret"]}, "its decoder ssd is another one here"),
        ({"scale": [0.0, 1.0, 1.0]}, "its decoder ssd is another one here"),
        ({"model": "/etc/passwd"}, "has a graph.json that is not as this version writes it"),
        ({"threshold": 7}, "has a graph.json that is not as this version writes it"),
        ({"labels": {"x": "y"}}, "has a graph.json that is not as this version writes it"),
    ],
)
def test_a_graph_that_this_host_does_not_know_is_refused_in_one_line(
    graph: GraphSpec, tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    there = folder(graph, tmp_path / "host", **changed)
    with pytest.raises(ConfigError) as refused:
        guests.read(str(there), NAME, tmp_path, blob=False)
    assert str(refused.value).startswith(f"graph {NAME}: ")
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_host_whose_sticks_load_blobs_needs_one(graph: GraphSpec, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="comes without a blob"):
        guests.read(str(folder(graph, tmp_path / "host")), NAME, tmp_path, blob=True)
    (tmp_path / "mine.blob").write_bytes(b"blob")
    there = folder(replace(graph, blob=str(tmp_path / "mine.blob")), tmp_path / "other")
    assert guests.read(str(there), NAME, tmp_path, blob=True).blob == str(there / "model.blob")


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (["model.xml", "graph.json"], [1, 1]),
        (["graph.json", "model.bin"], [1, 1]),
        (["graph.json", "model.xml", "model.xml"], [1, 1, 1]),
        (["graph.json", "model.xml"], [1]),
        (["graph.json", "model.xml"], [1, None]),
        (["graph.json", "model.xml"], [1, 1 << 40]),
        (["graph.json", "model.xml"], [1 << 28, 1]),
    ],
)
def test_files_that_are_no_graph_are_not_fetched(names: list[Any], sizes: list[int | None]) -> None:
    with pytest.raises(Malformed):
        graph_files.check(GraphFiles(names, Parcel(SHA256, sizes)))


def test_the_name_of_a_guest_is_safe_and_no_name_of_a_graph_of_the_settings() -> None:
    assert graph_files.guest_name("../my graph\n", "abc" * 20) == "..-my-graph-@abcabcabcabc"
    assert graph_files.guest_name("", "abc" * 20) == "graph@abcabcabcabc"


def test_blocks_are_of_one_size_and_a_file_that_cannot_be_read_has_none(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 700_000)
    (tmp_path / "empty").touch()
    blocks = Blocks([str(tmp_path / "large"), str(tmp_path / "away"), str(tmp_path), str(tmp_path / "empty"), b"y" * 400_000])
    assert [len(block) for block in blocks] == [512 * 1024, 512 * 1024, 1_100_000 - 2 * 512 * 1024]
    assert blocks.parcel.sizes == [700_000, None, None, 0, 400_000]
    assert (blocks.parcel.size, blocks.parcel.pieces) == (1_100_000, 3)
