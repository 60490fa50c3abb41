"""DeepStack and CodeProject.AI: what a request asks for, and the JSON of its answer.

Both servers' clients differ in what they tolerate: Frigate stops at the first score below 0.4 and breaks at more than 20
predictions, so they are sorted and cut; labels are those of COCO, in lower case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Optional

from ncs_cluster.messages import ServedGraph
from ncs_cluster.processes.gateway.apis.multipart import BadForm, Part
from ncs_cluster.types import Box, Outcome, Size

MOST = 20
"""Predictions in one answer."""
DEFAULT_CONFIDENCE = 0.4
WITHOUT_BOXES = ("classification", "features")
"""Decoders whose graphs find no objects."""
COCO = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}
"""Names of PASCAL VOC's classes, as COCO calls them."""


class Asked(NamedTuple):
    """A request for predictions. `image`: a picture file's content."""

    image: bytes
    min_confidence: float


def asked(parts: Iterable[Part]) -> Asked:
    """Raises BadForm."""
    image: Optional[bytes] = None
    fields: dict[str, str] = {}
    for part in parts:
        # CodeProject.AI takes the first file, whatever its name
        if image is None and (part.name == "image" or part.filename is not None):
            image = part.data
        elif part.filename is None:
            fields.setdefault(part.name, part.data[:4096].decode("utf-8", "replace").strip())
    if not image:
        raise BadForm("No valid image file found: send the picture as the form's file `image`")
    return Asked(image, _confidence(fields.get("min_confidence", "")))


def api_key(parts: Iterable[Part]) -> str:
    """The key of a form, "" where there is none."""
    return next((part.data[:4096].decode("utf-8", "replace").strip() for part in parts if part.name == "api_key"), "")


def _confidence(text: str) -> float:
    if not text:
        return DEFAULT_CONFIDENCE
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise BadForm("Invalid value for min_confidence: send a number from 0 to 1")
    return value


def default_graph(graphs: Mapping[str, ServedGraph]) -> Optional[ServedGraph]:
    """The graph of `/v1/vision/detection`: the first that finds objects."""
    return next((graph for graph in graphs.values() if graph.decoder not in WITHOUT_BOXES), None)


def named_graph(graphs: Mapping[str, ServedGraph], name: str) -> Optional[ServedGraph]:
    """A graph by its name, in any case where that names one alone."""
    if name in graphs:
        return graphs[name]
    alike = [graph for graph in graphs.values() if graph.name.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None


def predictions(outcome: Outcome, size: Size, min_confidence: float) -> list[dict[str, Any]]:
    """Best first, at most MOST. `size`: of the picture that was sent. A class of a classification has the whole picture as its
    box."""
    found = [(detection.score, detection.label, detection.box) for detection in outcome.detections]
    found += [(named.score, named.label, (0.0, 0.0, 1.0, 1.0)) for named in outcome.classes]
    found = sorted((each for each in found if each[0] >= min_confidence), key=lambda each: -each[0])
    return [_prediction(*each, size) for each in found[:MOST]]


def _prediction(score: float, label: str, box: Box, size: Size) -> dict[str, Any]:
    lower = label.lower()
    # 0.0 first: it is what max makes of NaN
    x1, y1, x2, y2 = (round(min(max(0.0, place), 1.0) * length) for place, length in zip(box, (*size, *size), strict=True))
    return {
        "label": COCO.get(lower, lower),
        "confidence": score,
        "x_min": x1,
        "y_min": y1,
        "x_max": x2,
        "y_max": y2,
    }


def answer(found: list[dict[str, Any]], graph: str, stick: str, inference_s: float, process_s: float) -> dict[str, Any]:
    """The answer with the fields of both servers. `inference_s`: of the stick; `process_s`: of the whole request."""
    labels = list(dict.fromkeys(each["label"] for each in found))
    return {
        "success": True,
        "message": f"Found {', '.join(labels)}" if labels else "No objects found",
        "predictions": found,
        "count": len(found),
        "command": "detect",
        "moduleId": "ncs_cluster",
        "model": graph,
        "executionProvider": stick,
        "inferenceMs": round(inference_s * 1000),
        "processMs": round(process_s * 1000),
        "analysisRoundTripMs": round(process_s * 1000),
        "duration": process_s,
        "code": 200,
    }


def unsuccessful(why: str, code: int) -> dict[str, Any]:
    return {"success": False, "error": why, "duration": 0, "code": code}


def model_list(graphs: Mapping[str, ServedGraph]) -> dict[str, Any]:
    return {"success": True, "models": list(graphs), "command": "list-custom", "moduleId": "ncs_cluster", "code": 200}


def current_version(version: str) -> dict[str, Any]:
    """What CodeProject.AI's server says of itself, also when it is pinged."""
    return {"success": True, "message": version, "version": _version(version), "code": 200}


def update_available(version: str) -> dict[str, Any]:
    """There is never one: updates are the package's."""
    own = _version(version)
    return {
        "success": True,
        "message": "This is the current version",
        "version": own,
        "current": own,
        "latest": own,
        "updateAvailable": False,
    }


def _version(version: str) -> dict[str, Any]:
    numbers = [int(each) if each.isdecimal() else 0 for each in version.split(".")[:3]] + [0, 0, 0]
    return {
        "major": numbers[0],
        "minor": numbers[1],
        "patch": numbers[2],
        "build": 0,
        "preRelease": None,
        "securityUpdate": False,
        "file": "",
        "releaseNotes": "",
    }
