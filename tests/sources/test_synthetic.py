"""The synthetic scene: the same seed gives the same frames, and its truth is what its own pixels say."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.errors import SourceError
from ncs_cluster.render.distance import iou
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.synthetic import Options, Synthetic, due


def planes(width: int = 640, height: int = 480) -> Planes:
    return Planes(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint16))


def opened(**options: object) -> Synthetic:
    source = Synthetic(Options(**{"paced": False, **options}))  # type: ignore[arg-type]
    source.open()
    return source


def test_it_says_what_it_gives() -> None:
    info = Synthetic(Options(frames=3)).open()
    assert (info.width, info.height, info.fps, info.depth_scale_m, info.finite) == (640, 480, 30.0, 0.001, True)
    assert not info.ordered


def test_the_same_seed_gives_the_same_frames_and_another_seed_gives_others() -> None:
    def run(seed: int) -> list:
        source, into, seen = opened(seed=seed), planes(), []
        for _ in range(3):
            captured = source.read(into)
            assert captured is not None
            seen.append((into.colour.copy(), into.depth.copy(), captured.truth))  # type: ignore[union-attr]
        return seen

    first, again, other = run(3), run(3), run(4)
    for (colour, depth, truth), (colour2, depth2, truth2) in zip(first, again, strict=True):
        assert np.array_equal(colour, colour2)
        assert np.array_equal(depth, depth2)
        assert truth == truth2
    assert not np.array_equal(first[0][0], other[0][0])
    assert not np.array_equal(first[0][0], first[1][0]), "the picture moves"


def test_the_depth_plane_shows_the_true_distance_at_the_true_box() -> None:
    """Some pixels inside a box must be at the object's distance (noise is 0.65 %, the object has a thickness)."""
    source, into = opened(seed=2, fps=0.5), planes()
    boxes = 0
    for _ in range(20):
        captured = source.read(into)
        assert captured is not None
        assert captured.truth
        for one in captured.truth:
            x1, y1, x2, y2 = (round(v * n) for v, n in zip(one.box, (640, 480, 640, 480), strict=True))
            inside = into.depth[y1:y2, x1:x2]  # type: ignore[index]
            near = np.abs(inside[inside > 0] * 0.001 / one.distance_m - 1) < 0.03
            assert near.sum() >= 20, one
            assert 0.6 <= one.distance_m <= 6.1
            assert 0.25 <= one.visible <= 1
            assert 0 <= one.box[0] < one.box[2] <= 1
            assert 0 <= one.box[1] < one.box[3] <= 1
            boxes += 1
    assert boxes > 60


def test_a_nearer_object_hides_a_farther_one() -> None:
    """Where two boxes cover one another, the farther object is the one that says it is partly hidden."""
    source, into, hidden = opened(seed=6, fps=1.0), planes(), 0
    for _ in range(120):
        captured = source.read(into)
        assert captured is not None
        assert captured.truth is not None
        far_to_near = captured.truth
        nearest = far_to_near[-1] if far_to_near else None
        whole_in_frame = nearest is not None and min(nearest.box[:2]) > 0.01 and max(nearest.box[2:]) < 0.99
        if nearest is not None and whole_in_frame:
            assert nearest.visible > 0.9, "nothing stands before the nearest"
        hidden += any(
            far.visible < 0.8 and any(iou(far.box, near.box) > 0.1 for near in far_to_near[i + 1 :])
            for i, far in enumerate(far_to_near)
        )
    assert hidden >= 5


def test_depth_has_noise_and_holes_as_a_camera_has_them() -> None:
    source, into, stack = opened(seed=1, fps=1000.0), planes(), []
    for _ in range(30):
        source.read(into)
        stack.append(into.depth.copy())  # type: ignore[union-attr]
    depth = np.stack(stack).astype(float)
    holes = (depth == 0).mean()
    assert 0.01 < holes < 0.15
    wall = depth[:, 150:300, 20:60]  # a side wall, left of everything in these thirty milliseconds
    measured = np.where(wall > 0, wall, np.nan)
    noise = np.nanstd(measured, axis=0) / np.nanmean(measured, axis=0)
    assert 0.004 < np.median(noise) < 0.01


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (1280, 720)])
def test_every_size_is_drawn_at_the_start_of_a_larger_slot(size: tuple) -> None:
    width, height = size
    source, into = opened(width=width, height=height), planes(1280, 720)
    captured = source.read(into)
    assert captured is not None
    assert (captured.width, captured.height) == size
    assert into.colour.reshape(-1)[: width * height * 3].min() > 0, "every pixel of the frame is painted"
    assert not into.colour.reshape(-1)[width * height * 3 :].any(), "nothing beyond it is touched"


def test_it_can_do_without_a_depth_plane_and_refuses_a_slot_that_is_too_small() -> None:
    source = opened()
    assert source.read(Planes(np.zeros((480, 640, 3), np.uint8))) is not None
    with pytest.raises(SourceError, match="larger than its slot"):
        source.read(planes(320, 240))


def test_a_finite_one_ends() -> None:
    source, into = opened(frames=2), planes()
    assert [source.read(into) is None for _ in range(4)] == [False, False, True, True]


@pytest.mark.parametrize("paced", [True, False])
def test_frames_that_are_passed_over_are_those_another_reader_has_had(paced: bool) -> None:
    """Nobody waits for their time: at this rate that would take a minute."""
    whole, rest = opened(frames=5, fps=0.05), Synthetic(Options(frames=5, fps=0.05, paced=paced))
    rest.open()
    rest.skip(3)
    expected, into = planes(), planes()
    for _ in range(4):
        whole.read(expected)
    assert rest.read(into) is not None
    assert np.array_equal(into.colour, expected.colour)


@pytest.mark.parametrize("options", [{"width": 1}, {"height": 9999}, {"fps": 0}, {"seed": -1}])
def test_a_setting_that_makes_no_picture_is_refused_before_anything_is_started(options: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}.* must be"):
        Options(**options)


def test_close_from_another_thread_ends_a_read_that_waits() -> None:
    source, into = Synthetic(Options(fps=0.01)), planes()
    source.open()
    assert source.read(into) is not None
    answers: list = []
    reader = threading.Thread(target=lambda: answers.append(source.read(into)))
    reader.start()
    source.close()
    source.close()
    reader.join(60)
    assert answers == [None]


@given(fps=st.floats(0.5, 240), gaps=st.lists(st.floats(0, 0.2), min_size=1, max_size=60))
def test_frames_are_due_on_one_raster_and_who_is_late_skips(fps: float, gaps: list) -> None:
    """Whatever the reader's delays: frame numbers rise, none is given before its time, and none is two periods old."""
    elapsed_s, following = 0.0, 0
    for gap_s in gaps:
        elapsed_s += gap_s
        frame, wait_s = due(following, elapsed_s, fps)
        assert frame >= following
        elapsed_s += wait_s
        assert frame / fps <= elapsed_s + 1e-9
        assert elapsed_s - frame / fps < 2 / fps + 1e-9
        following = frame + 1
