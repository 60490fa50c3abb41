"""The JSON form of a record: a contract, see docs/results.md. Fields may be added, not renamed. Runs on CPython 3.9."""

from __future__ import annotations

import struct
from typing import List, Optional, Union

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ncs_cluster.types import Box, Outcome, Record, Size

SCHEMA = 1


class DetectionForm(Struct):
    label: str
    label_id: int
    score: float
    box: Box
    distance_m: Optional[float]
    true_distance_m: Union[float, UnsetType] = UNSET


class ClassForm(Struct):
    label: str
    label_id: int
    score: float


class RecordForm(Struct):
    schema: int
    camera: str
    frame: int
    captured_at: float
    item: Optional[str]
    stick: Optional[str]
    graph: str
    latency_ms: Optional[float]
    detections: List[DetectionForm]
    classes: Union[List[ClassForm], UnsetType] = UNSET
    features: Union[List[float], UnsetType] = UNSET
    error: Union[str, UnsetType] = UNSET
    size: Union[Size, UnsetType] = UNSET
    item_frame: Union[int, UnsetType] = UNSET
    item_fps: Union[float, UnsetType] = UNSET


_encode = msgspec.json.Encoder().encode


def encode(record: Record) -> bytes:
    """One JSON object as UTF-8, without a line end. Scores have 4 decimals, boxes 5, distances 3 (1 mm), latency 2, rates 5."""
    outcome = record.outcome
    return _encode(
        RecordForm(
            schema=SCHEMA,
            camera=record.stream,
            frame=record.frame,
            captured_at=round(record.captured_at, 6),
            item=record.item,
            stick=record.stick,
            graph=record.graph,
            latency_ms=None if record.latency_s is None else round(record.latency_s * 1000, 2),
            detections=_detections(outcome),
            classes=[ClassForm(c.label, c.label_id, round(c.score, 4)) for c in outcome.classes] if outcome.classes else UNSET,
            features=UNSET if outcome.features is None else _floats(outcome.features),
            error=UNSET if outcome.error is None else outcome.error,
            size=UNSET if record.size is None else record.size,
            item_frame=UNSET if record.item_frame is None else record.item_frame,
            item_fps=UNSET if record.item_fps is None else round(record.item_fps, 5),
        )
    )


def _floats(features: bytes) -> List[float]:
    """With the nine significant digits that give a float32 back exactly."""
    return [float(f"{value:.9g}") for value in struct.unpack(f"<{len(features) // 4}f", features)]


def _detections(outcome: Outcome) -> List[DetectionForm]:
    return [
        DetectionForm(
            found.label,
            found.label_id,
            round(found.score, 4),
            (round(found.box[0], 5), round(found.box[1], 5), round(found.box[2], 5), round(found.box[3], 5)),
            None if found.distance_m is None else round(found.distance_m, 3),
            UNSET if found.true_distance_m is None else round(found.true_distance_m, 3),
        )
        for found in outcome.detections
    ]
