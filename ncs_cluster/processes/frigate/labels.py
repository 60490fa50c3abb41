"""Ids of Frigate's labelmap by the names of classes.

Frigate ships the 91 classes of COCO, counted from 0, and calls some of them otherwise (7, a truck, is "car" to it). A graph may
know fewer classes, and in another order: so a class is found by its name, never by its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Optional

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light", "fire hydrant",
    "street sign", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear",
    "zebra", "giraffe", "hat", "backpack", "umbrella", "shoe", "eye glasses", "handbag", "tie", "suitcase", "frisbee", "skis",
    "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "plate",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog",
    "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "mirror", "dining table", "window", "desk", "toilet", "door",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "blender",
    "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush", "hair brush",
)  # fmt: skip
"""The classes of COCO in the order of their ids, of which the first is 0 here and 1 in COCO (cocodataset.org)."""

SYNONYMS = {
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
    "trafficlight": "traffic light",
    "cellphone": "cell phone",
}
"""Names that lists of Pascal VOC and of Darknet have for classes of COCO."""


def ids(labelmap: Optional[Mapping[int, str]] = None) -> dict[str, int]:
    """Ids by name, in lower case. `labelmap`: names by id, as in the user's file; None: COCO. A name that two ids have means the
    lower id; a synonym counts where the map lacks it."""
    named = dict(enumerate(COCO)) if labelmap is None else labelmap
    found: dict[str, int] = {}
    for number in sorted(named):
        found.setdefault(named[number].strip().lower(), number)
    for other, name in SYNONYMS.items():
        if name in found:
            found.setdefault(other, found[name])
    return found


def missing(labels: Iterable[str], known: Mapping[str, int]) -> list[str]:
    """The labels that have no id, each once: what carries them is left out of answers."""
    return list(dict.fromkeys(label for label in labels if label.lower() not in known))
