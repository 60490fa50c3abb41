"""What every decoder must do with the outputs of its own kind, of other kinds, and with nonsense."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import structs
from numpy.typing import NDArray

from ncs_cluster import decoders
from ncs_cluster.decoders import DECODERS
from ncs_cluster.specs import GraphSpec
from ncs_cluster.testing.conformance._options import OptionsConformance, assert_one_line
from ncs_cluster.types import GraphName, Outcome, ResizeTransform

LARGEST_OUTCOME = 50_000
"""Bytes of an encoded Outcome that a worker's channel carries."""
NONSENSE = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e30, -1e30)


class DecoderConformance(OptionsConformance):
    """A subclass sets `plugin` and defines `outputs`."""

    registry = DECODERS
    labels = {1: "first", 2: "second"}

    def outputs(self) -> Mapping[str, NDArray[Any]]:
        """Outputs of a graph of the decoder's kind: of at least one detection or class over the threshold, or of features."""
        raise NotImplementedError(f"{type(self).__name__} must define outputs()")

    def other_outputs(self) -> Mapping[str, NDArray[Any]]:
        """Outputs of a graph of another kind, which the decoder's check must refuse."""
        return {"strange": np.zeros((2, 2, 2, 2, 2), np.float32)}

    def graph(self, threshold: float = 0.5, **options: Any) -> GraphSpec:
        given = {**self.options, **options}
        return GraphSpec(GraphName("g"), "g.xml", self.plugin, dict(self.labels), threshold, decoder_options=given)

    def decode(self, outputs: Mapping[str, NDArray[Any]], threshold: float = 0.5) -> Outcome:
        return decoders.create(self.graph(threshold))(outputs, ResizeTransform())

    def test_something_is_seen_in_outputs_of_its_kind_and_nothing_is_wrong_with_them(self) -> None:
        outcome = self.decode(self.outputs())
        assert outcome.error is None
        assert outcome.detections or outcome.classes or outcome.features
        assert decoders.check_outputs(self.graph(), self.outputs()) is None
        assert_is_sane(outcome)

    def test_the_same_outputs_give_the_same_outcome(self) -> None:
        assert self.decode(self.outputs()) == self.decode(self.outputs())

    def test_outputs_are_read_and_not_written(self) -> None:
        given = dict(self.outputs())
        before = copy.deepcopy(given)
        for array in given.values():
            array.setflags(write=False)
        self.decode(given)
        for name, array in before.items():
            np.testing.assert_array_equal(given[name], array)

    @pytest.mark.parametrize("value", NONSENSE)
    def test_nonsense_is_skipped(self, value: float) -> None:
        given = {name: np.full_like(array, value) for name, array in self.outputs().items()}
        assert_is_sane(self.decode(given, 0.0))
        random = np.random.default_rng(1)
        for name, array in self.outputs().items():
            spoiled = array.copy()
            spoiled[random.random(array.shape) < 0.3] = value
            assert_is_sane(self.decode({**self.outputs(), name: spoiled}, 0.0))

    def test_outputs_of_another_kind_are_no_error(self) -> None:
        for shape in ((0,), (1,), (1, 3), (2, 2, 2, 2, 2)):
            assert_is_sane(self.decode({"strange": np.zeros(shape, np.float32)}))
        assert_is_sane(self.decode({}))

    def test_outputs_of_another_kind_are_told_in_one_line_where_the_decoder_checks_them(self) -> None:
        if self.descriptor.check_outputs is None:
            pytest.skip("this decoder does not check outputs")
        complaint = decoders.check_outputs(self.graph(), self.other_outputs())
        assert complaint is not None
        assert_one_line(complaint)

    def test_an_outcome_is_small_enough_for_a_workers_channel(self) -> None:
        random = np.random.default_rng(2)
        wide = {name: random.random(array.shape, np.float32) for name, array in self.outputs().items()}
        assert len(msgspec.msgpack.encode(self.decode(wide, 0.0))) < LARGEST_OUTCOME

    def test_a_graph_without_labels_is_no_error(self) -> None:
        graph = structs.replace(self.graph(), labels={})
        assert_is_sane(decoders.create(graph)(self.outputs(), ResizeTransform()))


def assert_is_sane(outcome: Outcome) -> None:
    """All numbers are finite, scores and boxes are within 0..1, every box has an area, and features are whole float32 numbers."""
    for detection in outcome.detections:
        assert 0.0 <= detection.score <= 1.0
        x1, y1, x2, y2 = detection.box
        assert 0.0 <= x1 < x2 <= 1.0
        assert 0.0 <= y1 < y2 <= 1.0
    for each in outcome.classes or []:
        assert math.isfinite(each.score)
    if outcome.features is not None:
        assert np.isfinite(np.frombuffer(outcome.features, "<f4")).all()
