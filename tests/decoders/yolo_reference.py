"""YOLO heads decoded row by row in plain Python: a reference that shares no code and no numpy with the decoder."""

from __future__ import annotations

import math
from typing import NamedTuple


class Seen(NamedTuple):
    label_id: int
    score: float
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2, pixels of the input."""


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def thinned(seen: list[Seen], iou: float, agnostic: bool = False) -> list[Seen]:
    left = sorted(seen, key=lambda each: each.score, reverse=True)
    kept: list[Seen] = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [each for each in left if (each.label_id != best.label_id and not agnostic) or overlap(each.box, best.box) <= iou]
    return kept


def around(cx: float, cy: float, width: float, height: float) -> tuple[float, float, float, float]:
    return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2


def v5(rows: list[list[float]], threshold: float, unit: tuple[float, float] = (1.0, 1.0)) -> list[Seen]:
    """Rows of cx, cy, w, h, objectness, classes, whose unit has this many pixels in x and y."""
    seen = []
    for row in rows:
        scores = [row[4] * score for score in row[5:]]
        best = scores.index(max(scores))
        if scores[best] >= threshold:
            place = around(row[0] * unit[0], row[1] * unit[1], row[2] * unit[0], row[3] * unit[1])
            seen.append(Seen(best, scores[best], place))
    return seen


def yolox(rows: list[list[float]], width: int, height: int, threshold: float) -> list[Seen]:
    """As the head of YOLOX gives them: cells of stride 8, then 16, then 32, each level by its rows."""
    places = [
        (column, line, stride) for stride in (8, 16, 32) for line in range(height // stride) for column in range(width // stride)
    ]
    absolute = [
        [(row[0] + column) * stride, (row[1] + line) * stride, math.exp(row[2]) * stride, math.exp(row[3]) * stride, *row[4:]]
        for row, (column, line, stride) in zip(rows, places, strict=True)
    ]
    return v5(absolute, threshold)


def v8(rows: list[list[float]], threshold: float) -> list[Seen]:
    """Rows of cx, cy, w, h, classes."""
    return v5([[*row[:4], 1.0, *row[4:]] for row in rows], threshold)


def heads(
    levels: list[list[list[list[list[float]]]]], anchors: list[list[tuple[float, float]]], width: int, threshold: float
) -> list[Seen]:
    """Logits [anchor][line][column][5 + C] of each level."""
    seen = []
    for level, sizes in zip(levels, anchors, strict=True):
        stride = width / len(level[0][0])
        for maps, (anchor_w, anchor_h) in zip(level, sizes, strict=True):
            for line, cells in enumerate(maps):
                for column, logits in enumerate(cells):
                    x, y, w, h, *scores = (1 / (1 + math.exp(-value)) for value in logits)
                    cx, cy = (x * 2 - 0.5 + column) * stride, (y * 2 - 0.5 + line) * stride
                    seen += v5([[cx, cy, (w * 2) ** 2 * anchor_w, (h * 2) ** 2 * anchor_h, *scores]], threshold)
    return seen
