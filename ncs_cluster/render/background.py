"""`--background remove`: paints a plain backdrop over everything but the detected objects.

In each box, pixels up to MARGIN_M beyond the object's distance are kept; nearer pixels too, such as a hand in front of the object.
Pixels of unknown depth, and boxes of unknown distance, count as background.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Iterable, Tuple

import cv2
import numpy as np

from ncs_cluster.types import Detection

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARGIN_M = 0.05
BACKDROP = (58, 52, 47)
"""Blue, green, red, 0..255."""
SPECKLE = 5
"""Pixels. Specks and holes narrower than half of this are noise of the depth camera."""


def remove_background(
    picture: NDArray[np.uint8],
    depth: NDArray[np.uint16],
    depth_scale_m: float,
    detections: Iterable[Detection],
    margin_m: float = MARGIN_M,
) -> bool:
    """Paint the backdrop over `picture`, in place. False when no object was kept: none has a known distance.

    `picture` is uint8 BGR [height, width, 3]; `depth` is uint16 [height, width] in units of `depth_scale_m` metres, aligned to
    it, 0 for unknown. Call it before the boxes are drawn.
    """
    height, width = picture.shape[:2]
    keep = np.zeros((height, width), np.uint8)
    kept = False
    for detection in detections:
        if detection.distance_m is None or not all(map(math.isfinite, (detection.distance_m, *detection.box))):
            continue
        x1, y1, x2, y2 = detection.box
        rows = slice(max(0, round(y1 * height)), max(0, round(y2 * height)))
        columns = slice(max(0, round(x1 * width)), max(0, round(x2 * width)))
        inside = np.ascontiguousarray(depth[rows, columns])
        if inside.size:
            farthest = min(65535, round((detection.distance_m + margin_m) / depth_scale_m))
            kept = True
            keep[rows, columns] |= np.asarray(cv2.inRange(inside, 1, farthest), np.uint8)
    keep = np.asarray(cv2.medianBlur(keep, SPECKLE), np.uint8)
    cv2.copyTo(_backdrop((height, width)), cv2.bitwise_not(keep), picture)
    return kept


@lru_cache(maxsize=2)
def _backdrop(size: Tuple[int, int]) -> NDArray[np.uint8]:
    return np.full((*size, 3), BACKDROP, np.uint8)
