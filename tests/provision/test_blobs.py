"""Which blob belongs to which graph."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ncs_cluster.provision import blobs, places
from ncs_cluster.provision.blobs import Recipe, find, find_for, outdated, sidecar
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    folder = tmp_path / "graph"
    folder.mkdir()
    (folder / "m.xml").write_text("<net/>")
    (folder / "m.bin").write_bytes(b"weights")
    return Recipe(folder / "m.xml")


def put(path: Path, content: bytes = b"blob", at: float = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


def test_a_graph_is_known_by_its_model_its_weights_and_what_is_done_to_pixels(recipe: Recipe) -> None:
    first = recipe.identity()
    assert recipe.identity() == first
    names = {first, recipe._replace(mean=(1, 0, 0)).identity(), recipe._replace(scale=(1, 1, 2)).identity()}
    assert recipe.weights is not None
    recipe.weights.write_bytes(b"weightz")
    names.add(recipe.identity())
    recipe.model.write_text("<net />")
    names.add(recipe.identity())
    assert len(names) == 5


def test_whether_numbers_are_written_as_whole_ones_makes_no_difference(recipe: Recipe) -> None:
    assert recipe._replace(mean=(0, 0, 0), scale=(1, 1, 1)).identity() == recipe.identity()


def test_shaves_and_slices_make_another_blob_of_the_same_graph(recipe: Recipe) -> None:
    asked = recipe._replace(shaves=4, slices=5)
    assert asked.identity() == recipe.identity()
    assert asked.name() == f"{recipe.identity()}-shaves4-slices5.blob"


def test_nothing_is_found_where_nothing_is(recipe: Recipe, tmp_path: Path) -> None:
    assert find_for(recipe, tmp_path) is None
    assert find_for(recipe._replace(model=tmp_path / "gone.xml"), tmp_path) is None
    assert not outdated(recipe)


def test_of_several_compiled_here_the_newest_is_found(recipe: Recipe, tmp_path: Path) -> None:
    old = put(places.blobs(tmp_path) / recipe.name(), at=1000)
    put(places.blobs(tmp_path) / recipe._replace(mean=(9, 9, 9)).name(), at=3000)
    assert find_for(recipe, tmp_path) == old
    new = put(places.blobs(tmp_path) / recipe._replace(shaves=4).name(), at=2000)
    assert find_for(recipe, tmp_path) == new


def test_a_blob_beside_the_model_is_found_as_long_as_it_is_that_models(recipe: Recipe, tmp_path: Path) -> None:
    beside = put(recipe.model.with_suffix(".blob"))
    assert find_for(recipe, tmp_path) == beside, "nobody says whose it is"
    sidecar(beside).write_text(json.dumps(recipe.description(beside)))
    assert find_for(recipe, tmp_path) == beside
    recipe.model.write_text("<net changed=''/>")
    assert find_for(recipe, tmp_path) is None
    assert outdated(recipe)
    assert find_for(recipe, tmp_path) is None
    compiled = put(places.blobs(tmp_path) / recipe.name())
    assert find_for(recipe, tmp_path) == compiled


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 10000])
def test_a_damaged_description_vouches_for_nothing(recipe: Recipe, tmp_path: Path, content: bytes) -> None:
    sidecar(put(recipe.model.with_suffix(".blob"))).write_bytes(content)
    assert find_for(recipe, tmp_path) is None


def test_a_graph_that_is_a_blob_made_elsewhere_is_its_own(tmp_path: Path) -> None:
    graph = GraphSpec(GraphName("g"), str(tmp_path / "public.blob"), "ssd")
    assert find(graph, tmp_path) == tmp_path / "public.blob"


def test_what_lies_beside_a_blob_names_its_model_from_there(recipe: Recipe, tmp_path: Path) -> None:
    blob = put(recipe.model.with_suffix(".blob"))
    assert recipe.description(blob)["model"] == "m.xml"
    assert recipe.description(put(tmp_path / "blobs" / "b.blob"))["model"] == str(recipe.model)
    assert json.loads(json.dumps(recipe.description(blob)))["identity"] == recipe.identity()
    assert blobs.COMPILER in recipe.description(blob)["compiler"]
