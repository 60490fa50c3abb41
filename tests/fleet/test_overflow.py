"""What hosts say to each other about a frame that overflows, and what is made of bytes from the network."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.fleet import overflow
from ncs_cluster.fleet.overflow import Answer
from ncs_cluster.types import Classified, Detection, Outcome

LABELS = {1: "cat", 2: "dog"}
CAT, STRANGER = Detection("cat", 1, 0.75, (0.1, 0.2, 0.3, 0.4)), Detection("7", 7, 0.5, (0.0, 0.0, 1.0, 1.0))


def packed(**fields: Any) -> bytes:
    return msgspec.msgpack.encode({"node": "cellar", **fields})


def test_an_outcome_arrives_as_the_decoder_has_made_it_with_the_names_of_this_host() -> None:
    for outcome in (
        Outcome(detections=[CAT, STRANGER]),
        Outcome(classes=[Classified("dog", 2, 0.9), Classified("cat", 1, 0.1)]),
        Outcome(features=b"\x00\x01\x02\x03"),
        Outcome(),
    ):
        answer = overflow.decoded(overflow.encoded(overflow.answer_of("cellar", outcome, 300, 200)))
        assert answer is not None
        assert (answer.node, answer.width, answer.height) == ("cellar", 300, 200)
        assert overflow.outcome_of(answer, LABELS) == outcome
    renamed = overflow.answer_of("cellar", Outcome(detections=[msgspec.structs.replace(CAT, label="\x1b[2J")]), 0, 0)
    assert overflow.outcome_of(renamed, LABELS) == Outcome(detections=[CAT])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"\x91" * 100_000,
        packed(node="../cellar"),
        packed(node="c" * 65),
        packed(refused="no"),
        packed(width=-1),
        packed(detections=[[1, math.nan, [0, 0, 1, 1]]]),
        packed(detections=[[1, 0.5, [0, 0, 1, math.inf]]]),
        packed(detections=[[1, 0.5, [0, 0, 1]]]),
        packed(detections=[[2**40, 0.5, [0, 0, 1, 1]]]),
        packed(detections=[[1, 0.5, [0, 0, 1, 1]]] * 2001),
        packed(features=b"x" * overflow.LARGEST_ANSWER),
        packed(more=b"x" * overflow.LARGEST_ANSWER),
    ],
)
def test_bytes_that_are_no_answer_are_none(payload: bytes) -> None:
    assert overflow.decoded(payload) is None


@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_they_are_an_answer_within_its_bounds_or_none(payload: bytes) -> None:
    answer = overflow.decoded(payload)
    assert answer is None or answer.refused in overflow.REFUSALS


def test_an_answer_that_is_too_long_is_told_as_failed() -> None:
    long = overflow.encoded(Answer("cellar", features=b"x" * overflow.LARGEST_ANSWER))
    assert overflow.decoded(long) == Answer("cellar", "failed")


def test_the_deadline_crosses_as_a_time_span_and_never_longer_than_it_is() -> None:
    assert overflow.request_of(overflow.headers("attic", 0.2507)) == ("attic", 0.25)
    assert overflow.request_of(overflow.headers("attic", 0.0002)) == ("attic", 0.001)


@pytest.mark.parametrize(
    ("node", "deadline"),
    [
        ("", "250"),
        ("a/b", "250"),
        ("attic", ""),
        ("attic", "0"),
        ("attic", "-1"),
        ("attic", "1e3"),
        ("attic", "60001"),
        ("attic", "٣"),
    ],
)
def test_other_headers_are_those_of_no_frame(node: str, deadline: str) -> None:
    good = overflow.headers("attic", 0.25)
    given = dict(zip(good, (deadline, node), strict=True))
    assert overflow.request_of(given) is None
    assert overflow.request_of({}) is None
