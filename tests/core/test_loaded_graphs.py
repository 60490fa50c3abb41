"""The graphs that a worker has loaded beside those of the settings."""

from __future__ import annotations

from msgspec.structs import replace

from ncs_cluster.core.loaded_graphs import changed, has_all
from ncs_cluster.types import GraphName
from tests.core.onepool import GRAPH

OTHER = replace(GRAPH, name=GraphName("other"), model="other.xml")
STRICTER = replace(GRAPH, threshold=0.9, labels={1: "cat"}, decoder_options={"nms": 0.5})


def test_a_worker_has_all_graphs_that_are_wanted_in_any_order_with_any_threshold_and_may_have_more() -> None:
    assert has_all([GRAPH, OTHER], [OTHER, STRICTER])
    assert has_all([GRAPH, OTHER], [GRAPH])
    assert has_all([GRAPH], [])
    assert not has_all([GRAPH], [GRAPH, OTHER])
    assert not has_all([], [GRAPH])


def test_a_graph_of_the_same_name_with_another_model_is_another_one() -> None:
    for other in (
        replace(GRAPH, model="demo2.xml"),
        replace(GRAPH, decoder="yolo"),
        replace(GRAPH, mean=(1.0, 2.0, 3.0)),
        replace(GRAPH, blob="demo.blob"),
    ):
        assert not has_all([GRAPH], [other])


def test_thresholds_labels_and_decoder_options_follow_the_settings_at_the_place_that_the_graph_has() -> None:
    assert changed([OTHER, GRAPH], [STRICTER, OTHER]) == [OTHER, STRICTER]


def test_a_graph_that_is_not_wanted_any_more_or_with_another_model_keeps_its_own() -> None:
    assert changed([GRAPH, OTHER], [replace(STRICTER, model="demo2.xml")]) == [GRAPH, OTHER]
