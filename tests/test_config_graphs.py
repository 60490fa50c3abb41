"""Graph folders: what they say of themselves, and what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.config import graph_folder, load
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import GraphSpec

DETECTION_OUTPUT = """<?xml version="1.0"?>
<net name="x" version="10"><layers>
  <layer id="0" type="Parameter"><output><port id="0"><dim>1</dim><dim>3</dim><dim>300</dim><dim>300</dim></port></output></layer>
  <layer id="1" type="Result"><input><port id="0"><dim>1</dim><dim>1</dim><dim>{n}</dim><dim>7</dim></port></input></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges></net>
"""
IR_7 = """<net version="7"><layers>
  <layer id="0" type="Input"><output><port id="0"><dim>1</dim><dim>3</dim></port></output></layer>
  <layer id="1" type="DetectionOutput"><output>
    <port id="3"><dim>1</dim><dim>1</dim><dim>100</dim><dim>7</dim></port></output></layer>
</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges></net>
"""


def graphs(*argv: str, **environ: str) -> list[GraphSpec]:
    return load(["--backend", "simulated", *argv], environ).graphs


def refusal(*argv: str) -> str:
    with pytest.raises(ConfigError) as caught:
        graphs(*argv)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "street"
    made.mkdir()
    (made / "model.xml").write_text(DETECTION_OUTPUT.format(n=100))
    (made / "labels.txt").write_text("person\n bus \n\n")
    return made


def described(folder: Path, text: str = "") -> str:
    (folder / "graph.toml").write_text('model = "model.xml"\ndecoder = "ssd"\nlabels = "labels.txt"\n' + text)
    return str(folder)


def test_a_folder_describes_itself(folder: Path) -> None:
    about = described(
        folder,
        'threshold = 0.4\n[input]\ncolour = "RGB"\nresize = "letterbox"\nalign = "top-left"\npadding = 7\n'
        "mean = [1, 2, 3]\nscale = [4, 5.5, 6]\n",
    )
    assert graphs("--graph", about) == [
        GraphSpec(
            name="street",  # type: ignore[arg-type]
            model=str(folder / "model.xml"),
            decoder="ssd",
            labels={1: "person", 2: "bus"},
            threshold=0.4,
            colour="RGB",
            resize="letterbox",
            align="top-left",
            padding=7,
            mean=(1.0, 2.0, 3.0),
            scale=(4.0, 5.5, 6.0),
        )
    ]


@pytest.mark.parametrize("xml", [DETECTION_OUTPUT.format(n=200), DETECTION_OUTPUT.format(n=-1), IR_7])
def test_an_ssd_needs_no_description(folder: Path, xml: str) -> None:
    (folder / "model.xml").write_text(xml)
    (found,) = graphs("--graph", str(folder))
    assert (found.decoder, found.colour, found.resize, found.threshold) == ("ssd", "BGR", "stretch", 0.6)
    assert found.labels == {1: "person", 2: "bus"}


def test_a_real_detector_is_recognised(test_data: Path) -> None:
    folder = test_data / "models" / "ssd_mobilenet_v1_coco"
    (found,) = graphs("--graph", str(folder), "--threshold", "0.5")
    assert (found.name, found.decoder, found.threshold) == ("ssd_mobilenet_v1_coco", "ssd", 0.5)
    assert found.labels[1] == "person"


def test_the_threshold_of_a_flag_beats_the_tables_which_beats_the_folders(folder: Path, tmp_path: Path) -> None:
    described(folder, "threshold = 0.4\n")
    file = tmp_path / "c.toml"
    file.write_text("threshold = 0.3\n[graphs.a]\npath = 'street'\n[graphs.b]\npath = 'street'\nthreshold = 0.2\n")
    assert [(graph.name, graph.threshold) for graph in graphs("--config", str(file))] == [("a", 0.3), ("b", 0.2)]
    assert [graph.threshold for graph in graphs("--config", str(file), "--threshold", "0.9")] == [0.9, 0.9]
    assert [graph.name for graph in graphs("--config", str(file), "--graph", "b")] == ["b"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("thresold = 0.4", "thresold: unknown key; did you mean threshold?"),
        ("threshold = 2", "threshold: must be at most 1, not 2"),
        ("[input]\ncolor = 'BGR'", "input.color: unknown key; did you mean colour?"),
        ("[input]\ncolour = 'GRAY'", "input.colour: must be one of 'BGR', 'RGB', not \"GRAY\""),
        ("[input]\nmean = [1, 2]", "input.mean: must be 3 values"),
        ("[input]\nscale = [1, 0, 1]", "input.scale: must not be 0"),
        ("[input]\nmean = [1, nan, 1]", "input.mean.1: must be a finite number, not nan"),
        ("[[", "is not TOML"),
    ],
)
def test_a_wrong_description_is_told(folder: Path, text: str, line: str) -> None:
    assert refusal("--graph", described(folder, text)).startswith(f"{folder}/graph.toml: {line}")


@pytest.mark.parametrize("name", ["../secret.xml", "/etc/hostname", "link.xml", "no.xml", "", ".", "a\0b"])
def test_what_a_folder_names_lies_inside_it(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.xml").write_text("<net/>")
    (folder / "link.xml").symlink_to(tmp_path / "secret.xml")
    escaped = name.replace("\0", "\\u0000")
    (folder / "graph.toml").write_text(f'model = "{escaped}"\ndecoder = "ssd"\n')
    assert refusal("--graph", str(folder)).startswith(f"{folder}/graph.toml: model: ")


def test_labels_that_are_named_must_be_there(folder: Path) -> None:
    (folder / "labels.txt").unlink()
    assert 'labels: there is no file "labels.txt"' in refusal("--graph", described(folder))


def test_an_unknown_decoder_is_told_with_those_there_are(folder: Path) -> None:
    (folder / "graph.toml").write_text('model = "model.xml"\ndecoder = "sdd"\n')
    assert 'decoder: there is no decoder "sdd"; known: ssd' in refusal("--graph", str(folder))


@pytest.mark.parametrize("names", ["person\nbus\n", "???\nperson\nbus\n", "background\nperson\nbus\n"])
def test_objects_of_tensorflow_lite_are_counted_from_0_and_classes_as_they_are_listed(folder: Path, names: str) -> None:
    (folder / "model.tflite").write_bytes(b"TFL3")
    (folder / "labels.txt").write_text(names)
    for decoder, first in (("ssd", 0), ("classification", names.count("\n") - 2)):
        (folder / "graph.toml").write_text(f'model = "model.tflite"\ndecoder = "{decoder}"\nlabels = "labels.txt"\n')
        assert graphs("--graph", str(folder))[0].labels == {first: "person", first + 1: "bus"}


def test_options_of_a_decoder_are_a_table(folder: Path) -> None:
    table = '[decoder]\nname = "yolo"\nlayout = "v5-heads"\nanchors = [1, 2.5]\niou = 0.5\n'
    (folder / "graph.toml").write_text('model = "model.xml"\n' + table)
    (found,) = graphs("--graph", str(folder))
    assert (found.decoder, found.threshold) == ("yolo", 0.25)
    assert found.decoder_options == {"layout": "v5-heads", "anchors": [1.0, 2.5], "iou": 0.5}
    (folder / "graph.toml").write_text('model = "model.xml"\n' + table.replace("v5-heads", "v6"))
    assert "decoder.layout: must be one of 'auto', 'v5', 'v5-heads', 'v8', 'yolox', 'end2end', not \"v6\"" in refusal(
        "--graph", str(folder)
    )


def test_a_folder_that_says_nothing_and_is_no_ssd_is_told_to_describe_itself(folder: Path) -> None:
    (folder / "model.xml").write_text(DETECTION_OUTPUT.format(n=100).replace("<dim>7</dim>", "<dim>8</dim>"))
    assert "its outputs output0 [1, 1, 100, 8] are of no kind that is known by sight" in refusal("--graph", str(folder))
    (folder / "model.xml").write_text("<net><laye")
    assert "cannot be read" in refusal("--graph", str(folder))
    (folder / "more.xml").write_text("<net/>")
    assert "holds 2 .xml files and no graph.toml" in refusal("--graph", str(folder))
    (folder / "more.xml").unlink()
    (folder / "model.xml").unlink()
    assert "holds neither graph.toml nor a model (.xml, .onnx, .tflite)" in refusal("--graph", str(folder))


def test_a_bomb_of_entities_is_not_lit(folder: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><net>&b;</net>'
    (folder / "model.xml").write_text(bomb)
    assert "declares entities or a document type" in refusal("--graph", str(folder))


def test_shipped_graphs_are_found_by_name() -> None:
    assert "demo" in graph_folder.shipped()
    assert (graph_folder.graphs_dir() / "demo" / "graph.toml").is_file()


def test_a_real_picture_before_the_demo_graph_is_told(folder: Path, tmp_path: Path) -> None:
    asked = load(["--backend", "simulated", "--source", "usb:0"], {})
    (notice,) = asked.notices
    assert notice.startswith("the demo graph knows only the synthetic scene: ncsctl graphs pull yolox_nano fetches one")


def test_a_graph_of_the_catalogue_that_was_not_pulled_is_refused_with_the_command_that_does(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(["--backend", "simulated", "--graph", "yolox_nano", "--state-dir", str(tmp_path)], {})
    assert str(caught.value).endswith("no graph of this name (demo); fetch it with: ncsctl graphs pull yolox_nano")


def test_a_graph_that_was_pulled_is_found_by_its_name_after_the_shipped_ones(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "state" / "graphs"
    for name in ("faces", "demo", ".faces.part"):
        (home / name).mkdir(parents=True)
        for file in folder.iterdir():
            (home / name / file.name).write_bytes(file.read_bytes())
        described(home / name)
    state = str(tmp_path / "state")
    (found,) = graphs("--graph", "faces", "--state-dir", state)
    assert (found.name, found.model) == ("faces", str(home / "faces" / "model.xml"))
    (demo,) = graphs("--graph", "demo", "--state-dir", state)
    assert demo.model == str(graph_folder.graphs_dir() / "demo" / "demo.xml")
    assert "no graph of this name (demo, faces)" in refusal("--graph", "nothing", "--state-dir", state)


def with_decoder(folder: Path, text: str) -> str:
    (folder / "graph.toml").write_text(f'model = "model.xml"\n{text}\n')
    return str(folder)


def test_a_decoder_is_named_by_a_word_or_by_a_table_with_its_options(folder: Path) -> None:
    (graph,) = graphs("--graph", with_decoder(folder, 'decoder = "ssd"'))
    assert (graph.decoder, graph.decoder_options) == ("ssd", {})
    (graph,) = graphs("--graph", with_decoder(folder, '[decoder]\nname = "ssd"\nmax_detections = 5\nmin_size = 0.1'))
    assert (graph.decoder, graph.decoder_options) == ("ssd", {"max_detections": 5, "min_size": 0.1})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('name = "ssd"\nmax_detection = 5', "decoder.max_detection: unknown key; did you mean max_detections?"),
        ('name = "ssd"\nmax_detections = "5"', 'decoder.max_detections: must be a whole number, not "5"'),
        ('name = "ssd"\nmax_detections = 0', "decoder.max_detections: max_detections must be 1 to 300"),
        ('name = "ssd"\nmin_size = nan', "decoder.min_size: must be a finite number, not nan"),
        ("max_detections = 5", "decoder.name: is missing"),
        ('name = "sdd"', 'decoder: there is no decoder "sdd"; known: ssd'),
        ("name = 7", "decoder.name: must be text, not 7"),
    ],
)
def test_options_a_decoder_does_not_take_are_told(folder: Path, text: str, line: str) -> None:
    assert refusal("--graph", with_decoder(folder, "[decoder]\n" + text)).startswith(f"{folder}/graph.toml: {line}")
