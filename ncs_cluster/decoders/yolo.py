"""YOLO heads: v5 to v7 with anchors, YOLOX, v8 to v11, and v10 with its suppression inside; see yolo_layout.

Formulas: YOLOX, https://arxiv.org/abs/2107.08430; v5, https://docs.ultralytics.com/yolov5/tutorials/architecture_description.
Runs on CPython 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, List, Literal, Mapping, NamedTuple, Optional, Tuple

from ncs_cluster.decoders._boxes import MOST, detections, suppressed
from ncs_cluster.decoders._numpy import np
from ncs_cluster.decoders.yolo_layout import GRIDS, LAYOUTS, Head, cells, head, input_size
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import Outcome, ResizeTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray  # numpy 1.19, which OpenVINO 2021.4 wants, has none

ANCHORS = (10.0, 13.0, 16.0, 30.0, 33.0, 23.0, 30.0, 61.0, 62.0, 45.0, 59.0, 119.0, 116.0, 90.0, 156.0, 198.0, 373.0, 326.0)
"""Of YOLOv5 as trained on COCO: width and height in pixels, three for each level, the finest level first."""
MOST_NORMALISED = 4.0
"""Coordinates beyond this are pixels: shares of the input are about 1 at most, and no input is 4 pixels wide."""
MOST_OFFSET = 8.0
"""Half of the centres of a raw YOLOX output are within their own cell; beyond this the graph has decoded them itself."""


@dataclass(frozen=True)
class Options:
    """How the head's output is laid out, and which detections are passed on."""

    layout: Literal["auto", "v5", "v5-heads", "v8", "yolox", "end2end"] = "auto"
    """What the head gives, as the page of graphs lists it. auto: as its shape tells; where that fits several, the error says so."""
    iou: float = 0.45
    """Of two boxes of one class that overlap by more than this (intersection over union), the better one is passed on."""
    max_detections: int = MOST
    """Detections of one frame that are passed on, those with the highest scores."""
    class_agnostic: bool = False
    """Boxes of different classes suppress each other too."""
    normalised: Literal["auto", "yes", "no"] = "auto"
    """Whether coordinates are shares of the input instead of pixels. auto: told by their size."""
    output: str = ""
    """The name of the output, where several could be meant."""
    classes: int = 0
    """Number of classes, where the output holds more numbers (masks, key points); 0: all that follow the box."""
    anchors: List[float] = field(default_factory=lambda: list(ANCHORS))
    """For v5-heads: width and height of each anchor, pixels, from the finest level to the coarsest."""

    def __post_init__(self) -> None:
        if self.layout not in ("auto", *LAYOUTS):
            raise ValueError(f'layout must be auto, {", ".join(LAYOUTS)}, not "{self.layout}"')
        if not 0 < self.iou <= 1:
            raise ValueError("iou must be more than 0 and at most 1")
        if not 1 <= self.max_detections <= MOST:
            raise ValueError(f"max_detections must be 1 to {MOST}")
        if self.normalised not in ("auto", "yes", "no"):
            raise ValueError(f'normalised must be auto, yes or no, not "{self.normalised}"')
        if self.classes < 0:
            raise ValueError("classes must be 0 or more")
        if not self.anchors or len(self.anchors) % 2 or min(self.anchors) <= 0:
            raise ValueError("anchors must be pairs of width and height, all more than 0")


class _Found(NamedTuple):
    """Candidates over the threshold."""

    boxes: NDArray[Any]
    """float64 [N, 4]: x1, y1, x2, y2, in shares of the input."""
    scores: NDArray[Any]
    ids: NDArray[Any]


def decode(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, transform: ResizeTransform, options: Options) -> Outcome:
    """Objects of at least `graph.threshold`, best first, at most `max_detections`; boxes in the frame, 0..1, and clipped to it.

    The score is objectness times the best class's. Rows with numbers that are not finite are skipped. Outputs whose layout cannot
    be told: nothing was seen.
    """
    known = _head(outputs, graph, options, (transform.width, transform.height))
    if isinstance(known, str):
        return Outcome()
    with np.errstate(over="ignore", invalid="ignore"):
        found = _found(known, graph.threshold, transform, options)
        if found is None:
            return Outcome()
        boxes, scores, ids = found
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        boxes, scores, ids = boxes[good], scores[good], ids[good]
        if known.layout != "end2end":
            groups = np.zeros_like(ids) if options.class_agnostic else ids
            kept = suppressed(boxes, scores, groups, options.iou, options.max_detections)
            boxes, scores, ids = boxes[kept], scores[kept], ids[kept]
    return Outcome(detections=detections(boxes, scores, ids, graph, transform, options.max_detections))


def check_outputs(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, options: Options) -> Optional[str]:
    """Why these outputs, or the labels beside them, are not for this decoder, in one line; None when they are."""
    known = _head(outputs, graph, options, (0, 0))
    if isinstance(known, str):
        return known
    if known.layout == "v5-heads" and len(options.anchors) != 2 * len(known.arrays) * known.arrays[0].shape[0]:
        needed = 2 * len(known.arrays) * known.arrays[0].shape[0]
        return (
            f"the graph has {len(known.arrays)} levels, which need {needed} numbers as decoder.anchors, not {len(options.anchors)}"
        )
    return None


def _head(outputs: Mapping[str, NDArray[Any]], graph: GraphSpec, options: Options, size: Tuple[int, int]) -> Any:
    names = max(graph.labels) + 1 if graph.labels else 0
    return head(outputs, options.layout, options.output, options.classes, names, size)


def _found(known: Head, threshold: float, transform: ResizeTransform, options: Options) -> Optional[_Found]:
    if known.layout == "v5-heads":
        return _of_maps(known, threshold, transform, options)
    table = known.arrays[0]
    size = input_size(transform, len(table))
    if known.layout == "end2end":
        kept = np.flatnonzero(table[:, 4] >= threshold)
        corners = table[kept, :4].astype(np.float64)
        return _Found(
            _shares(corners, corners, size, options), table[kept, 4].astype(np.float64), table[kept, 5].astype(np.float64)
        )
    if known.layout == "v8":
        best = table[:, 4 : 4 + known.classes].max(axis=1, initial=-np.inf)
        kept = np.flatnonzero(best >= threshold)
        scores = best[kept].astype(np.float64)
        ids = table[kept, 4 : 4 + known.classes].argmax(axis=1)
    else:
        # no class's score is more than 1
        kept = np.flatnonzero(table[:, 4] >= threshold)
        each = table[kept, 5 : 5 + known.classes].astype(np.float64) * table[kept, 4:5]
        over = each.max(axis=1, initial=-np.inf) >= threshold
        kept, each = kept[over], each[over]
        scores, ids = each.max(axis=1, initial=-np.inf), each.argmax(axis=1)
    places = table[kept, :4].astype(np.float64)
    if known.layout == "yolox" and (options.layout == "yolox" or _is_raw(table)):
        if size is None or len(table) not in cells(size):
            return None
        grid = _grid(size, len(table))[kept]
        centres, sides = (places[:, :2] + grid[:, :2]) * grid[:, 2:], np.exp(places[:, 2:]) * grid[:, 2:]
        corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
        return _Found(corners / (*size, *size), scores, ids)
    corners = np.concatenate([places[:, :2] - places[:, 2:] / 2, places[:, :2] + places[:, 2:] / 2], axis=1)
    return _Found(_shares(corners, table[:, :2], size, options), scores, ids)


def _of_maps(known: Head, threshold: float, transform: ResizeTransform, options: Options) -> Optional[_Found]:
    """Logits of each level: x, y = (2 sigmoid - 0.5 + cell) stride; width, height = (2 sigmoid)^2 anchor."""
    each = known.arrays[0].shape[0]
    if len(options.anchors) != 2 * each * len(known.arrays):
        return None
    anchors = np.array(options.anchors, np.float64).reshape(len(known.arrays), each, 2)
    width = transform.width or 8 * known.arrays[0].shape[2]
    height = transform.height or 8 * known.arrays[0].shape[1]
    found = []
    for level, sizes in zip(known.arrays, anchors):
        rows, columns = level.shape[1:3]
        objectness = _sigmoid(level[..., 4])
        place = np.nonzero(objectness >= threshold)
        values = _sigmoid(level[place])
        cell = np.stack([place[2], place[1]], axis=1)
        centres = (2 * values[:, :2] - 0.5 + cell) / (columns, rows)
        sides = (2 * values[:, 2:4]) ** 2 * sizes[place[0]] / (width, height)
        classes = values[:, 5 : 5 + known.classes] * values[:, 4:5]
        scores = classes.max(axis=1, initial=-np.inf)
        over = scores >= threshold
        corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
        found.append(_Found(corners[over], scores[over], classes[over].argmax(axis=1)))
    return _Found(*(np.concatenate(parts) for parts in zip(*found)))


def _is_raw(table: NDArray[Any]) -> bool:
    finite = table[np.isfinite(table[:, 0]), 0]
    return not finite.size or bool(np.median(np.abs(finite)) <= MOST_OFFSET)


def _shares(corners: NDArray[Any], judged: NDArray[Any], size: Optional[Tuple[int, int]], options: Options) -> NDArray[Any]:
    """Corners in shares of the input. `judged`: coordinates by whose size it is told whether these are pixels."""
    pixels = options.normalised == "no"
    if options.normalised == "auto":
        finite = judged[np.isfinite(judged)]
        pixels = bool(finite.size) and float(finite.max()) > MOST_NORMALISED
    if not pixels:
        return corners
    # without the input's size nothing can be placed
    return corners / ((*size, *size) if size is not None else np.nan)


def _grid(size: Tuple[int, int], rows: int) -> NDArray[Any]:
    """float64 [rows, 3]: column, row and stride of each cell, level by level, row by row."""
    strides = GRIDS[cells(size).index(rows)]
    parts = []
    for stride in strides:
        columns, lines = np.meshgrid(np.arange(size[0] // stride), np.arange(size[1] // stride))
        parts.append(np.stack([columns.ravel(), lines.ravel(), np.full(columns.size, stride)], axis=1))
    return np.concatenate(parts).astype(np.float64)


def _sigmoid(values: NDArray[Any]) -> NDArray[Any]:
    return 1.0 / (1.0 + np.exp(-values.astype(np.float64)))
