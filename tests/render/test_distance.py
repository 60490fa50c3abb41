"""Distances out of a depth plane: the object's, not what is behind it or in front of it."""

from __future__ import annotations

import numpy as np
import pytest

from ncs_cluster.render.distance import distance, match_truth
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.synthetic import Options, Synthetic
from ncs_cluster.types import Detection, Truth

BOX = (0.25, 0.25, 0.75, 0.75)


def plane(background_mm: int = 4000) -> np.ndarray:
    return np.full((480, 640), background_mm, np.uint16)


def test_a_thing_before_a_wall_has_its_own_distance() -> None:
    depth = plane()
    depth[120:360, 160:480] = 1500
    assert distance(depth, BOX, 0.001) == pytest.approx(1.5)


def test_depth_units_are_scaled() -> None:
    assert distance(plane(20000), BOX, 0.0001) == pytest.approx(2.0)


def test_a_thing_that_fills_a_third_of_its_box_is_not_taken_for_the_wall_behind_it() -> None:
    depth = plane()
    depth[120:360, 270:370] = 1500  # 100 of the box's 320 columns
    assert distance(depth, BOX, 0.001) == pytest.approx(1.5)


def test_the_hole_of_a_ring_does_not_count() -> None:
    y, x = np.mgrid[:480, :640]
    radius = np.hypot((x - 320) / 160, (y - 240) / 120)
    depth = np.where((radius < 1) & (radius > 0.6), 1800, 3500).astype(np.uint16)
    assert distance(depth, BOX, 0.001) == pytest.approx(1.8)


def test_what_stands_in_front_and_goes_on_beyond_the_box_is_not_the_thing() -> None:
    depth = plane()
    depth[120:360, 160:480] = 2500
    depth[:, 380:] = 900  # a pillar over a third of the box
    assert distance(depth, BOX, 0.001) == pytest.approx(2.5)


def test_holes_are_ignored() -> None:
    depth = plane()
    depth[120:360, 160:480] = 1500
    depth[np.random.default_rng(0).random(depth.shape) < 0.7] = 0
    assert distance(depth, BOX, 0.001) == pytest.approx(1.5)


@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 0.0, 0.0), (0.5, 0.5, 0.5, 0.9), (0.9, 0.9, 0.1, 0.1), (float("nan"),) * 4, (1.0, 1.0, 1.0, 1.0)]
)
def test_an_empty_box_has_no_distance(box: tuple) -> None:
    assert distance(plane(), box, 0.001) is None


def test_nothing_measured_is_unknown_and_never_zero() -> None:
    depth = plane()
    depth[100:380, 140:500] = 0
    assert distance(depth, BOX, 0.001) is None
    assert distance(plane(0), BOX, 0.001) is None


def test_any_box_in_any_plane_gives_a_distance_that_is_in_it_or_none() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        height, width = rng.integers(2, 200, 2)
        depth = rng.integers(0, 65536, (height, width)).astype(np.uint16)
        depth[rng.random(depth.shape) < rng.random()] = 0
        x1, x2 = sorted(rng.uniform(-0.2, 1.2, 2))
        y1, y2 = sorted(rng.uniform(-0.2, 1.2, 2))
        metres = distance(depth, (x1, y1, x2, y2), 0.001)
        assert metres is None or depth[depth > 0].min() <= round(metres * 1000) <= depth.max()


def test_true_boxes_of_the_synthetic_scene_are_measured_within_3_percent() -> None:
    into = Planes(np.empty((480, 640, 3), np.uint8), np.empty((480, 640), np.uint16))
    errors = []
    for seed in range(300, 304):
        source = Synthetic(Options(seed=seed, fps=0.15, paced=False))
        source.open()
        for _ in range(50):
            captured = source.read(into)
            assert captured is not None
            for one in captured.truth or []:
                metres = distance(into.depth, one.box, 0.001)  # type: ignore[arg-type]
                errors.append(9.0 if metres is None else abs(metres / one.distance_m - 1))
    assert len(errors) > 800
    assert np.mean(np.array(errors) <= 0.03) >= 0.95


def test_a_detection_gets_the_distance_of_the_object_it_overlaps_if_the_label_is_right() -> None:
    truth = [Truth("ball", 1, BOX, 2.0), Truth("ball", 1, (0.26, 0.25, 0.75, 0.75), 3.0), Truth("cube", 2, BOX, 4.0)]
    there, apart = (0.265, 0.25, 0.75, 0.75), (0.7, 0.7, 0.9, 0.9)
    found = [Detection("ball", 1, 0.9, there, 2.9), Detection("star", 4, 0.9, there), Detection("ball", 1, 0.9, apart)]
    matched = match_truth(found, truth)
    assert [one.true_distance_m for one in matched] == [3.0, None, None]
    assert matched[0].distance_m == 2.9
    assert match_truth(found, []) == found
