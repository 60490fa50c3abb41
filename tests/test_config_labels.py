"""Names of classes: the files that people have, fitted to what the model says of its classes. A name is right, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.config import graph_folder, ir, label_file, labels
from ncs_cluster.config.labels import Classes
from ncs_cluster.errors import ConfigError

FIRST_BACKGROUND = Classes(background=0, total=3)
LAST_BACKGROUND = Classes(background=2, total=3)
IR = """<net version="10"><layers>
<layer id="0" type="DetectionOutput"><data {data}/>
<output><port id="1"><dim>1</dim><dim>1</dim><dim>9</dim><dim>7</dim></port></output></layer>
</layers><edges/></net>"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.txt"


def named(file: Path, text: str, classes: Classes | None = None, first_id: int | None = None, usual: int = 1) -> dict[int, str]:
    file.write_bytes(text.encode())
    return labels.read(file, classes, first_id=first_id, usual_first_id=usual)


def refusal(file: Path, text: str, classes: Classes | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        named(file, text, classes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- the forms of a file

CAT_AND_DOG = {1: "cat", 2: "hot dog"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "cat\nhot dog\n"),
        ("labels.txt", "\ufeffcat\r\nhot dog\r\n\r\n"),
        ("labels.txt", "1 cat\n2  hot dog\n"),
        ("labels.txt", "2: hot dog\n1: cat\n"),
        ("labels.txt", "1,cat\n2,hot dog"),
        ("labels.csv", "id,name\n1,cat\n2,hot dog"),
        ("labels.txt", "0 background\n1 cat\n2 hot dog\n"),
        ("labels.txt", "__background__\ncat\nhot dog\n"),
        ("labels.txt", "???\ncat\nhot dog\n"),
        ("labels.json", '["cat", "hot dog"]'),
        ("labels.txt", '["background", "cat", "hot dog"]'),
        ("labels.json", '{"1": "cat", "2": "hot dog"}'),
        ("labels.json", '{"cat": 1, "hot dog": 2}'),
        ("labels.json", '{"nc": 2, "names": {"1": "cat", "2": "hot dog"}}'),
        ("labels.json", '{"categories": [{"id": 1, "name": "cat", "supercategory": "animal"}, {"id": 2, "name": "hot dog"}]}'),
        ("map.pbtxt", "item {\n  name: '/m/01'\n  id: 1\n  display_name: 'cat'\n}\nitem {\n  id: 2\n  name: 'hot dog'\n}\n"),
        ("map.txt", 'item { id: 1 name: "cat" } item { id: 2 name: "hot dog" }'),
        ("data.yaml", "path: ../coco # root\ntrain: images\nnames:\n  1: cat\n  2: hot dog  # a meal\nnc: 2\n"),
        ("data.yaml", "names: ['cat', \"hot dog\"]\n"),
        ("data.yaml", "names:\n- cat\n- hot dog\n"),
        ("data.yml", "names: {1: cat, 2: hot dog}\n"),
        ("metadata.yaml", "stride: 32\nimgsz:\n- 640\n- 640\nnames:\n  1: cat\n  2: hot dog\nargs:\n  batch: 1\n"),
        ("data.yaml", "names: [ 'cat',\n         hot dog ]\nnc: 2\n"),
        ("config.json", '{"id2label": {"1": "cat", "2": "hot dog"}, "label2id": {"cat": 1, "hot dog": 2}}'),
        ("imagenet_class_index.json", '{"1": ["n02121808", "cat"], "2": ["n07697537", "hot dog"]}'),
        ("synset_words.txt", "n02121808 cat\nn07697537 hot dog\n"),
        ("coco.names", "cat\nhot dog\n"),
    ],
)
def test_each_form_of_a_label_file_gives_the_same_names(tmp_path: Path, name: str, text: str) -> None:
    assert named(tmp_path / name, text) == CAT_AND_DOG


@pytest.mark.parametrize(
    "text",
    [
        """names: ['men''s shoe', "a, b: \\"c\\"", it's]\n""",
        """names: {0: 'men''s shoe', 1: "a, b: \\"c\\"", 2: it's}\n""",
        """names:\n  0: 'men''s shoe'\n  1: "a, b: \\"c\\""\n  2: it's\n""",
        """names:\n- 'men''s shoe'\n- "a, b: \\"c\\""\n- it's\n""",
    ],
)
def test_quotes_and_commas_in_yaml_are_as_yaml_has_them(tmp_path: Path, text: str) -> None:
    assert named(tmp_path / "data.yaml", text, usual=0) == {0: "men's shoe", 1: 'a, b: "c"', 2: "it's"}


def test_names_that_begin_with_a_number_are_names(file: Path) -> None:
    assert named(file, "3d printer\nscrew\n2 wheels\n") == {1: "3d printer", 2: "screw", 3: "2 wheels"}


def test_an_id_without_a_class_keeps_its_place(file: Path) -> None:
    assert named(file, "???\nperson\n???\nbus\nn/a\n\ncar\n") == {1: "person", 3: "bus", 6: "car"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", ""),
        ("labels.txt", "\n\n"),
        ("labels.json", "{"),
        ("labels.json", "[" * 100_000),
        ("labels.json", "3"),
        ("labels.json", '{"cat": "dog"}'),
        ("labels.json", '[{"id": 1}]'),
        ("labels.json", '{"-1": "cat"}'),
        ("labels.json", '{"cat": true}'),
        ("labels.txt", "1 cat\n1 dog\n"),
        ("data.yaml", "nc: 2\n"),
        ("data.yaml", "names:\n  cat\n"),
        ("map.pbtxt", "item { name: 'cat' }"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_in_one_line(tmp_path: Path, name: str, text: str) -> None:
    line = refusal(tmp_path / name, text)
    assert line.startswith(str(tmp_path / name))
    assert line.endswith("write one name per line")


@pytest.mark.parametrize(
    "text",
    [" " * 900_000 + "x", "'" * 900_001, '"' + "\\" * 900_000, "1" * 900_000, "'a," * 300_000],
    ids=["blanks", "quotes", "escapes", "digits", "open"],
)
def test_a_line_without_end_does_not_hold_up_the_start(tmp_path: Path, text: str) -> None:
    """Work that grows with the square of the line would take hours: a test run would not end."""
    (tmp_path / "data.yaml").write_text(f"names: [{text}\n")
    assert label_file.read(tmp_path / "data.yaml")


@given(text=st.text(max_size=200), suffix=st.sampled_from([".txt", ".json", ".yaml", ".pbtxt"]))
def test_any_text_gives_names_or_one_line(tmp_path_factory: pytest.TempPathFactory, text: str, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_text(text, encoding="utf-8", errors="replace")
    told: label_file.Names
    try:
        told = label_file.read(path)
    except ConfigError as error:
        told = [str(error)]
    assert told
    assert "\n" not in "".join(told.values() if isinstance(told, dict) else told)


# -- fitted to the model


@pytest.mark.parametrize("text", ["cat\nhot dog\n", "background\ncat\nhot dog\n", "???\ncat\nhot dog\n"])
def test_a_list_is_fitted_to_a_model_whose_background_comes_first(file: Path, text: str) -> None:
    assert named(file, text, FIRST_BACKGROUND) == {1: "cat", 2: "hot dog"}


@pytest.mark.parametrize("text", ["cat\nhot dog\n", "cat\nhot dog\nbackground\n", "background\ncat\nhot dog\n"])
def test_a_list_is_fitted_to_a_model_whose_background_comes_last(file: Path, text: str) -> None:
    assert named(file, text, LAST_BACKGROUND) == {0: "cat", 1: "hot dog"}


def test_a_list_is_fitted_around_a_background_in_the_middle(file: Path) -> None:
    assert named(file, "cat\nhot dog\n", Classes(1, 3)) == {0: "cat", 2: "hot dog"}


def test_a_model_without_a_background_has_a_name_for_each_class(file: Path) -> None:
    assert named(file, "cat\nhot dog\n", Classes(-1, 2)) == {0: "cat", 1: "hot dog"}


def test_a_model_that_tells_its_background_alone_tells_where_a_list_begins(file: Path) -> None:
    assert named(file, "cat\nhot dog\n", Classes(-1, None)) == {0: "cat", 1: "hot dog"}
    assert named(file, "cat\nhot dog\n", Classes(0, None)) == {1: "cat", 2: "hot dog"}


def test_where_the_model_says_nothing_the_decoder_has_a_usual_first_id(file: Path) -> None:
    assert named(file, "cat\nhot dog\n", usual=0) == {0: "cat", 1: "hot dog"}
    assert named(file, "background\ncat\n", usual=0) == {1: "cat"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cat\n", "it has 1 names, and the model has 2 classes beside its background"),
        ("cat\nhot dog\nbus\n", "it has 3 names, and the model has 2 classes beside its background"),
        ("background\ncat\n", "it has 1 names, and the model has 2 classes beside its background"),
        ("0 cat\n1 hot dog\n", 'class 0 is called "cat", and the model\'s class 0 is its background'),
        ("1 cat\n3 bus\n", 'class 3 is called "bus", and the model has 3 classes, from 0'),
    ],
)
def test_names_that_do_not_fit_the_model_are_refused_with_the_remedy(file: Path, text: str, told: str) -> None:
    remedy = 'write "ID NAME" on each line, or the id of the first name as labels.first_id in graph.toml'
    assert refusal(file, text, FIRST_BACKGROUND) == f"{file}: {told}; {remedy}"


def test_a_numbered_file_may_name_some_classes_only(file: Path) -> None:
    assert named(file, "2 hot dog\n", FIRST_BACKGROUND) == {2: "hot dog"}


def test_the_first_id_of_graph_toml_beats_what_is_known(file: Path) -> None:
    assert named(file, "0 cat\n1 hot dog\n", FIRST_BACKGROUND, first_id=1) == {1: "cat", 2: "hot dog"}
    assert named(file, "cat\nhot dog\nbus\n", FIRST_BACKGROUND, first_id=1) == {1: "cat", 2: "hot dog", 3: "bus"}
    assert named(file, "cat\n", first_id=7) == {7: "cat"}


# -- from the folder


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ('background_label_id="0" num_classes="91"', Classes(0, 91)),
        ('background_label_id="1" num_classes="2"', Classes(1, 2)),
        ('num_classes="4"', Classes(0, 4)),
        ('background_label_id="0"', Classes(0, None)),
        ('background_label_id="x" num_classes="many"', Classes(0, None)),
    ],
)
def test_an_ir_tells_its_background_and_its_classes(tmp_path: Path, data: str, found: Classes) -> None:
    model = tmp_path / "m.xml"
    model.write_text(IR.format(data=data))
    assert ir.classes(model) == found


def test_a_model_that_is_no_ir_tells_nothing(tmp_path: Path) -> None:
    for name in ("m.onnx", "m.xml", "gone.xml"):
        if name != "gone.xml":
            (tmp_path / name).write_bytes(b"\x08\x07\x12")
        assert ir.classes(tmp_path / name) is None


def test_a_folder_without_graph_toml_names_class_0_where_the_background_is_the_last_one(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text(IR.format(data='background_label_id="1" num_classes="2"'))
    (tmp_path / "labels.txt").write_text("face\n")
    assert graph_folder.read(tmp_path, "faces", None).labels == {0: "face"}


def test_a_graph_toml_tells_the_id_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_text(IR.format(data='background_label_id="0" num_classes="91"'))
    (tmp_path / "names.txt").write_text("0  person\n1  bicycle\n")
    about = tmp_path / "graph.toml"
    about.write_text('model = "m.xml"\ndecoder = "ssd"\n[labels]\nfile = "names.txt"\nfirst_id = 1\n')
    assert graph_folder.read(tmp_path, "coco", None).labels == {1: "person", 2: "bicycle"}


@pytest.mark.parametrize("name", ["face-detection-retail-0004", "ssd_mobilenet_v1_coco"])
def test_real_models_are_named_as_before(test_data: Path, name: str) -> None:
    folder = test_data / "models" / name
    lines = (folder / "labels.txt").read_text().splitlines()
    expected = {number: line for number, line in enumerate(lines, 1) if line not in ("???", "", "n/a")}
    assert graph_folder.read(folder, "real", None).labels == expected


# -- other names


def mapped(folder: Path, table: str) -> dict[int, str]:
    """The labels of a graph folder with a map."""
    (folder / "m.onnx").write_bytes(b"")
    (folder / "names.txt").write_text("cat\ntvmonitor\nmotorbike\ncar\n")
    (folder / "graph.toml").write_text(f'model = "m.onnx"\ndecoder = "ssd"\n[labels]\nfile = "names.txt"\n{table}\n')
    return graph_folder.read(folder, "mapped", None).labels


def test_a_map_renames_classes_and_leaves_the_others_and_their_ids(tmp_path: Path) -> None:
    assert mapped(tmp_path, 'map = { tvmonitor = "tv" }') == {1: "cat", 2: "tv", 3: "motorbike", 4: "car"}
    assert mapped(tmp_path, "[labels.map]\n") == {1: "cat", 2: "tvmonitor", 3: "motorbike", 4: "car"}
    assert mapped(tmp_path, 'first_id = 7\nmap = { cat = "chat noir" }')[7] == "chat noir"


def test_two_classes_may_get_one_name_and_names_may_be_exchanged(tmp_path: Path) -> None:
    assert mapped(tmp_path, 'map = { motorbike = "vehicle", car = "vehicle" }') == {
        1: "cat",
        2: "tvmonitor",
        3: "vehicle",
        4: "vehicle",
    }
    assert mapped(tmp_path, 'map = { cat = "car", car = "cat" }') == {1: "car", 2: "tvmonitor", 3: "motorbike", 4: "cat"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('map = { tv_monitor = "tv" }', 'no class is called "tv_monitor"; did you mean "tvmonitor"?'),
        ('map = { zebra = "horse" }', 'no class is called "zebra"; names are those of the label file'),
        ('map = { cat = "" }', '"cat": the new name must be one line of text, not ""'),
        ('map = { cat = "a\\nb" }', '"cat": the new name must be one line of text, not "a?b"'),
        ("map = { cat = 3 }", "cat: must be text, not 3"),
        ('map = "tv"', "must be a table"),
    ],
)
def test_a_map_that_cannot_be_is_one_line_that_names_the_key(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mapped(tmp_path, table)
    assert str(caught.value).startswith(f"{tmp_path}/graph.toml: labels.map")
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
