"""What a program gets for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from ncs_cluster.types import Classified, Detection, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Result(Struct, frozen=True, eq=False):
    """What a graph says about one image, or why it says nothing."""

    number: int
    """Position of the image in the iterable of `map`, of the frame in its stream, from 0; 0 for `infer`."""
    graph: str
    detections: list[Detection]
    """Boxes are x1, y1, x2, y2, normalised to 0..1 of the image."""
    classes: list[Classified]
    """Best first."""
    features: NDArray[np.float32] | None
    """A vector, read-only; None: the graph gives none."""
    stick: str | None
    """The stick that answered, or had the image last."""
    latency_s: float | None
    """From the image's hand-over, or the frame's capture, to the result; None where there is no result."""
    error: str | None
    """Why there is no result; None: there is one."""
    captured_at: float
    """When the image was handed over, or the frame captured, Unix seconds."""
    item: str | None = None
    """File name, in a stream of pictures."""


def result_of(record: Record, number: int) -> Result:
    """The record of one frame and graph as a Result."""
    outcome = record.outcome
    features = None
    if outcome.features is not None:
        import numpy

        features = numpy.frombuffer(outcome.features, "<f4")
    return Result(
        number,
        record.graph,
        outcome.detections,
        outcome.classes,
        features,
        record.stick,
        record.latency_s,
        outcome.error,
        record.captured_at,
        record.item,
    )
