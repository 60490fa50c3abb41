"""Labels of graphs among Frigate's, and which graph answers which client."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from ncs_cluster.processes.frigate import labels
from ncs_cluster.processes.frigate.choice import choose


class Graph(NamedTuple):
    decoder: str
    width: int = 0
    height: int = 0


GRAPHS = {
    "flowers": Graph("classification", 224, 224),
    "demo": Graph("ssd", 300, 300),
    "yolox_nano": Graph("yolo", 416, 416),
}


def test_classes_of_coco_have_the_ids_of_frigates_labelmap() -> None:
    ids = labels.ids()
    # of frigate 0.18, labelmap.txt
    expected = {"person": 0, "car": 2, "stop sign": 12, "dog": 17, "cell phone": 76, "hair brush": 90, "truck": 7, "tv": 71}
    assert {name: ids[name] for name in expected} == expected
    assert len(set(ids.values())) == 91


def test_names_of_pascal_voc_mean_the_classes_of_coco() -> None:
    ids = labels.ids()
    assert (ids["tvmonitor"], ids["sofa"], ids["aeroplane"]) == (ids["tv"], ids["couch"], ids["airplane"])


def test_a_labelmap_of_the_user_counts_alone_and_its_first_of_two_equal_names() -> None:
    ids = labels.ids({7: "car", 2: "car", 0: " Person ", 9: "face"})
    assert ids == {"person": 0, "car": 2, "face": 9}
    assert labels.missing(["face", "dog", "Car", "dog"], ids) == ["dog"]


@pytest.mark.parametrize(
    ("asked", "default", "size", "graph"),
    [
        ("demo", "yolox_nano", (416, 416), "demo"),
        ("yolox_nano.onnx", None, (300, 300), "yolox_nano"),
        ("cpu_model.tflite", "yolox_nano", (300, 300), "yolox_nano"),
        ("cpu_model.tflite", None, (416, 416), "yolox_nano"),
        ("cpu_model.tflite", "gone", (320, 320), "demo"),
        (None, None, (224, 224), "demo"),
        ("", None, None, "demo"),
        ("flowers", None, None, "flowers"),
    ],
)
def test_a_client_gets_the_graph_it_names_else_the_operators_else_one_that_fits(
    asked: str | None, default: str | None, size: tuple[int, int] | None, graph: str
) -> None:
    assert choose(GRAPHS, asked, default, size) == graph


def test_without_a_detector_any_graph_answers_and_without_a_graph_none() -> None:
    assert choose({"flowers": GRAPHS["flowers"]}, "demo", None) == "flowers"
    assert choose({}, "demo", "demo") is None
