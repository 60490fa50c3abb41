"""Background removal: what was found stays, what lies behind it or was not measured goes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.render.background import BACKDROP, remove_background
from ncs_cluster.types import Detection

WIDTH, HEIGHT = 160, 120
BOX = (0.25, 0.25, 0.75, 0.75)


def scene(scale_m: float = 0.001) -> tuple[np.ndarray, np.ndarray]:
    """A white picture of a wall at 3 m with an object at 1.2 m in its middle, its lower right quarter unmeasured."""
    depth = np.full((HEIGHT, WIDTH), round(3.0 / scale_m), np.uint16)
    depth[40:80, 60:100] = round(1.2 / scale_m)
    depth[60:80, 80:100] = 0
    return np.full((HEIGHT, WIDTH, 3), 255, np.uint8), depth


def shown(picture: np.ndarray) -> np.ndarray:
    hidden = (picture == BACKDROP).all(axis=2)
    assert (picture[~hidden] == 255).all(), "pixels that stay are unchanged"
    return ~hidden


@pytest.mark.parametrize("scale_m", [0.001, 0.00025])
def test_the_object_stays_and_the_wall_in_its_box_goes(scale_m: float) -> None:
    picture, depth = scene(scale_m)
    remove_background(picture, depth, scale_m, [Detection("dog", 12, 0.9, BOX, 1.2)])
    stays = shown(picture)
    assert stays[42:58, 62:98].all()
    assert stays[42:78, 62:78].all()
    assert not stays[62:78, 82:98].any(), "unknown depth is background"
    stays[40:80, 60:100] = False
    assert not stays.any()


def test_five_centimetres_behind_the_object_still_belong_to_it() -> None:
    for behind_m, stays in ((0.04, True), (0.06, False), (-0.5, True)):
        picture, depth = scene()
        depth[:] = round(1000 * (1.2 + behind_m))
        remove_background(picture, depth, 0.001, [Detection("dog", 12, 0.9, BOX, 1.2)])
        assert shown(picture)[60, 80] == stays


def test_each_box_is_cut_at_its_own_distance() -> None:
    picture, depth = scene()
    left = Detection("wall", 1, 0.9, (0.0, 0.0, 0.2, 1.0), 3.0)
    remove_background(picture, depth, 0.001, [left, Detection("dog", 12, 0.9, BOX, 1.2)])
    stays = shown(picture)
    assert stays[5:-5, 2:28].all()
    assert stays[50, 70]
    assert not stays[50, 50]


@pytest.mark.parametrize("found", [[], [Detection("dog", 12, 0.9, BOX)]])
def test_without_a_distance_nothing_can_be_cut_out(found: list[Detection]) -> None:
    picture, depth = scene()
    remove_background(picture, depth, 0.001, found)
    assert not shown(picture).any()


def test_a_lonely_speck_of_wrong_depth_is_not_shown() -> None:
    picture, depth = scene()
    depth[32, 45] = 900
    remove_background(picture, depth, 0.001, [Detection("dog", 12, 0.9, BOX, 1.2)])
    assert not shown(picture)[32, 45]


@given(st.tuples(*[st.floats(-0.5, 1.5)] * 4), st.floats(0.0, 200.0))
def test_any_box_and_distance_can_be_cut(box: tuple[float, float, float, float], distance_m: float) -> None:
    picture, depth = scene()
    remove_background(picture, depth, 0.001, [Detection("dog", 12, 0.9, box, distance_m)])
    shown(picture)
