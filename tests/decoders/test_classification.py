"""Vectors of scores and what becomes of them; a published network against TensorFlow Lite."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ncs_cluster.decoders.classification import MOST, Options, check_outputs, decode
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Classified, GraphName, ResizeTransform
from tests.decoders.running import LiteRt, folder_of, outcomes, picture, read

MOBILENET = """\
model = "mobilenet_v1_0.25_224_float.tflite"
decoder = "classification"
labels = "labels.txt"
[input]
colour = "RGB"
mean = [127.5, 127.5, 127.5]
scale = [127.5, 127.5, 127.5]
"""
LABELS = {0: "cat", 1: "dog", 2: "cow"}


def graph(threshold: float = 0.0, labels: dict[int, str] = LABELS) -> GraphSpec:
    return GraphSpec(GraphName("g"), "g.xml", "classification", labels, threshold)


def classes(array: Any, spec: GraphSpec | None = None, **options: Any) -> list[Classified]:
    given = array if isinstance(array, np.ndarray) else np.array(array, np.float32)
    return decode({"out": given}, spec or graph(), ResizeTransform(), Options(**options)).classes


@pytest.mark.parametrize("name", ["burger.jpg", "cat_720p.jpg", "dog.jpg", "bus.jpg", "voc_000001.jpg"])
def test_a_published_network_says_what_it_says_under_tensorflow_lite(test_data: Path, tmp_path: Path, name: str) -> None:
    source = test_data / "models/mobilenet_v1_0.25_224_float"
    image = picture(test_data / "media" / name)
    (outcome,) = outcomes(read(folder_of(source, tmp_path / "net", MOBILENET)), [image])
    pixels = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (224, 224), interpolation=cv2.INTER_LINEAR)
    (scores,) = LiteRt(source / "mobilenet_v1_0.25_224_float.tflite")((pixels[None].astype(np.float32) / 127.5) - 1)
    names = (source / "labels.txt").read_text().splitlines()
    expected = sorted(enumerate(scores[0].tolist()), key=lambda pair: -pair[1])[:5]
    assert [(each.label, each.label_id) for each in outcome.classes] == [(names[number], number) for number, _ in expected]
    for each, (_, score) in zip(outcome.classes, expected, strict=True):
        assert each.score == pytest.approx(score, abs=1e-3)
    if name == "burger.jpg":
        assert outcome.classes[0].label == "cheeseburger"


@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 1, 1, 3), (1, 3, 1, 1)])
def test_the_best_comes_first_whatever_the_shape(shape: tuple[int, ...]) -> None:
    found = classes(np.array([0.25, 0.125, 0.625], np.float32).reshape(shape))
    assert found == [Classified("cow", 2, 0.625), Classified("cat", 0, 0.25), Classified("dog", 1, 0.125)]


def test_logits_become_scores_that_sum_to_one() -> None:
    found = classes([math.log(1), math.log(5), math.log(2)])
    assert [each.label for each in found] == ["dog", "cow", "cat"]
    assert [each.score for each in found] == pytest.approx([5 / 8, 2 / 8, 1 / 8])


def test_softmax_is_as_asked_where_it_is_asked() -> None:
    assert [each.score for each in classes([0.0, 1.0, 0.0], softmax="yes")] == pytest.approx([0.57612, 0.21194, 0.21194], abs=1e-5)
    assert [each.score for each in classes([0.75, 0.5, 0.875], softmax="no")] == [0.875, 0.75, 0.5]


def test_only_the_top_at_or_over_the_threshold_are_passed_on() -> None:
    assert [each.label_id for each in classes([0.25, 0.125, 0.625], top=2)] == [2, 0]
    assert [each.label_id for each in classes([0.25, 0.125, 0.625], graph(0.25))] == [2, 0]
    assert classes([0.25, 0.125, 0.625], graph(0.7)) == []


def test_a_class_without_a_label_is_called_by_its_number_and_equals_are_in_order_of_their_ids() -> None:
    assert [each.label for each in classes([0.25] * 4, top=4)] == ["cat", "dog", "cow", "3"]


def test_numbers_that_are_not_finite_are_no_class() -> None:
    assert [each.label_id for each in classes([math.nan, 1.0, math.inf, 3.0])] == [3, 1]
    assert classes([math.nan, math.nan]) == []


def test_of_several_outputs_one_is_named() -> None:
    outputs = {"aux": np.zeros((1, 3), np.float32), "main": np.array([[0.0, 1.0, 0.0]], np.float32)}
    assert decode(outputs, graph(), ResizeTransform(), Options()).classes == []
    assert "aux [1, 3], main [1, 3]: name one as decoder.output" in str(check_outputs(outputs, graph(), Options()))
    assert decode(outputs, graph(), ResizeTransform(), Options(output="main")).classes[0].label == "dog"
    assert check_outputs(outputs, graph(), Options(output="main")) is None
    assert 'the output "man"' in str(check_outputs(outputs, graph(), Options(output="man")))


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ({}, None),
        ({0: "cat", 2: "cow"}, None),
        ({0: "cat", 3: "cow"}, "gives 3 classes, from 0, and its labels name class 3"),
        ({0: "cat", 1: "dog"}, "its labels name one less: set labels.first_id = 1"),
    ],
)
def test_labels_that_do_not_fit_are_told(labels: dict[int, str], line: str | None) -> None:
    told = check_outputs({"out": np.zeros((1, 3), np.float32)}, graph(labels=labels), Options())
    assert told is None if line is None else line in str(told)


def test_outputs_of_another_kind_are_told_with_their_shapes() -> None:
    told = check_outputs({"boxes": np.zeros((1, 4, 4), np.float32)}, graph(), Options())
    assert "needs a score for each class" in str(told)
    assert "boxes [1, 4, 4]" in str(told)


@pytest.mark.parametrize("options", [{"top": 0}, {"top": MOST + 1}, {"softmax": "maybe"}])
def test_options_that_make_no_sense_are_refused_by_their_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)


@given(arrays(np.float32, st.tuples(st.integers(0, 2), st.integers(0, 30)), elements=st.floats(width=32)), st.floats(0, 1))
def test_garbage_never_raises_and_scores_are_finite_and_in_order(array: np.ndarray, threshold: float) -> None:
    for softmax in ("auto", "yes", "no"):
        scores = [each.score for each in classes(array, graph(threshold), softmax=softmax)]
        assert all(math.isfinite(score) and score >= threshold for score in scores)
        assert scores == sorted(scores, reverse=True)
