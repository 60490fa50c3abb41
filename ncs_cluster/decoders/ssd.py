"""SSD graphs that end in DetectionOutput: rows of [image_id, label, score, x1, y1, x2, y2], normalised to the graph's input.

A row with image_id -1 ends the list. Non-maximum suppression has been done by the graph. Runs on CPython 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping, Optional

import numpy as np

from ncs_cluster.decoders._boxes import MOST, detections
from ncs_cluster.decoders._outputs import shapes
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Outcome, ResizeTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray  # numpy 1.19, which OpenVINO 2021.4 wants, has none


@dataclass(frozen=True)
class Options:
    """Which detections are passed on."""

    max_detections: int = MOST
    """Detections of one frame that are passed on, those with the highest scores."""
    min_size: float = 0.0
    """Boxes narrower or lower than this share of the frame are left out."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_detections <= MOST:
            raise ValueError(f"max_detections must be 1 to {MOST}")
        if not 0 <= self.min_size < 1:
            raise ValueError("min_size must be 0 or more and less than 1")


def decode(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, transform: ResizeTransform, options: Options) -> Outcome:
    """Objects of at least `graph.threshold`, best first, at most `max_detections`; boxes in the frame, 0..1, and clipped to it.

    Skipped: rows with a number that is not finite, boxes without an area inside the frame. A label id without a label is
    called by its number. No output of shape [..., 7]: nothing was seen.
    """
    given = _rows(outputs)
    if given is None:
        return Outcome()
    rows = given.reshape(-1, 7).astype(np.float64)
    ends = np.flatnonzero(rows[:, 0] < 0)
    if len(ends):
        rows = rows[: ends[0]]
    rows = rows[np.isfinite(rows).all(axis=1)]
    found = detections(rows[:, 3:], rows[:, 2], rows[:, 1], graph, transform, options.max_detections, options.min_size)
    return Outcome(detections=found)


def check_outputs(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, options: Options) -> Optional[str]:
    """Why these outputs are not for this decoder, in one line; None when they are."""
    if _rows(outputs) is not None:
        return None
    return f'decoder "ssd" needs an output of shape [1, 1, N, 7] and the graph gives {shapes(outputs)}'


def _rows(outputs: Mapping[str, NDArray[Any]]) -> Optional[NDArray[Any]]:
    return next((array for array in outputs.values() if array.ndim == 4 and array.shape[-1] == 7), None)
