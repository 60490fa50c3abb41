"""Measures the demo graph on scenes it has not seen: mAP at IoU 0.5, and how far measured distances are from the true ones.

    python graphs/demo/evaluate.py [--frames 600]

Mean average precision as in PASCAL VOC 2010 and later: for each label the area under precision over recall, precision made
falling from the right; every detection takes the object of its label it overlaps best, an object is taken once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ncs_cluster.render.distance import distance, iou, match_truth
from ncs_cluster.sources._scene import DEPTH_SCALE_M, Scene
from ncs_cluster.types import Detection, Truth

HERE = Path(__file__).resolve().parent
FIRST_SEED = 5000
FRAMES_PER_SCENE = 30


class Frame(NamedTuple):
    truth: List[Truth]
    found: List[Detection]
    """Score 0.05 and up, with distances."""


class Report(NamedTuple):
    frames: int
    objects: int
    average_precision: Dict[str, float]
    recall: float
    """Of the objects, how many are found at the threshold with IoU >= 0.5."""
    precision: float
    within: float
    """Of the found ones, the share whose distance is within 3 % of the true one (unknown is not within)."""
    within_true_boxes: float
    """The same, asked of the true boxes."""

    @property
    def mean_average_precision(self) -> float:
        return float(np.mean(list(self.average_precision.values())))


def detector(model: Path, labels: Sequence[str]) -> Callable[[NDArray[np.uint8]], List[Detection]]:
    """The graph on this CPU: a BGR picture in, detections out."""
    import openvino as ov

    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1})
    _, _, height, width = compiled.input(0).shape

    def detect(picture: NDArray[np.uint8]) -> List[Detection]:
        blob = cv2.resize(picture, (width, height)).transpose(2, 0, 1)[None].astype(np.float32)
        found = []
        for image, label, score, *box in compiled(blob)[0].reshape(-1, 7).tolist():
            if image < 0:
                break
            x1, y1, x2, y2 = (min(1.0, max(0.0, value)) for value in box)
            found.append(Detection(labels[int(label) - 1], int(label), score, (x1, y1, x2, y2)))
        return found

    return detect


def frames(detect: Callable[[NDArray[np.uint8]], List[Detection]], count: int) -> Iterator[Tuple[Frame, NDArray[np.uint16]]]:
    """Frames of unseen scenes, far apart in time, with what is in them and what is found."""
    colour, depth = np.empty((480, 640, 3), np.uint8), np.empty((480, 640), np.uint16)
    for n in range(count):
        if n % FRAMES_PER_SCENE == 0:
            scene = Scene(640, 480, FIRST_SEED + n // FRAMES_PER_SCENE)
        truth = scene.draw(n, n * 6.7, colour, depth)
        yield Frame(truth, detect(colour)), depth


def average_precision(seen: Sequence[Frame], label: str) -> float:
    ranked = sorted(
        ((one.score, n, one.box) for n, frame in enumerate(seen) for one in frame.found if one.label == label), reverse=True
    )
    real = {n: [one.box for one in frame.truth if one.label == label] for n, frame in enumerate(seen)}
    total = sum(len(boxes) for boxes in real.values())
    taken, right = set(), []
    for _, n, box in ranked:
        best, which = max(((iou(box, other), i) for i, other in enumerate(real[n])), default=(0.0, -1))
        hit = best >= 0.5 and (n, which) not in taken
        if hit:
            taken.add((n, which))
        right.append(hit)
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float(np.sum(precision[np.array(right, bool)]) / total) if total and right else 0.0


def evaluate(model: Path, count: int, threshold: float = 0.6) -> Report:
    labels = (model.parent / "labels.txt").read_text().split()
    seen, errors, true_errors = [], [], []
    found = right = 0

    def error(depth: NDArray[np.uint16], box: Tuple[float, float, float, float], true_m: float) -> float:
        metres = distance(depth, box, DEPTH_SCALE_M)
        return float("inf") if metres is None else abs(metres / true_m - 1)

    for frame, depth in frames(detector(model, labels), count):
        seen.append(frame)
        sure = match_truth([one for one in frame.found if one.score >= threshold], frame.truth)
        matched = [one for one in sure if one.true_distance_m is not None]
        found, right = found + len(sure), right + len(matched)
        errors += [error(depth, one.box, one.true_distance_m or 0.0) for one in matched]
        true_errors += [error(depth, one.box, one.distance_m) for one in frame.truth]
    objects = len(true_errors)
    return Report(
        frames=count,
        objects=objects,
        average_precision={label: average_precision(seen, label) for label in labels},
        recall=right / objects,
        precision=right / max(1, found),
        within=float(np.mean(np.array(errors) <= 0.03)) if errors else 0.0,
        within_true_boxes=float(np.mean(np.array(true_errors) <= 0.03)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--model", type=Path, default=HERE / "demo.xml")
    given = parser.parse_args()
    report = evaluate(given.model, given.frames)
    print(f"{report.frames} frames, {report.objects} objects, none of these scenes was trained on")
    for label, value in report.average_precision.items():
        print(f"  {label:8} AP {value:.3f}")
    print(f"mAP at IoU 0.5: {report.mean_average_precision:.3f}")
    print(f"at threshold 0.6: recall {report.recall:.3f}, precision {report.precision:.3f}")
    print(f"distance within 3 %: {report.within:.3f} of found boxes, {report.within_true_boxes:.3f} of true boxes")


if __name__ == "__main__":
    main()
