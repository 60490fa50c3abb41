"""The distance of the object in a box, from the depth plane. Pure; numpy only.

A box holds more than its object: the background, often at more than half of the pixels, and obstacles in front of the object.
Both continue beyond the box, the object does not. So each depth is scored by how much more of it lies inside the box than in a
margin around the box (centre against surround, as in saliency maps: Itti, Koch and Niebur 1998). The depth with the highest score
and its neighbours are the object; their median is its distance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

import msgspec
import numpy as np

from ncs_cluster.types import Box, Detection, Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = 32
"""Samples across box and margin, and as many down, at most."""
MARGIN = 0.25
"""Width of the margin on each side, as a share of the box's side. Its inner fifth is ignored, because boxes are inexact."""
BIN = 0.025
"""Width of a histogram bin, as a share of the depth."""
MIN_SAMPLES = 6
_BINS = int(np.log(65535) / BIN) + 2
_BIN_OF = np.append(0, np.log(np.arange(1, 65536)) / BIN).astype(np.int16)


def distance(depth: NDArray[np.uint16], box: Box, depth_scale_m: float) -> Optional[float]:
    """Metres to the object in `box`, or None when fewer than MIN_SAMPLES depths are known in it.

    `depth` is uint16 [height, width] aligned to the picture the box was found in, 0 where nothing was measured;
    `depth_scale_m` is the length of one unit. The box is x1, y1, x2, y2 in 0..1.
    """
    height, width = depth.shape
    x1, y1, x2, y2 = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    if not (x2 - x1 >= 1 and y2 - y1 >= 1):
        return None
    columns, inside_x, near_x = _samples(x1, x2, width)
    rows, inside_y, near_y = _samples(y1, y2, height)
    grid = depth[rows, columns]
    bins = _BIN_OF[grid]
    within = bins[inside_y, inside_x].ravel()
    inside = np.bincount(within, minlength=_BINS)
    around = np.bincount(bins.ravel(), minlength=_BINS) - np.bincount(bins[near_y, near_x].ravel(), minlength=_BINS)
    inside[0] = around[0] = 0
    known = int(inside.sum())
    if known < MIN_SAMPLES:
        return None
    share = np.convolve(inside / known, _SMOOTH, "same")
    surplus = share - np.convolve(around / max(1, int(around.sum())), _SMOOTH, "same")
    if not surplus.max() > 0:
        surplus = share
    peak = int(surplus.argmax())
    poor = np.flatnonzero(surplus < 0.06 * surplus[peak])
    at = int(np.searchsorted(poor, peak))
    first = int(poor[at - 1]) if at else 0
    last = int(poor[at]) if at < poor.size else _BINS
    chosen = grid[inside_y, inside_x].ravel()[(within > first) & (within < last)]
    return float(np.median(chosen)) * depth_scale_m if chosen.size else None


_SMOOTH = np.array([0.25, 0.5, 0.25])


def _samples(low: float, high: float, size: int) -> Tuple[slice, slice, slice]:
    """Along one axis: the slice of the plane that is sampled and, within it, the slices inside the box and inside its rim."""
    side = high - low
    start, stop = max(0, int(low - MARGIN * side)), min(size, int(high + MARGIN * side) + 1)
    step = max(1, round((stop - start) / GRID))

    def within(grow: float) -> slice:
        return slice(max(0, -int(-(low - grow - start) // step)), max(0, int((high + grow - start) // step) + 1))

    return slice(start, stop, step), within(0.0), within(0.2 * MARGIN * side)


def match_truth(detections: Sequence[Detection], truth: Sequence[Truth]) -> List[Detection]:
    """The detections, each with the true distance of the object of its label with the highest IoU, if that is at least 0.5."""
    matched = []
    for detection in detections:
        overlaps = [(iou(detection.box, real.box), real) for real in truth if real.label == detection.label]
        best, real = max(overlaps, key=lambda pair: pair[0], default=(0.0, None))
        if real is not None and best >= 0.5:
            detection = msgspec.structs.replace(detection, true_distance_m=real.distance_m)
        matched.append(detection)
    return matched


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    shared = wide * tall
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
