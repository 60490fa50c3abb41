"""Models of a catalogue are pulled whole, from a real HTTP server, or not at all."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from ncs_cluster.config import graph_folder
from ncs_cluster.provision import catalogue, places
from ncs_cluster.provision.catalogue import MODELS, CatalogueError, Model, pull
from ncs_cluster.provision.fetch import FetchError, Pinned
from tests.provision.conftest import Site

XML, BIN = b"<net version='10'/>", bytes(range(256)) * 500


def pinned(url: str, body: bytes) -> Pinned:
    return Pinned(url, len(body), hashlib.sha256(body).hexdigest())


OURS = Model("ours", "things", ("cat", "dog"), (pinned("ours/FP16/ours.xml", XML), pinned("ours/FP16/ours.bin", BIN)))


def quiet(line: str) -> None:
    pass


def get(site: Site, state: Path) -> Path:
    return pull("ours", state, mirror=site.url + "/zoo/", models=(OURS,), say=quiet)


@pytest.fixture(autouse=True)
def zoo(site: Site) -> None:
    site.files = {"/zoo/ours/FP16/ours.xml": XML, "/zoo/ours/FP16/ours.bin": BIN}


def test_a_pulled_model_is_a_graph_folder_that_is_found_by_its_name(site: Site, tmp_path: Path) -> None:
    folder = get(site, tmp_path)
    assert folder == tmp_path / "graphs" / "ours"
    assert sorted(os.listdir(folder)) == ["graph.toml", "labels.txt", "ours.bin", "ours.xml"]
    assert graph_folder.named(tmp_path) == {"ours": folder}
    graph = graph_folder.read(folder, "ours", None)
    assert (graph.decoder, graph.labels, graph.colour, graph.resize) == ("ssd", {1: "cat", 2: "dog"}, "BGR", "stretch")
    assert graph.model == str(folder / "ours.xml")


def test_what_is_there_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    get(site, tmp_path)
    (tmp_path / "graphs" / "ours" / "labels.txt").write_text("Katze\nHund\n")
    get(site, tmp_path)
    assert len(site.asked) == 2
    assert (tmp_path / "graphs" / "ours" / "labels.txt").read_text() == "Katze\nHund\n"


def test_half_a_model_is_no_graph_and_the_rest_is_asked_for_later(site: Site, tmp_path: Path) -> None:
    del site.files["/zoo/ours/FP16/ours.bin"]
    with pytest.raises(FetchError, match=r"ours\.bin: .* the server no longer has the file"):
        get(site, tmp_path)
    assert graph_folder.named(tmp_path) == {}
    site.files["/zoo/ours/FP16/ours.bin"] = BIN
    get(site, tmp_path)
    assert [path for path, _, _ in site.asked].count("/zoo/ours/FP16/ours.xml") == 1


def test_a_model_that_was_changed_here_is_put_aside_not_lost(site: Site, tmp_path: Path) -> None:
    folder = get(site, tmp_path)
    (folder / "ours.xml").write_bytes(XML[::-1])
    get(site, tmp_path)
    assert (folder / "ours.xml").read_bytes() == XML
    assert (folder.with_name("ours.old1") / "ours.xml").read_bytes() == XML[::-1]


def test_a_name_nobody_knows_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r'no model "\.\./etc" to pull; known: face-detection-retail-0004, person-detection'):
        pull("../etc", tmp_path)


def test_where_the_graphs_should_be_is_a_file_and_that_is_one_line(site: Site, tmp_path: Path) -> None:
    places.graphs(tmp_path).write_text("")
    with pytest.raises(CatalogueError, match=r"graphs.*: (File exists|Not a directory)"):
        get(site, tmp_path)


def test_every_model_of_the_catalogue_is_pinned_and_describes_itself() -> None:
    assert {model.name for model in MODELS} == {
        "face-detection-retail-0004",
        "person-detection-retail-0013",
        "vehicle-detection-adas-0002",
        "person-vehicle-bike-detection-crossroad-0078",
    }
    assert catalogue.ZOO.startswith("https://storage.openvinotoolkit.org/")
    for model in MODELS:
        xml, weights = model.files
        assert (xml.url, weights.url) == tuple(f"{model.name}/FP16/{model.name}.{kind}" for kind in ("xml", "bin"))
        assert all(re.fullmatch("[0-9a-f]{64}", each.sha256) and each.size > 100_000 for each in model.files)
