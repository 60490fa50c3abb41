"""What a measured program has written: one line for each picture, as sinks.jsonl writes them (docs/results.md). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

TOLERANCE = 1e-3
"""Of scores, coordinates 0..1 and features: as much as the order of additions may change in single precision."""


class Found(msgspec.Struct, frozen=True):
    label_id: int
    score: float
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


class Line(msgspec.Struct, frozen=True):
    """The fields of a result that are compared and measured."""

    frame: int
    item: str
    latency_ms: float
    detections: list[Found]
    classes: list[Found] = []
    features: list[float] = []


class _End(msgspec.Struct, frozen=True):
    """When a result was there."""

    captured_at: float
    latency_ms: float


class Results(NamedTuple):
    """Of one run, in the order of the pictures."""

    lines: list[Line]
    texts: list[bytes]
    """The lines as they were written, without line ends."""

    def by_item(self) -> dict[str, Line]:
        """The first result of each picture."""
        first: dict[str, Line] = {}
        for line in self.lines:
            first.setdefault(line.item, line)
        return first


_decode = msgspec.json.Decoder(Line).decode
_end = msgspec.json.Decoder(_End).decode


def parsed(texts: Iterable[bytes]) -> Results:
    """Raises ValueError (msgspec.DecodeError) for what is no result."""
    pairs = sorted(((_decode(text), text) for text in texts), key=lambda pair: pair[0].frame)
    return Results([line for line, _ in pairs], [text for _, text in pairs])


def ends(texts: Iterable[bytes]) -> list[float]:
    """When each result was there, Unix seconds, ascending. Raises as `parsed`."""
    read = (_end(text) for text in texts)
    return sorted(each.captured_at + each.latency_ms / 1000 for each in read)


def differing(expected: Mapping[str, Line], found: Mapping[str, Line]) -> list[str]:
    """Names of pictures that both have, and of which the results differ."""
    return [item for item, line in expected.items() if item in found and not _same(line, found[item])]


def _same(one: Line, other: Line) -> bool:
    return (
        _all_same(one.detections, other.detections)
        and _all_same(one.classes, other.classes)
        and _near(one.features, other.features)
    )


def _all_same(some: Sequence[Found], others: Sequence[Found]) -> bool:
    """Whether each has a partner in the other list: results of nearly equal score may change places."""
    rest = list(others)
    for each in some:
        partner = next((other for other in rest if _alike(each, other)), None)
        if partner is None:
            return False
        rest.remove(partner)
    return not rest


def _alike(one: Found, other: Found) -> bool:
    return one.label_id == other.label_id and _near([one.score, *one.box], [other.score, *other.box])


def _near(some: Sequence[float], others: Sequence[float]) -> bool:
    # features have any size: the tolerance is one of their greatest value
    reach = TOLERANCE * max(1.0, *(abs(value) for value in some)) if some else 0.0
    return len(some) == len(others) and all(abs(a - b) <= reach for a, b in zip(some, others, strict=True))
