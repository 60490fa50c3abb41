"""Results leave in order. Live lanes: each at once, but never one older than what has been sent on before. Ordered lanes: each
frame in its turn, a frame that was given up included.
"""

from __future__ import annotations

from collections import deque

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ncs_cluster.core.work import Unit
from ncs_cluster.types import Box, Outcome


class DetectionRecord(Struct):
    label: str
    label_id: int
    score: float
    box: Box
    distance_m: float | None
    true_distance_m: float | UnsetType = UNSET


class ClassRecord(Struct):
    label: str
    label_id: int
    score: float


class ResultRecord(Struct):
    """One line of --results: a contract, see docs/results.md. Fields may be added, not renamed."""

    schema: int
    camera: str
    frame: int
    captured_at: float
    item: str | None
    stick: str | None
    graph: str
    latency_ms: float | None
    """From capture to the result's arrival in the supervisor."""
    detections: list[DetectionRecord]
    classes: list[ClassRecord] | UnsetType = UNSET
    error: str | UnsetType = UNSET


LONGEST_RECORD = 190_000
"""Bytes; a longer one would not fit into a message to the sink."""

_encode = msgspec.json.Encoder().encode


def record(unit: Unit, graph: str, outcome: Outcome, latency_s: float | None) -> bytes:
    """The line for a unit that has ended, without its line end."""
    frame = unit.frame
    line = _encode(
        ResultRecord(
            schema=1,
            camera=unit.stream,
            frame=unit.number,
            captured_at=round(frame.captured_at, 6),
            item=frame.item,
            stick=unit.stick,
            graph=graph,
            latency_ms=None if latency_s is None else round(latency_s * 1000, 2),
            detections=[
                DetectionRecord(
                    found.label,
                    found.label_id,
                    round(found.score, 4),
                    (round(found.box[0], 5), round(found.box[1], 5), round(found.box[2], 5), round(found.box[3], 5)),
                    None if found.distance_m is None else round(found.distance_m, 3),
                    UNSET if found.true_distance_m is None else round(found.true_distance_m, 3),
                )
                for found in outcome.detections
            ],
            classes=[ClassRecord(c.label, c.label_id, round(c.score, 4)) for c in outcome.classes] if outcome.classes else UNSET,
            error=UNSET if outcome.error is None else outcome.error,
        )
    )
    if len(line) > LONGEST_RECORD:
        return record(unit, graph, Outcome(error=f"the result is too long to be written ({len(line)} bytes)"), None)
    return line


class LiveOrder:
    """Never backwards: `newer` is asked once per answer, in the order answers come."""

    def __init__(self) -> None:
        self._newest = -1

    def newer(self, unit: Unit) -> bool:
        """False: a later frame has been sent on already; this one is late."""
        if unit.number <= self._newest:
            return False
        self._newest = unit.number
        return True


class Reorder:
    """Ordered lanes: what is finished early waits for its turn."""

    def __init__(self) -> None:
        self._turns: deque[int] = deque()
        self._waiting: dict[int, tuple[Unit, Outcome]] = {}

    def expect(self, frame: int) -> None:
        """This frame was captured and will be finished some day; its turn comes after those before it."""
        self._turns.append(frame)

    def finished(self, unit: Unit, outcome: Outcome) -> list[tuple[Unit, Outcome]]:
        """All that may be published now, in order."""
        self._waiting[unit.number] = (unit, outcome)
        ready = []
        while self._turns and self._turns[0] in self._waiting:
            ready.append(self._waiting.pop(self._turns.popleft()))
        return ready

    @property
    def waiting(self) -> int:
        return len(self._waiting)
