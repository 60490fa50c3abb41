"""What a host and its neighbours say to each other about a frame that overflows: one request of NATS with a JPEG, one answer.

The subject names the graph by what it is, so a frame reaches only hosts that have the same; they are one queue group, so one of
them gets it. What comes from the network is decoded by a schema with bounds, and no text of it is shown but a node's name. Runs on
CPython 3.9.
"""

from __future__ import annotations

import math
from typing import Annotated, Dict, List, Mapping, NamedTuple, Optional, Tuple

import msgspec
from msgspec import Meta, Struct

from ncs_cluster.fleet.address import NODE
from ncs_cluster.fleet.same_graph import LONGEST
from ncs_cluster.types import Classified, Detection, Outcome

PREFIX = "ncs_cluster.overflow.1."
"""Before the graph's identity. The number is that of this protocol: hosts that speak another one do not hear it."""
GROUP = "ncs_cluster"
LARGEST_PICTURE, LARGEST_ANSWER = 512 * 1024, 128 * 1024
"""Bytes. A server takes 1 MB at most unless it is told otherwise."""
LONGEST_MS = 60_000
_DEADLINE, _NODE = "Ncs-Deadline-Ms", "Ncs-Node"

Score = Annotated[float, Meta(ge=-1e9, le=1e9)]
"""NaN does not decode."""
Place = Annotated[float, Meta(ge=-1.0, le=2.0)]
ClassId = Annotated[int, Meta(ge=-(2**31), lt=2**31)]
Pixels = Annotated[int, Meta(ge=0, le=16_384)]
Found = Tuple[ClassId, Score, Tuple[Place, Place, Place, Place]]
Class = Tuple[ClassId, Score]

REFUSALS = ("", "busy", "own", "bad picture", "failed")
"""Why a neighbour has no answer; empty: it has one. "own": the frame is of its own host."""


class Answer(Struct, frozen=True):
    """What a neighbour has found. Names of classes are not sent: both hosts have the same."""

    node: Annotated[str, Meta(max_length=64)]
    refused: Annotated[str, Meta(max_length=32)] = ""
    detections: Annotated[List[Found], Meta(max_length=2000)] = []
    classes: Annotated[List[Class], Meta(max_length=2000)] = []
    features: Optional[Annotated[bytes, Meta(max_length=LARGEST_ANSWER)]] = None
    width: Pixels = 0
    """Of the graph's input; 0: not known."""
    height: Pixels = 0


class Request(NamedTuple):
    """The headers of a frame."""

    node: str
    """Of the host that sends it."""
    deadline_s: float
    """How long it waits for the answer, from when it was sent: the clocks of two hosts may differ."""


def subject(identity: str) -> str:
    """`identity`: of a graph, see same_graph."""
    assert len(identity) == LONGEST
    return PREFIX + identity


def headers(node: str, deadline_s: float) -> Dict[str, str]:
    return {_DEADLINE: str(max(1, math.floor(1000 * deadline_s))), _NODE: node}


def request_of(given: Mapping[str, str]) -> Optional[Request]:
    """The headers of a message from the network; None where they are not those of a frame."""
    node, deadline = given.get(_NODE, ""), given.get(_DEADLINE, "")
    if not NODE.fullmatch(node) or not (deadline.isascii() and deadline.isdigit()) or len(deadline) > 6:
        return None
    return Request(node, int(deadline) / 1000) if 0 < int(deadline) <= LONGEST_MS else None


def encoded(answer: Answer) -> bytes:
    """At most LARGEST_ANSWER bytes: a longer answer becomes one that has failed."""
    payload = msgspec.msgpack.encode(answer)
    return payload if len(payload) <= LARGEST_ANSWER else msgspec.msgpack.encode(Answer(answer.node, "failed"))


def decoded(payload: bytes) -> Optional[Answer]:
    """Whatever the bytes are; None: they are no answer."""
    if len(payload) > LARGEST_ANSWER:
        return None
    try:
        answer = msgspec.msgpack.decode(payload, type=Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return answer if NODE.fullmatch(answer.node) and answer.refused in REFUSALS else None


def answer_of(node: str, outcome: Outcome, width: int, height: int) -> Answer:
    return Answer(
        node,
        detections=[(each.label_id, each.score, each.box) for each in outcome.detections],
        classes=[(each.label_id, each.score) for each in outcome.classes],
        features=outcome.features,
        width=width,
        height=height,
    )


def outcome_of(answer: Answer, labels: Mapping[int, str]) -> Outcome:
    """As the decoder of this host would have made it. `labels`: names of the classes, by id."""
    return Outcome(
        detections=[Detection(labels.get(each, str(each)), each, score, box) for each, score, box in answer.detections],
        classes=[Classified(labels.get(each, str(each)), each, score) for each, score in answer.classes],
        features=answer.features,
    )
