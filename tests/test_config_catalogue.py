"""What a catalogue says of a model becomes its graph.toml; what it says wrongly is one line."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.config import graph_folder
from ncs_cluster.config.catalogue import Catalogue
from ncs_cluster.config.toml_text import toml_text
from ncs_cluster.errors import ConfigError

OURS = """
[models.ours]
about = "two pets, 300x300"
licence = "MIT, https://example.org/LICENSE"
address = "https://example.org/models"
files = [
  { path = "v1/ours.xml", size = 19, sha256 = "0000000000000000000000000000000000000000000000000000000000000000" },
  { path = "v1/ours.bin", size = 3, sha256 = "0000000000000000000000000000000000000000000000000000000000000000" },
]
model = "ours.xml"
decoder = { name = "ssd", max_detections = 7 }
labels = ["cat", "Größe \\"1\\""]
threshold = 0.4
input = { colour = "RGB", resize = "letterbox", mean = [1, 2.5, 3] }
"""


def written(folder: Path, text: str) -> Catalogue:
    file = folder / "own.toml"
    file.write_text(text)
    return Catalogue(file)


def test_a_described_model_becomes_a_graph_folder_that_says_the_same(tmp_path: Path) -> None:
    model = written(tmp_path, OURS).model("ours")
    assert [(file.url, file.size) for file in model.files] == [("v1/ours.xml", 19), ("v1/ours.bin", 3)]
    assert (model.address, model.size) == ("https://example.org/models", 22)
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "ours.xml").write_text("<net version='10'/>")
    for name, text in model.texts.items():
        (folder / name).write_text(text)
    graph = graph_folder.read(folder, "ours", None)
    assert (graph.decoder, graph.decoder_options, graph.threshold) == ("ssd", {"max_detections": 7}, 0.4)
    assert graph.labels == {1: "cat", 2: 'Größe "1"'}
    assert (graph.colour, graph.resize, graph.mean, graph.scale) == ("RGB", "letterbox", (1.0, 2.5, 3.0), (1.0, 1.0, 1.0))


def test_what_the_catalogue_leaves_out_graph_toml_leaves_out(tmp_path: Path) -> None:
    model = written(tmp_path, re.sub("(?m)^(labels|threshold|input).*$", "", OURS)).model("ours")
    assert tomllib.loads(model.texts["graph.toml"]) == {
        "model": "ours.xml",
        "decoder": {"name": "ssd", "max_detections": 7},
    }
    assert list(model.texts) == ["graph.toml"]


def test_labels_may_be_one_of_the_files(tmp_path: Path) -> None:
    text = OURS.replace("v1/ours.bin", "other/names.txt").replace(
        '["cat", "Größe \\"1\\""]', '{ file = "names.txt", first_id = 3 }'
    )
    model = written(tmp_path, text).model("ours")
    assert tomllib.loads(model.texts["graph.toml"])["labels"] == {"file": "names.txt", "first_id": 3}
    assert list(model.texts) == ["graph.toml"]


def test_a_list_of_names_may_have_a_map_too(tmp_path: Path) -> None:
    text = OURS.replace('["cat", "Größe \\"1\\""]', '{ names = ["cat", "dog"], map = { dog = "hound" } }')
    model = written(tmp_path, text).model("ours")
    assert tomllib.loads(model.texts["graph.toml"])["labels"] == {"file": "labels.txt", "map": {"dog": "hound"}}
    assert model.texts["labels.txt"] == "cat\ndog\n"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('about = "two pets, 300x300"\n', "", "models.ours.about: is missing"),
        ("threshold = 0.4", "treshold = 0.4", "models.ours.treshold: unknown key; did you mean threshold?"),
        ("threshold = 0.4", "threshold = 4", "models.ours.threshold: must be at most 1"),
        ("size = 19", 'size = "19"', "models.ours.files.0.size: must be a whole number"),
        ("size = 19", "size = 0", "models.ours.files.0.size: must be at least 1"),
        ("000", "00x", "models.ours.files.0.sha256: must be 64 hexadecimal digits"),
        ("v1/ours.xml", "../ours.xml", "models.ours.files.0.path: must be a path below address"),
        ("v1/ours.xml", "/etc/passwd", "models.ours.files.0.path: must be a path below address"),
        ("v1/ours.xml", "v1/", "models.ours.files.0.path: must be a path below address"),
        ("v1/ours.xml", "v1/.bashrc", "models.ours.files.0.path: must be a path below address"),
        ("v1/ours.xml", "v1/x.xml?a=b", "models.ours.files.0.path: must be a path below address"),
        ("v1/ours.xml", "v1/graph.toml", "models.ours.files.0.path: must not be graph.toml"),
        ("v1/ours.bin", "v2/ours.xml", "models.ours.files: two of them have the same name"),
        ('model = "ours.xml"', 'model = "other.xml"', 'models.ours.model: "other.xml" is none of its files (ours.xml, ours.bin)'),
        ('["cat", "Größe \\"1\\""]', '"names.txt"', 'models.ours.labels: "names.txt" is none of its files'),
        ('["cat", "Größe \\"1\\""]', '["a\\nb"]', "models.ours.labels.names.0: must be one line of text"),
        ('["cat", "Größe \\"1\\""]', '{ file = "../x", names = ["a"] }', "models.ours.labels.file: must be the name of a file"),
        ('["cat", "Größe \\"1\\""]', '{ file = "ours.bin", names = ["a"] }', "models.ours.labels.file: must be the name of a file"),
        ('licence = "MIT, ', 'licence = "MIT\\u001b[31m', "models.ours.licence: must be one line of text"),
        ('name = "ssd"', 'name = "sssd"', 'models.ours: decoder: there is no decoder "sssd"'),
        ("max_detections = 7", "max_detections = 0", "models.ours: decoder.max_detections: "),
        ("mean = [1, 2.5, 3]", "scale = [1, 0, 1]", "models.ours.input.scale: must not be 0"),
    ],
)
def test_a_model_that_is_described_wrongly_is_one_line_that_names_the_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in OURS
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, OURS.replace(old, new, 1)).model("ours")
    assert str(caught.value).startswith(f"{tmp_path}/own.toml: {said}")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ['"../up"', '".hidden"', '"a b"', '""'])
def test_a_name_that_is_no_name_of_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    catalogue = written(tmp_path, OURS.replace("models.ours", f"models.{name}"))
    with pytest.raises(ConfigError, match="a name is made of letters, digits"):
        catalogue.model(catalogue.names[0])


def test_one_wrong_model_leaves_the_others_usable(tmp_path: Path) -> None:
    catalogue = written(tmp_path, f"[models.wrong]\nabout = 1\n{OURS}")
    assert catalogue.names == ["wrong", "ours"]
    assert catalogue.model("ours").name == "ours"
    with pytest.raises(ConfigError, match=r'there is no model "theirs" to pull; known: wrong, ours'):
        catalogue.model("theirs")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = [", "is not TOML"),
        ("", "is no catalogue of models: it has no table"),
        ('[model.ours]\nabout = ""\n', 'is no catalogue of models: it has "model"'),
        ("models = 3\n", "is no catalogue of models"),
        ("x." * 40 + "y = 1", "is not TOML: line 1: a key has more than 16 parts"),
    ],
)
def test_a_file_that_is_no_catalogue_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path}/own.toml: {said}")):
        written(tmp_path, text)


def test_a_catalogue_that_is_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        Catalogue(tmp_path / "none.toml")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="is not a file"):
        Catalogue(tmp_path / "fifo")


INTELS = (
    "face-detection-retail-0004",
    "person-detection-retail-0013",
    "vehicle-detection-adas-0002",
    "person-vehicle-bike-detection-crossroad-0078",
)


@pytest.mark.parametrize("name", INTELS)
def test_intels_models_come_from_the_zoo(name: str) -> None:
    model = Catalogue().model(name)
    assert model.address == "https://storage.openvinotoolkit.org/repositories/open_model_zoo/2021.4/models_bin/3"
    assert [file.url for file in model.files] == [f"{name}/FP16/{name}.{kind}" for kind in ("xml", "bin")]
    about = tomllib.loads(model.texts["graph.toml"])
    assert (about["decoder"], about["input"]) == ("ssd", {"colour": "BGR", "resize": "stretch"})


def test_every_model_of_the_shipped_catalogue_is_described_and_pinned() -> None:
    catalogue = Catalogue()
    assert set(INTELS) <= set(catalogue.names)
    for name in catalogue.names:
        model = catalogue.model(name)
        assert model.address.startswith("https://")
        assert tomllib.loads(model.texts["graph.toml"])["model"] == model.files[0].url.rpartition("/")[2]


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("yolox_nano", ["yolox_nano/yolox_nano.onnx"]),
        ("ultra-light-face-rfb-320", ["ultra-light-rfb-320/version-RFB-320.onnx"]),
        (
            "mobilenet_v1_0.25_224",
            [f"mobilenet_v1_0.25_224_float/{file}" for file in ("mobilenet_v1_0.25_224_float.tflite", "labels.txt")],
        ),
    ],
)
def test_files_are_pinned_as_they_were_published(name: str, published: list[str], test_data: Path) -> None:
    contents = [(test_data / "models" / file).read_bytes() for file in published]
    pins = [(file.size, file.sha256) for file in Catalogue().model(name).files]
    assert pins == [(len(content), hashlib.sha256(content).hexdigest()) for content in contents]


KEYS = st.text(min_size=1, max_size=8)
SCALARS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.booleans(), st.integers(-(1 << 60), 1 << 60), st.floats(allow_nan=False)
)


@given(
    st.recursive(
        st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3), max_size=4),
        lambda inner: st.dictionaries(KEYS, SCALARS | inner, max_size=4),
    )
)
def test_what_is_written_as_toml_is_read_back_the_same(table: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(table)) == table


def test_what_toml_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes has no form"):
        toml_text({"a": b"x"})
    assert toml_text({"a": None, "b": 1}) == "b = 1\n"
