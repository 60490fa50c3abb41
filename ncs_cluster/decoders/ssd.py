"""SSD graphs, boxes normalised to the graph's input, in four forms:

- rows of [image_id, label, score, x1, y1, x2, y2] of a DetectionOutput, [1, 1, N, 7]; image_id -1 ends the list;
- the outputs of TensorFlow's Object Detection: boxes y1, x1, y2, x2 [1, N, 4], classes [1, N], scores [1, N], and their count [1];
- boxes x1, y1, x2, y2 [1, N, 4] and scores of all classes [1, N, C], to which non-maximum suppression is still to be applied;
- the same as offsets [1, 4 N], scores [1, N C] and priors [1, 2, 4 N]: see _priors.

Runs on CPython 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple, Optional

from ncs_cluster.decoders import _priors
from ncs_cluster.decoders._boxes import MOST, detections, suppressed
from ncs_cluster.decoders._numpy import np
from ncs_cluster.decoders._outputs import shapes
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Outcome, ResizeTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray  # numpy 1.19, which OpenVINO 2021.4 wants, has none

BESIDE = ("raw_", "multiclass", "anchor_indices")
"""Parts of the names of what TensorFlow's graphs give beside their detections."""


@dataclass(frozen=True)
class Options:
    """Which detections are passed on."""

    max_detections: int = MOST
    """Detections of one frame that are passed on, those with the highest scores."""
    min_size: float = 0.0
    """Boxes narrower or lower than this share of the frame are left out."""
    iou: float = 0.45
    """Scores of all classes only: of two boxes of one class that overlap by more than this (intersection over union), the better
    one is passed on."""
    background: int = 0
    """Scores of all classes only: the class that is no object; -1: there is none."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_detections <= MOST:
            raise ValueError(f"max_detections must be 1 to {MOST}")
        if not 0 <= self.min_size < 1:
            raise ValueError("min_size must be 0 or more and less than 1")
        if not 0 < self.iou <= 1:
            raise ValueError("iou must be more than 0 and at most 1")
        if self.background < -1:
            raise ValueError("background must be the id of a class, or -1")


class _Found(NamedTuple):
    """Boxes [N, 4], x1, y1, x2, y2, with their scores and ids [N]."""

    boxes: NDArray[Any]
    scores: NDArray[Any]
    ids: NDArray[Any]


def decode(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, transform: ResizeTransform, options: Options) -> Outcome:
    """Objects of at least `graph.threshold`, best first, at most `max_detections`; boxes in the frame, 0..1, and clipped to it.

    Skipped: rows with a number that is not finite, boxes without an area inside the frame. A label id without a label is
    called by its number. Outputs of no such form: nothing was seen.
    """
    found = _of_rows(outputs) or _of_tensorflow(outputs) or _of_scores(outputs, graph.threshold, options)
    if found is None:
        return Outcome()
    return Outcome(detections=detections(*found, graph, transform, options.max_detections, options.min_size))


def check_outputs(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, options: Options) -> Optional[str]:
    """Why these outputs, or the labels beside them, are not for this decoder, in one line; None when they are."""
    if _rows(outputs) is not None or _tensorflow(outputs) is not None:
        return None
    scores = _tables(outputs).get("scores")
    if scores is None:
        forms = "[1, 1, N, 7], or boxes [1, N, 4] with classes and scores [1, N], or with scores [1, N, C], or priors [1, 2, 4 N]"
        return f'decoder "ssd" needs an output of shape {forms}, and the graph gives {shapes(outputs)}'
    if graph.labels and max(graph.labels) >= scores.shape[1]:
        wrong = f"its labels name class {max(graph.labels)}: correct labels in graph.toml"
        return f"the graph gives scores of {scores.shape[1]} classes, from 0, and {wrong}"
    return None


def _rows(outputs: Mapping[str, NDArray[Any]]) -> Optional[NDArray[Any]]:
    return next((array for array in outputs.values() if array.ndim == 4 and array.shape[-1] == 7), None)


def _of_rows(outputs: Mapping[str, NDArray[Any]]) -> Optional[_Found]:
    given = _rows(outputs)
    if given is None:
        return None
    rows = given.reshape(-1, 7).astype(np.float64)
    ends = np.flatnonzero(rows[:, 0] < 0)
    if len(ends):
        rows = rows[: ends[0]]
    rows = rows[np.isfinite(rows).all(axis=1)]
    return _Found(rows[:, 3:], rows[:, 2], rows[:, 1])


def _tensorflow(outputs: Mapping[str, NDArray[Any]]) -> Optional[Dict[str, NDArray[Any]]]:
    """ "boxes" [N, 4], "first" and "second" [N], and "count" [] where there is one; None where the outputs are not such.

    "second" are the scores, unless the numbers tell otherwise.
    """
    considered = {name: array for name, array in outputs.items() if not any(part in name.lower() for part in BESIDE)}
    boxes = [array.reshape(-1, 4) for array in considered.values() if _is_list(array, 3) and array.shape[-1] == 4]
    if len(boxes) != 1:
        return None
    vectors = {name: array.reshape(-1) for name, array in considered.items() if _is_list(array, 2) and array.size == len(boxes[0])}
    if len(vectors) != 2:
        return None
    first, second = vectors
    if "score" in first.lower() or "class" in second.lower():
        first, second = second, first
    found = {"boxes": boxes[0], "first": vectors[first], "second": vectors[second]}
    counts = [array.reshape(()) for name, array in considered.items() if array.size == 1 and name not in vectors]
    return {**found, "count": counts[0]} if len(counts) == 1 else found


def _of_tensorflow(outputs: Mapping[str, NDArray[Any]]) -> Optional[_Found]:
    given = _tensorflow(outputs)
    if given is None:
        return None
    ids, scores = given["first"].astype(np.float64), given["second"].astype(np.float64)
    if _has_fractions(ids) and not _has_fractions(scores):
        # TensorFlow 2 gives its outputs numbers for names, in another order
        ids, scores = scores, ids
    boxes = given["boxes"][:, [1, 0, 3, 2]].astype(np.float64)
    count = float(given.get("count", np.array(len(boxes))))
    most = int(count) if 0 <= count < len(boxes) else len(boxes)
    return _Found(boxes[:most], scores[:most], np.where(np.isfinite(ids[:most]), ids[:most], -1.0))


def _tables(outputs: Mapping[str, NDArray[Any]]) -> Dict[str, NDArray[Any]]:
    """ "boxes" [N, 4] and "scores" [N, C] with C of 2 or more; empty where the outputs are not such. Of two that are alike,
    the name tells the boxes."""
    raw = _priors.found(outputs)
    if raw is not None:
        return {"boxes": _priors.boxes(raw["priors"], raw["offsets"]), "scores": raw["scores"]}
    tables: Dict[str, NDArray[Any]] = {
        name: array.reshape(array.shape[-2:]) for name, array in outputs.items() if _is_list(array, 3) and array.shape[-1] > 1
    }
    boxes = [name for name, array in tables.items() if array.shape[1] == 4]
    if len(boxes) > 1:
        boxes = [name for name in boxes if "box" in name.lower() or "loc" in name.lower()]
    scores = [name for name in tables if name not in boxes]
    if len(boxes) != 1 or len(scores) != 1 or len(tables[boxes[0]]) != len(tables[scores[0]]):
        return {}
    return {"boxes": tables[boxes[0]], "scores": tables[scores[0]]}


def _of_scores(outputs: Mapping[str, NDArray[Any]], threshold: float, options: Options) -> Optional[_Found]:
    """Every class of a box counts by itself. Numbers that are no probabilities are logits and go through softmax."""
    tables = _tables(outputs)
    if not tables:
        return None
    finite = np.isfinite(tables["scores"]).all(axis=1) & np.isfinite(tables["boxes"]).all(axis=1)
    boxes, scores = tables["boxes"][finite].astype(np.float64), tables["scores"][finite].astype(np.float64)
    if scores.size and (scores.min() < -1e-3 or scores.max() > 1.001):
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    if 0 <= options.background < scores.shape[1]:
        scores[:, options.background] = -1.0
    which, ids = np.nonzero(scores >= threshold)
    found = _Found(boxes[which], scores[which, ids], ids)
    wide = (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1)
    found = _Found(*(each[wide] for each in found))
    kept = suppressed(*found, options.iou, options.max_detections)
    return _Found(*(each[kept] for each in found))


def _is_list(array: NDArray[Any], axes: int) -> bool:
    """[1, N, ...] with this many axes, or one less where the batch is missing, as in blobs."""
    return array.size > 0 and (array.ndim == axes - 1 or (array.ndim == axes and array.shape[0] == 1))


def _has_fractions(values: NDArray[Any]) -> bool:
    finite = values[np.isfinite(values)]
    return bool((finite != np.floor(finite)).any())
