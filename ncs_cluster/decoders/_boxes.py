"""What decoders share about boxes: non-maximum suppression, and detections in the frame. Runs on CPython 3.9, numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

from ncs_cluster.decoders._numpy import np
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Detection, ResizeTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray  # numpy 1.19, which OpenVINO 2021.4 wants, has none

MOST = 300
"""Detections of one frame: a graph without a threshold must not flood the channel to the supervisor."""
LARGEST_LABEL = 1_000_000
_CANDIDATES = 4096
"""Boxes that non-maximum suppression looks at, those with the highest scores: a threshold of 0 must not stall a worker."""


def suppressed(boxes: NDArray[Any], scores: NDArray[Any], groups: NDArray[Any], iou: float, most: int) -> NDArray[Any]:
    """Greedy non-maximum suppression: indices of at most `most` boxes, best first.

    `boxes`: float64 [N, 4], x1, y1, x2, y2. A box is left out where its intersection over union with a better one of its group
    is more than `iou`.
    """
    order = np.argsort(-scores, kind="stable")[:_CANDIDATES]
    corners, groups = np.clip(boxes[order], -1e6, 1e6), groups[order]
    kept: List[int] = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        kept += members[_greedy(corners[members], iou, most)].tolist()
    chosen: NDArray[Any] = order[sorted(kept)[:most]]
    return chosen


def _greedy(corners: NDArray[Any], iou: float, most: int) -> List[int]:
    """Indices of at most `most` boxes, in their order, of which none overlaps one before it."""
    # columns by themselves: numpy is several times as fast along rows of memory
    left, top, right, bottom = np.ascontiguousarray(corners.T)
    areas = (right - left) * (bottom - top)
    alive = np.ones(len(corners), bool)
    kept: List[int] = []
    for index in range(len(corners)):
        if not alive[index]:
            continue
        kept.append(index)
        if len(kept) == most:
            break
        rest = slice(index + 1, None)
        width = np.minimum(right[rest], right[index]) - np.maximum(left[rest], left[index])
        height = np.minimum(bottom[rest], bottom[index]) - np.maximum(top[rest], top[index])
        inner = np.maximum(width, 0.0) * np.maximum(height, 0.0)
        alive[rest] &= inner <= iou * (areas[rest] + areas[index] - inner)
    return kept


def detections(
    boxes: NDArray[Any],
    scores: NDArray[Any],
    ids: NDArray[Any],
    graph: GraphSpec,
    transform: ResizeTransform,
    most: int,
    min_size: float = 0.0,
) -> List[Detection]:
    """Objects of at least `graph.threshold`, best first, at most `most`; boxes in the frame, 0..1, and clipped to it.

    `boxes`: [N, 4], x1, y1, x2, y2 in shares of the graph's input. Skipped: boxes and scores that are not finite, ids that are
    none, boxes without an area inside the frame, or with a side below `min_size` of it.
    """
    with np.errstate(invalid="ignore"):
        good = np.isfinite(boxes).all(axis=1) & (scores >= graph.threshold) & np.isfinite(scores)
        good &= (ids >= 0) & (ids < LARGEST_LABEL)
    boxes, scores, ids = boxes[good].astype(np.float64), scores[good], ids[good]
    order = np.argsort(-scores, kind="stable")
    boxes, scores, ids = boxes[order], scores[order], ids[order]
    scale = (transform.scale_x, transform.scale_y, transform.scale_x, transform.scale_y)
    offset = (transform.offset_x, transform.offset_y, transform.offset_x, transform.offset_y)
    placed = np.clip((boxes - offset) / scale, 0.0, 1.0)
    sides = placed[:, 2:] - placed[:, :2]
    kept = np.flatnonzero((sides > 0).all(axis=1) & (sides >= min_size).all(axis=1))[:most]
    found = []
    for label, score, (x1, y1, x2, y2) in zip(ids[kept].tolist(), scores[kept].tolist(), placed[kept].tolist()):
        label_id = int(label)
        found.append(Detection(graph.labels.get(label_id, str(label_id)), label_id, min(score, 1.0), (x1, y1, x2, y2)))
    return found
