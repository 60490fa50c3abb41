"""Images of known content, and a cluster that the tests of one file share."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster import Cluster
from tests.api.images import PATIENCE_S, SIMULATED, of_run, scenes
from tests.made_once import made_once

FOUND = "found.json"


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    """30 images of three sizes, in turns; the largest is larger than a slot of the first ring."""
    small, tall = scenes(10), scenes(10, 96, 160)
    large = [cv2.resize(image, (1600, 1200)) for image in small]
    return [image for three in zip(small, tall, large, strict=True) for image in three]


@pytest.fixture(scope="session")
def expected(
    images: list[np.ndarray], small_graph_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[list[dict[str, Any]]]:
    """The detections of each image; no two images have the same."""

    def make(folder: Path) -> None:
        (folder / FOUND).write_text(json.dumps(of_run(images, folder, small_graph_folder)))

    found: list[list[dict[str, Any]]] = json.loads((made_once(tmp_path_factory, "expected", make) / FOUND).read_text())
    assert len({json.dumps(each) for each in found if each}) == len(images)
    return found


@pytest.fixture(scope="module")
def cluster(small_graph_folder: Path) -> Iterator[Cluster]:
    """Both of its sticks are ready."""
    with Cluster(backend="simulated", sticks=2, graph=small_graph_folder, settings=SIMULATED) as made:
        until_s = time.monotonic() + PATIENCE_S
        while any(stick.state == "starting" for stick in made.status().sticks):
            assert time.monotonic() < until_s, "its sticks do not start"
            time.sleep(0.05)
        yield made
