"""The catalogue's MobileNet: pulled from a mirror, and its best classes with their names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import openvino

from ncs_cluster import decoders
from ncs_cluster.config import graph_folder
from ncs_cluster.config.catalogue import Catalogue
from ncs_cluster.provision.catalogue import pull
from ncs_cluster.types import ResizeTransform
from tests.provision.conftest import Site

NAME, SIDE = "mobilenet_v1_0.25_224", 224


def test_the_pulled_folder_names_what_a_picture_shows(site: Site, test_data: Path, tmp_path: Path) -> None:
    """Names and numbers of classes are in two published files that were not made for each other: a picture tells."""
    model = Catalogue().model(NAME)
    published = test_data / "models" / "mobilenet_v1_0.25_224_float"
    for wanted, name in zip(model.files, ("mobilenet_v1_0.25_224_float.tflite", "labels.txt"), strict=True):
        site.files[f"/copy/{wanted.url}"] = (published / name).read_bytes()
    graph = graph_folder.read(pull(model, tmp_path, mirror=f"{site.url}/copy", say=lambda line: None), NAME, None)
    assert (graph.decoder, len(graph.labels), graph.labels[1], graph.labels[1000]) == (
        "classification",
        1000,
        "tench, Tinca tinca",
        "toilet tissue, toilet paper, bathroom tissue",
    )
    burger = cv2.imread(str(test_data / "media" / "burger.jpg"))
    assert burger is not None
    picture = cv2.resize(burger, (SIDE, SIDE))[:, :, ::-1]
    given = ((picture.astype(np.float32) - graph.mean) / graph.scale)[None].astype(np.float32)
    (scores,) = openvino.Core().compile_model(graph.model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([given]).values()
    best = decoders.create(graph)({"scores": np.asarray(scores)}, ResizeTransform()).classes
    assert best[0].label == "cheeseburger"
    assert len(best) == 3
