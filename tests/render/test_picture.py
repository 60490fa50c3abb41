"""The drawn picture: what it says, that it stays inside, and that it can be read."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.render import picture as drawn
from ncs_cluster.render.no_signal import no_signal
from ncs_cluster.render.picture import Overlay, colour_of, draw, label_text
from ncs_cluster.render.text import FONT, drawable, fit_text, style_of
from ncs_cluster.types import Classified, Detection, Outcome
from tests.hypothesis_profiles import examples

SIZES = [(320, 240), (640, 480), (1280, 720)]
DOG = Detection("dog", 12, 0.923, (0.25, 0.4, 0.5, 0.9), 1.234)


def blank(width: int = 640, height: int = 480, brightness: int = 120) -> np.ndarray:
    return np.full((height, width, 3), brightness, np.uint8)


def changed(pixels: np.ndarray, brightness: int = 120) -> np.ndarray:
    return (pixels != brightness).any(axis=2)


@pytest.mark.parametrize(
    ("detection", "said"),
    [
        (DOG, "dog 92%  1.23 m"),
        (Detection("dog", 12, 0.923, (0, 0, 1, 1)), "dog 92%  -"),
        (Detection("dog", 12, 0.923, (0, 0, 1, 1), 1.234, 1.25), "dog 92%  1.23 m (true 1.25)"),
        (Detection("dog", 12, 1.2, (0, 0, 1, 1), None, 1.25), "dog 100%  - (true 1.25)"),
        (Detection("", 12, 0.5, (0, 0, 1, 1), 10.0), "12 50%  10.00 m"),
    ],
)
def test_a_box_says_label_percent_and_distance(detection: Detection, said: str) -> None:
    assert label_text(detection) == said


def test_a_camera_that_cannot_measure_shows_no_distance() -> None:
    assert label_text(Detection("dog", 12, 0.923, (0, 0, 1, 1)), has_depth=False) == "dog 92%"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_box_is_drawn_in_its_colour_exactly_where_it_is(width: int, height: int) -> None:
    pixels = blank(width, height)
    draw(pixels, {"ssd": Outcome([DOG])}, Overlay())
    colour = (pixels == colour_of(12)).all(axis=2)
    left, top, right, bottom = width // 4, round(0.4 * height), width // 2, round(0.9 * height)
    for row, column in ((top, right - 1), (bottom - 1, left), (bottom - 1, right - 1), (height // 2, left)):
        assert colour[row, column]
    assert not changed(pixels)[height // 2 : bottom - 8, left + 8 : right - 8].any()
    assert not changed(pixels)[bottom:].any()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_words_are_white_on_a_dark_plate_even_over_a_white_picture(width: int, height: int) -> None:
    pixels = blank(width, height, 255)
    draw(pixels, {"ssd": Outcome([DOG])}, Overlay())
    above = pixels[: round(0.4 * height), width // 4 :]
    plate = above[(above < 90).all(axis=2)]
    assert len(plate) > 4 * len(label_text(DOG)) * (height / 100)
    assert (above.reshape(-1, 3).max(axis=1) > 200).any()


def test_nothing_to_say_leaves_the_picture_alone() -> None:
    pixels = blank()
    draw(pixels, {}, Overlay())
    draw(pixels, {"ssd": Outcome()}, Overlay())
    assert not changed(pixels).any()


def test_the_line_at_the_bottom_holds_camera_and_rates() -> None:
    one, other, none = blank(), blank(), blank()
    draw(one, {}, Overlay("front door", 30.0, 20.0))
    draw(other, {}, Overlay("front door", 30.0, 21.0))
    draw(none, {}, Overlay("front door"))
    assert changed(one)[-10:].mean() > 0.98
    assert not changed(one)[:-40].any()
    assert (one != other).any()
    assert (one[:, :100] == none[:, :100]).all()
    assert (one[:, 320:] != none[:, 320:]).any()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", ["cat-000{}.jpg", "a-long-name-of-a-picture-of-a-cat-000{}.jpg"])
def test_a_files_name_is_on_its_picture_before_the_rates_are(width: int, height: int, name: str) -> None:
    """OpenCV 4 and 5 have fonts of different width: the rates stay where they fit beside the name with both."""
    named, other, nameless = blank(width, height), blank(width, height), blank(width, height)
    draw(named, {}, Overlay("pets", 30.0, 20.0, item=name.format(1)))
    draw(other, {}, Overlay("pets", 30.0, 20.0, item=name.format(2)))
    draw(nameless, {}, Overlay("pets", 30.0, 20.0))
    assert (named != other).any()
    if width >= 640 and name.startswith("cat"):
        rates = changed(nameless)[:, -40:]
        assert (named[:, -40:] == nameless[:, -40:])[rates].all()


def test_a_note_is_on_a_plate_top_left_and_labels_leave_it_free() -> None:
    noted = blank()
    draw(noted, {"ssd": Outcome([DOG])}, Overlay(notes=["nothing found, all is background"]))
    rows = np.flatnonzero(changed(noted)[:, :240].any(axis=1))
    assert rows.min() < 12
    assert (noted[:30, :240].max(axis=2) > 150).sum() > 100
    covered = blank()
    draw(covered, {"ssd": Outcome([Detection("dog", 12, 0.9, (0.0, 0.0, 0.5, 0.5))])}, Overlay(notes=["nothing found"]))
    plain = blank()
    draw(plain, {"ssd": Outcome([Detection("dog", 12, 0.9, (0.0, 0.0, 0.5, 0.5))])}, Overlay())
    assert (covered[8:20, 8:60] != plain[8:20, 8:60]).any()


def test_a_camera_with_a_short_name_is_named() -> None:
    named, nameless = blank(), blank()
    draw(named, {}, Overlay("c", 30.0))
    draw(nameless, {}, Overlay("", 30.0))
    assert (named[:, :100] != nameless[:, :100]).any()


def test_the_best_class_is_told_top_left_and_a_second_graph_below_it() -> None:
    pixels = blank()
    classes = [Classified("burger", 3, 0.93), Classified("pizza", 4, 0.05)]
    draw(pixels, {"a": Outcome(classes=classes)}, Overlay())
    first = np.flatnonzero(changed(pixels).any(axis=1))
    assert first.max() < 48
    draw(pixels, {"a": Outcome(classes=classes), "b": Outcome(error="given up")}, Overlay())
    assert first.max() < np.flatnonzero(changed(pixels).any(axis=1)).max() < 96


BURGER = [Classified("cheeseburger", 934, 0.87), Classified("bagel", 932, 0.06), Classified("hotdog", 935, 0.01)]
LONG = "great white shark, white shark, man-eater, man-eating shark, Carcharodon carcharias"


def plate_of(pixels: np.ndarray, brightness: int = 120) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what was drawn above the footer."""
    rows, columns = (np.flatnonzero(changed(pixels, brightness).any(axis=axis)) for axis in (1, 0))
    return columns.min(), rows.min(), columns.max(), rows.max()


def captioned(classes: list[Classified], width: int = 640, height: int = 480, brightness: int = 120) -> np.ndarray:
    pixels = blank(width, height, brightness)
    draw(pixels, {"mobilenet": Outcome(classes=classes)}, Overlay())
    return pixels


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_classification_has_a_line_for_each_of_its_three_best_classes(width: int, height: int) -> None:
    bottoms = [plate_of(captioned(BURGER[:count], width, height))[3] for count in (1, 2, 3)]
    text = style_of(height).text
    assert bottoms[1] - bottoms[0] >= text
    assert bottoms[2] - bottoms[1] >= text
    assert (captioned(BURGER, width, height) == captioned([*BURGER, Classified("cup", 968, 0.005)], width, height)).all()
    assert bottoms[2] < height / 4


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_caption_keeps_its_place_and_size_whatever_it_says(width: int, height: int) -> None:
    """Between two results nothing changes, and from one to the next only the words do."""
    others = [
        [Classified("ox", 345, 1.0), Classified("", 9, 0.0), Classified("cup", 968, 0.0)],
        [Classified(LONG, number, 0.333) for number in range(3)],
    ]
    plate = plate_of(captioned(BURGER, width, height))
    for classes in others:
        seen = plate_of(captioned(classes, width, height))
        assert seen[:3] == plate[:3]
        # the tail of a letter may end below its plate, in small fonts by a row
        assert abs(seen[3] - plate[3]) <= 1
    assert plate[2] < 0.8 * width


def test_a_long_list_of_names_is_cut_to_the_first_one_and_keeps_its_percent() -> None:
    long = captioned([Classified(LONG, 3, 0.87)])
    assert (long == captioned([Classified("great white shark", 3, 0.87)])).all()
    other = captioned([Classified(LONG, 3, 0.88)])
    differing = np.flatnonzero((long != other).any(axis=(0, 2)))
    left, _, right, _ = plate_of(long)
    assert len(differing) > 0
    assert differing.min() > left + (right - left) / 2


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("brightness", [0, 255])
def test_a_caption_can_be_read_on_dark_and_on_bright(width: int, height: int, brightness: int) -> None:
    pixels = captioned(BURGER, width, height, brightness)
    right, bottom = plate_of(captioned(BURGER, width, height))[2:]
    plate = pixels[style_of(height).pad : bottom, style_of(height).pad * 2 : right].max(axis=2)
    assert (plate > 200).mean() > 0.03
    assert (plate < 90).mean() > 0.6


def test_a_box_does_not_cross_the_words_of_a_caption() -> None:
    pixels = blank()
    crossing = [Detection("dog", 12, 0.9, (0.0, 0.0, x, 0.5)) for x in (0.02, 0.05, 0.1, 0.2)]
    draw(pixels, {"mobilenet": Outcome(classes=BURGER), "ssd": Outcome(crossing)}, Overlay())
    letters = captioned(BURGER).min(axis=2) > 200
    assert letters.sum() > 200
    assert pixels.min(axis=2)[letters].min() > 180


@pytest.mark.parametrize(("width", "height"), [(32, 24), (64, 48), (160, 120)])
def test_a_caption_stays_inside_a_small_picture(width: int, height: int) -> None:
    pixels = captioned(BURGER, width, height)
    if changed(pixels).any():
        letters = pixels.min(axis=2) > 200
        assert plate_of(pixels)[2] < width - 1
        assert not letters[-1].any()


def test_two_boxes_in_one_place_have_words_in_two_places() -> None:
    style, area = style_of(480), drawn._Rect(0, 0, 640, 480)
    taken: list[drawn._Rect] = []
    box = drawn._Rect(100, 100, 200, 200)
    for _ in range(8):
        plate = drawn._place_plate(box, (120, 20), area, taken, style)
        assert plate is not None
        assert not any(plate.overlaps(other) for other in taken)
        taken.append(plate)


@pytest.mark.parametrize("box", [(0, 0, 640, 460), (0, 0, 2, 2), (638, 458, 2, 2), (0, 455, 640, 5), (600, 0, 40, 460)])
def test_a_box_alone_always_has_words(box: tuple[int, int, int, int]) -> None:
    area = drawn._Rect(0, 0, 640, 460)
    assert drawn._place_plate(drawn._Rect(*box), (120, 20), area, [], style_of(480)) is not None


def test_the_line_at_the_bottom_is_never_drawn_over() -> None:
    alone, crossed = blank(), blank()
    draw(alone, {}, Overlay("front door", 30.0, 20.0))
    draw(crossed, {"ssd": Outcome([Detection("dog", 12, 0.9, (0.5, 0.5, 0.9, 0.99), 1.0)])}, Overlay("front door", 30.0, 20.0))
    letters = alone.max(axis=2) > 200
    assert letters.sum() > 100
    assert crossed[letters].max(axis=1).min() > 180


@given(
    st.tuples(*[st.integers(-50, 700)] * 2, *[st.integers(1, 700)] * 2),
    st.tuples(st.integers(1, 900), st.integers(1, 40)),
    st.lists(st.tuples(*[st.integers(0, 600)] * 2, st.integers(1, 200), st.integers(1, 30)), max_size=5),
)
def test_words_stay_inside_the_picture_wherever_the_box_is(
    box: tuple[int, int, int, int], size: tuple[int, int], taken: list[tuple[int, int, int, int]]
) -> None:
    area = drawn._Rect(0, 0, 640, 460)
    others = [drawn._Rect(*other) for other in taken]
    plate = drawn._place_plate(drawn._Rect(*box), size, area, others, style_of(480))
    if plate is None:
        return
    assert not any(plate.overlaps(other) for other in others)
    assert plate.x >= 0
    assert plate.y >= 0
    assert plate.x + plate.width <= area.width
    assert plate.y + plate.height <= area.height


@settings(deadline=None, max_examples=examples(60))
@given(
    st.sampled_from([(32, 24), (64, 200), (320, 240)]),
    st.lists(
        st.builds(
            Detection,
            st.text(max_size=30),
            st.integers(-5, 2000),
            st.floats(0, 1),
            st.tuples(*[st.floats(-2, 2) | st.just(math.nan) | st.just(math.inf)] * 4),
            st.none() | st.floats(0.01, 100),
        ),
        max_size=6,
    ),
    st.text(max_size=40),
)
def test_whatever_is_found_can_be_drawn(size: tuple[int, int], found: list[Detection], camera: str) -> None:
    pixels = blank(*size)
    draw(
        pixels, {"ssd": Outcome(found, [Classified("x" * 50, 1, 0.5)]), camera: Outcome(error="e" * 80)}, Overlay(camera, 1e6, 0.0)
    )
    assert changed(pixels).any()


def test_colours_are_stable_bright_and_apart() -> None:
    colours = [colour_of(label_id) for label_id in range(1, 22)]
    assert colours == [colour_of(label_id) for label_id in range(1, 22)]
    assert min(max(colour) for colour in colours) > 200
    apart = [math.dist(one, other) for n, one in enumerate(colours) for other in colours[:n]]
    assert min(apart) > 25


def test_what_the_font_cannot_draw_is_transliterated_or_replaced() -> None:
    assert drawable("naïve Éléphant 猫\n", unicode=False) == "naive Elephant ??"
    assert drawable("naïve 猫\n\u202e", unicode=True) == "naïve 猫??"


@given(st.text(max_size=80), st.integers(0, 400))
def test_words_that_are_too_long_are_cut_to_fit(text: str, width: int) -> None:
    shown = fit_text(text, width, 0.4)
    assert cv2.getTextSize(shown, FONT, 0.4, 1)[0][0] <= width or shown == ""
    assert len(shown) <= 200


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_signal_is_a_dark_card_that_says_why_and_hides_the_last_picture(width: int, height: int) -> None:
    pixels = blank(width, height, 255)
    reason = "camera /dev/video0: not there; plug it in (cameras found: none) " + "x" * 300
    no_signal(pixels, reason, since="since 14:03:22", camera="front door")
    assert pixels.mean() < 60
    assert (pixels.max(axis=2) > 200).any()
    plain = blank(width, height)
    no_signal(plain, "")
    assert (plain != pixels).any()
    assert (plain[:2] == pixels[:2]).all()
