"""Models of a catalogue are pulled whole, from a real HTTP server, or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ncs_cluster.config import graph_folder
from ncs_cluster.provision import places
from ncs_cluster.provision.catalogue import CatalogueError, Model, pull
from ncs_cluster.provision.fetch import FetchError, Pinned
from tests.provision.conftest import Site

XML, BIN = b"<net version='10'/>", bytes(range(256)) * 500
GRAPH_TOML = 'model = "ours.xml"\ndecoder = "ssd"\nlabels = "labels.txt"\n'


def pinned(url: str, body: bytes) -> Pinned:
    return Pinned(url, len(body), hashlib.sha256(body).hexdigest())


def ours(address: str = "https://nowhere.invalid") -> Model:
    files = (pinned("ours/FP16/ours.xml", XML), pinned("ours/FP16/ours.bin", BIN))
    return Model("ours", "things", "MIT", address, files, {"graph.toml": GRAPH_TOML, "labels.txt": "cat\ndog\n"})


def quiet(line: str) -> None:
    pass


def get(site: Site, state: Path) -> Path:
    return pull(ours(), state, mirror=site.url + "/zoo/", say=quiet)


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


def test_without_a_mirror_the_models_own_address_is_asked(site: Site, tmp_path: Path) -> None:
    folder = pull(ours(site.url + "/zoo"), tmp_path, say=quiet)
    assert (folder / "ours.xml").read_bytes() == XML
    assert [path for path, _, _ in site.asked] == ["/zoo/ours/FP16/ours.xml", "/zoo/ours/FP16/ours.bin"]


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


def test_what_was_left_of_another_model_of_the_name_does_not_come_into_the_folder(site: Site, tmp_path: Path) -> None:
    coming = places.graphs(tmp_path) / ".ours.part"
    coming.mkdir(parents=True)
    (coming / "theirs.onnx.part").write_bytes(b"half")
    assert sorted(os.listdir(get(site, tmp_path))) == ["graph.toml", "labels.txt", "ours.bin", "ours.xml"]


def test_a_model_that_was_changed_here_is_put_aside_not_lost(site: Site, tmp_path: Path) -> None:
    folder = get(site, tmp_path)
    (folder / "ours.xml").write_bytes(XML[::-1])
    get(site, tmp_path)
    assert (folder / "ours.xml").read_bytes() == XML
    assert (folder.with_name("ours.old1") / "ours.xml").read_bytes() == XML[::-1]


def test_where_the_graphs_should_be_is_a_file_and_that_is_one_line(site: Site, tmp_path: Path) -> None:
    places.graphs(tmp_path).write_text("")
    with pytest.raises(CatalogueError, match=r"graphs.*: (File exists|Not a directory)"):
        get(site, tmp_path)
