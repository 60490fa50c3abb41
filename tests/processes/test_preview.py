"""Which results are drawn onto which frame: pictures compared with frames drawn here."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from ncs_cluster.ipc import pictures
from ncs_cluster.ipc import pool as pools
from ncs_cluster.ipc.pictures import PictureRing
from ncs_cluster.messages import DetectionRate, Drawn, MapPictures, Measure
from ncs_cluster.processes.preview import CAPTION_S, FRESH_S, HOLD_S, MAX_WAITED, Preview
from ncs_cluster.render.background import remove_background
from ncs_cluster.render.picture import Overlay, draw
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import CameraName, Classified, Detection, FrameRef, Outcome, PoolLayout

WIDTH, HEIGHT, FRAMES = 320, 240, 200
SCALE_M = 0.001


def found(at: float, distance_m: float | None = None) -> Outcome:
    return Outcome([Detection("cat", 1, 0.9, (at, 0.3, at + 0.2, 0.6), distance_m)])


class Desk:
    """A preview with its pool, in which every frame has a slot, and the ring it draws into."""

    def __init__(self, *, depth: bool = False, ordered: bool = False, picture: str = "live", background: str = "keep") -> None:
        self.spec = CameraSpec(
            CameraName("cam"), "any", {}, "any", ordered=ordered, picture="exact" if ordered else picture, background=background
        )
        self.sent: list[Drawn] = []
        self.preview = Preview(self.spec, self.sent.append)
        layout = PoolLayout(1, FRAMES, WIDTH, HEIGHT, SCALE_M if depth else None)
        self.pool = pools.FramePool(pools.create(layout), layout, writable=True)
        ring = pictures.create(4, WIDTH, HEIGHT)
        self.ring = PictureRing(os.dup(ring), 4, WIDTH, HEIGHT, writable=False)
        self.preview.map_ring(ring, MapPictures(self.spec.name, 4, WIDTH, HEIGHT))
        self.preview.set_detection_rate(DetectionRate(5.0, watched=True))

    def ref(self, frame: int) -> FrameRef:
        return FrameRef(self.spec.name, 1, frame, frame, WIDTH, HEIGHT)

    def capture(self, frame: int, captured_s: float = 100.0, item: str | None = None) -> None:
        self.pool.image(self.ref(frame))[:] = (40 + frame, 90, 120)
        depth = self.pool.depth(frame, WIDTH, HEIGHT)
        if depth is not None:
            depth[:] = 2000
        self.preview.record_capture(frame, captured_s, item)
        self.preview.draw_live(self.ref(frame), self.pool, 10.0)

    def result(self, frame: int, outcome: Outcome, graph: str = "pets", *, last: bool = True) -> None:
        self.preview.add_result(Measure(1, self.ref(frame), graph, outcome, last), outcome.detections, self.pool, 10.0)

    @property
    def frames(self) -> list[int]:
        """Frames that were drawn, in order."""
        return [drawn.frame for drawn in self.sent]

    def shows(self, frame: int, outcomes: dict[str, Outcome], notes: tuple[str, ...] = (), item: str = "") -> bool:
        """Whether the newest picture is this frame with these results."""
        expected = np.array(self.pool.image(self.ref(frame)))
        depth = self.pool.depth(frame, WIDTH, HEIGHT)
        if self.spec.background == "remove" and depth is not None:
            remove_background(expected, depth, SCALE_M, [each for outcome in outcomes.values() for each in outcome.detections])
        draw(expected, outcomes, Overlay("cam", 10.0, 5.0, depth is not None, item, notes))
        picture = self.ring.newest()
        return picture is not None and picture.frame == frame and bool((picture.pixels == expected).all())


@pytest.fixture
def live() -> Desk:
    return Desk()


@pytest.fixture
def ordered() -> Desk:
    return Desk(ordered=True)


def test_a_live_frame_has_the_newest_boxes_of_each_graph(live: Desk) -> None:
    live.capture(0, 100.0)
    assert live.shows(0, {})
    live.result(0, found(0.1))
    live.result(0, found(0.5), "birds")
    live.capture(1, 100.2)
    assert live.shows(1, {"pets": found(0.1), "birds": found(0.5)})
    live.result(1, found(0.2))
    live.capture(2, 100.4)
    assert live.shows(2, {"pets": found(0.2), "birds": found(0.5)})


def test_boxes_older_than_the_bound_go_and_the_picture_says_so(live: Desk) -> None:
    """By the time between the two captures: what matters is how far the thing may have moved."""
    live.capture(0, 100.0)
    live.capture(1, 100.0 + FRESH_S)
    live.result(0, found(0.1))
    live.capture(2, 100.0 + FRESH_S)
    assert live.shows(2, {"pets": found(0.1)})
    live.capture(3, 100.5 + FRESH_S)
    assert live.shows(3, {}, ("newest result 1.5 s old, not drawn",))
    live.capture(4, 100.0 + 600)
    assert live.shows(4, {}, ("newest result 10 min old, not drawn",))


def seen(*classes: tuple[str, float]) -> Outcome:
    return Outcome(classes=[Classified(label, number, score) for number, (label, score) in enumerate(classes)])


def test_a_caption_is_on_every_frame_between_two_results_of_a_slow_classifier(live: Desk) -> None:
    """One result in 1.5 s: boxes of that age would be gone."""
    first, second = seen(("burger", 0.9), ("bagel", 0.1)), seen(("pizza", 0.8))
    live.capture(0, 100.0)
    live.result(0, first)
    for frame in range(1, 46):
        live.capture(frame, 100.0 + frame / 30)
        assert live.shows(frame, {"pets": first})
    live.result(45, second)
    live.capture(46, 101.6)
    assert live.shows(46, {"pets": second})
    live.capture(47, 101.5 + CAPTION_S)
    assert live.shows(47, {"pets": second})
    live.capture(48, 102.5 + CAPTION_S)
    assert live.shows(48, {}, ("newest result 6.0 s old, not drawn",))


def test_a_caption_does_not_flicker_where_a_score_comes_and_goes_at_the_threshold(live: Desk) -> None:
    burger = seen(("burger", 0.5))
    live.capture(0, 100.0)
    live.result(0, burger)
    for frame in range(1, 20):
        live.capture(frame, 100.0 + frame / 10)
        assert live.shows(frame, {"pets": burger})
        live.result(frame, burger if frame % 2 == 0 else Outcome())


def test_a_caption_goes_when_nothing_is_over_the_threshold_any_more(live: Desk) -> None:
    for frame in range(3):
        live.capture(frame, 100.0 + frame * HOLD_S)
        live.result(frame, seen(("burger", 0.5)) if frame == 0 else Outcome())
    assert live.shows(2, {})
    live.capture(3, 100.0 + 3 * HOLD_S)
    assert live.shows(3, {})


def test_an_error_replaces_a_caption_at_once(live: Desk) -> None:
    live.capture(0, 100.0)
    live.result(0, seen(("burger", 0.5)))
    live.capture(1, 100.1)
    live.result(1, Outcome(error="given up"))
    live.capture(2, 100.2)
    assert live.shows(2, {"pets": Outcome(error="given up")})


def test_in_exact_mode_a_frame_has_its_own_classes_and_no_others(ordered: Desk) -> None:
    for frame in range(4):
        outcome = seen((f"class {frame}", 0.9)) if frame % 2 == 0 else Outcome()
        ordered.capture(frame)
        ordered.result(frame, outcome)
        assert ordered.shows(frame, {"pets": outcome})


def test_a_viewer_who_comes_later_is_not_told_of_results_that_nobody_waited_for(live: Desk) -> None:
    live.capture(0, 100.0)
    live.result(0, found(0.1))
    live.preview.set_detection_rate(DetectionRate(5.0, watched=False))
    live.preview.set_detection_rate(DetectionRate(5.0, watched=True))
    live.capture(1, 700.0)
    assert live.shows(1, {})


def test_boxes_of_a_graph_that_has_fallen_silent_go_though_another_goes_on(live: Desk) -> None:
    live.capture(0, 100.0)
    live.result(0, found(0.1), "faces")
    live.capture(1, 102.0)
    live.result(1, found(0.2), "people")
    live.capture(2, 102.5)
    assert live.shows(2, {"people": found(0.2)}, ("faces: newest result 2.5 s old, not drawn",))


def test_a_result_that_comes_after_a_newer_one_replaces_nothing(live: Desk) -> None:
    for frame in range(3):
        live.capture(frame, 100.0 + frame / 10)
    live.result(2, found(0.2))
    live.result(1, found(0.1))
    live.capture(3, 100.3)
    assert live.shows(3, {"pets": found(0.2)})


def test_for_single_pictures_few_are_drawn_and_for_a_stream_all(live: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 50.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    live.preview.set_detection_rate(DetectionRate(5.0, watched=True, streamed=False))
    for frame in range(30):
        live.capture(frame, 100.0 + frame / 10)
        now_s += 0.1
    # every 0.4 s, as exactly as these sums are
    assert len(live.frames) in (6, 7, 8)
    assert live.frames[0] == 0
    live.preview.set_detection_rate(DetectionRate(5.0, watched=True))
    for frame in range(30, 40):
        live.capture(frame, 103.0 + frame / 10)
    assert live.frames[-10:] == list(range(30, 40))


def test_an_ordered_source_is_drawn_with_each_frames_own_boxes_however_late_they_come(ordered: Desk) -> None:
    for frame in range(5):
        ordered.capture(frame, 100.0 + frame, f"{frame}.jpg")
    assert ordered.frames == []
    for frame in range(5):
        ordered.result(frame, found(frame / 10))
        assert ordered.shows(frame, {"pets": found(frame / 10)}, item=f"{frame}.jpg")
    assert ordered.frames == [0, 1, 2, 3, 4]


def test_a_source_that_turns_out_to_be_ordered_is_drawn_so() -> None:
    desk = Desk(picture="live")
    desk.preview.source_opened(ordered=True)
    desk.capture(0)
    desk.capture(1)
    desk.result(0, found(0.1))
    assert desk.frames == [0]
    assert desk.shows(0, {"pets": found(0.1)})


def test_with_two_graphs_a_frame_is_drawn_once_when_both_are_there(ordered: Desk) -> None:
    for frame in range(3):
        ordered.capture(frame)
    # several sticks: results of several frames come mixed
    ordered.result(0, found(0.1), "pets", last=False)
    ordered.result(1, found(0.2), "birds", last=False)
    assert ordered.frames == []
    ordered.result(0, found(0.5), "birds")
    assert ordered.shows(0, {"pets": found(0.1), "birds": found(0.5)})
    ordered.result(2, found(0.3), "pets", last=False)
    ordered.result(1, found(0.6), "pets")
    assert ordered.shows(1, {"birds": found(0.2), "pets": found(0.6)})
    assert ordered.frames == [0, 1]


def test_a_picture_never_goes_back(ordered: Desk) -> None:
    for frame in range(2):
        ordered.capture(frame)
    ordered.result(1, found(0.2))
    ordered.result(0, found(0.1))
    assert ordered.frames == [1]


def test_a_graph_that_never_answers_does_not_end_the_pictures(ordered: Desk) -> None:
    for frame in range(2 * MAX_WAITED + 10):
        ordered.capture(frame)
        ordered.result(frame, found(0.1), last=False)
    assert ordered.frames == [MAX_WAITED, 2 * MAX_WAITED + 1]


@pytest.mark.parametrize(
    ("outcomes", "note"),
    [
        ({}, "no result yet, all is background"),
        ({"pets": Outcome()}, "nothing found, all is background"),
        ({"pets": found(0.1)}, "found objects have no distance, all is background"),
    ],
)
def test_a_removed_background_with_nothing_before_it_says_why(outcomes: dict[str, Outcome], note: str) -> None:
    desk = Desk(depth=True, background="remove")
    desk.capture(0, 100.0)
    for graph, outcome in outcomes.items():
        desk.result(0, outcome, graph)
    desk.capture(1, 100.1)
    assert desk.shows(1, outcomes, (note,))


def test_a_removed_background_with_a_found_object_needs_no_words() -> None:
    desk = Desk(depth=True, background="remove")
    desk.capture(0, 100.0)
    desk.result(0, found(0.1, 2.0))
    desk.capture(1, 100.1)
    assert desk.shows(1, {"pets": found(0.1, 2.0)})
