"""Pictures of the synthetic room, and what `ncsctl run` finds in them by the graph of small_graph."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ncs_cluster import Result
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.synthetic import Options, Synthetic
from tests.tied import TIED

SIMULATED = {"simulated.latency_ms": 5, "simulated.heat": False}
"""Settings of the sticks in these tests."""
WITHOUT_GRAPH: dict[str, Any] = {"backend": "simulated", "graph": "none", "settings": SIMULATED}
"""A cluster that finds nothing and starts in half the time, for tests of processes and of waiting."""
PATIENCE_S = 60.0


def scenes(count: int, width: int = 160, height: int = 120) -> list[np.ndarray]:
    """Frames of the synthetic room, several seconds apart, so that all differ."""
    source = Synthetic(Options(width=width, height=height, paced=False))
    source.open()
    planes = Planes(np.empty((height, width, 3), np.uint8), np.empty((height, width), np.uint16))
    made = []
    for _ in range(count):
        source.read(planes)
        made.append(planes.colour.copy())
        source.skip(9)
    source.close()
    return made


def of_run(images: list[np.ndarray], folder: Path, graph: Path) -> list[list[dict[str, Any]]]:
    """The detections of each image, as a job over PNG files has them."""
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    command = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", "run", str(folder), "--graph", str(graph)]
    command += ["--size", "8192x8192", "--out", str(folder / "out")]
    command += ["--backend", "simulated", "--sticks", "1", "--set", "simulated.heat=false"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (folder / "out/results.jsonl").read_text().splitlines()]
    assert [record["item"] for record in records] == [f"{number}.png" for number in range(len(images))]
    return [[{**found, "distance_m": None} for found in record["detections"]] for record in records]


def shown(result: Result) -> list[dict[str, Any]]:
    """The detections as JSON Lines have them, without distances."""
    assert result.error is None
    return [
        {
            "label": found.label,
            "label_id": found.label_id,
            "score": round(found.score, 4),
            "box": [round(side, 5) for side in found.box],
            "distance_m": None,
        }
        for found in result.detections
    ]
