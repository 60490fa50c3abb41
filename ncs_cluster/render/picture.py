"""The preview picture: boxes and labels drawn onto a frame, in place, readable from 320x240 up.

A label is text on a plate, a darkened rectangle. The plate lies above its box or, where there is no room, in or below the box;
always inside the picture and never over another plate. The colour of a box depends on the label's id alone, so it is the same in
every frame and after every restart.
"""

from __future__ import annotations

import colorsys
import itertools
import math
from functools import lru_cache
from typing import TYPE_CHECKING, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ncs_cluster.render.text import (
    GREY,
    WHITE,
    Colour,
    Style,
    darken,
    draw_footer,
    draw_text,
    drawable,
    fit_text,
    footer_height,
    style_of,
    text_width,
)
from ncs_cluster.types import Classified, Detection, Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_LUMA = 0.48
"""0..1; darker colours are mixed with white."""
MAX_PLATES = 40
"""Labels per picture; further boxes are drawn without one."""
MAX_LINES = 3
"""Classes of a classification that are shown."""
CAPTION_WIDTH = 24
"""Of a classification's caption, in heights of a capital letter: always the same, so that nothing but its words changes."""
MAX_PLACEMENTS = 16
"""Positions tried for a plate. A box for which none is free has no label."""


class Overlay(NamedTuple):
    """The text of the footer, and notes. None and "" are omitted."""

    camera: str = ""
    playback_fps: Optional[float] = None
    detection_fps: Optional[float] = None
    has_depth: bool = True
    """False: the camera has no depth, so no "-" is drawn for an unknown distance."""
    item: str = ""
    """Name of the file that the frame was read from."""
    notes: Sequence[str] = ()
    """Notes for the viewer of this picture, one line each."""


class _Rect(NamedTuple):
    x: int
    y: int
    width: int
    height: int

    def overlaps(self, other: _Rect) -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def draw(picture: NDArray[np.uint8], outcome_by_graph: Mapping[str, Outcome], overlay: Overlay) -> None:
    """Draw boxes, labels, captions and the footer onto `picture`, uint8 BGR [height, width, 3], in place."""
    style = style_of(picture.shape[0])
    name = f"{overlay.camera}: {overlay.item}" if overlay.item else overlay.camera
    rates = _rates_text(overlay)
    below = footer_height(style) if name or rates else 0
    area = _Rect(0, 0, picture.shape[1], picture.shape[0] - below)
    taken: List[_Rect] = []
    found = [detection for outcome in outcome_by_graph.values() for detection in outcome.detections]
    found = sorted((detection for detection in found if all(map(math.isfinite, detection.box))), key=lambda one: -one.score)
    for detection in reversed(found):  # the highest score on top
        _draw_box(picture, _pixels(detection, picture.shape), colour_of(detection.label_id), style.line)
    for graph, outcome in outcome_by_graph.items():
        if outcome.error is not None:
            _draw_error(picture, f"{graph}: {outcome.error}", area, taken, style)
        elif outcome.classes:
            _draw_caption(picture, outcome.classes[:MAX_LINES], area, taken, style)
    for note in overlay.notes:
        _draw_note(picture, note, area, taken, style)
    for detection in found[:MAX_PLATES]:
        text = fit_text(label_text(detection, overlay.has_depth), area.width - 3 * style.pad, style.scale)
        plate = _place_plate(_pixels(detection, picture.shape), _plate_size(text, style), area, taken, style)
        if plate is not None:
            _draw_plate(picture, plate, text, colour_of(detection.label_id), style)
            taken.append(plate)
    draw_footer(picture, name, rates, style, keep_left=bool(overlay.item))


def label_text(detection: Detection, has_depth: bool = True) -> str:
    """The text of a label: "person 87%  1.23 m (true 1.25)"; "-" for an unknown distance."""
    text = f"{detection.label or detection.label_id} {_percent(detection.score)}"
    if has_depth or detection.distance_m is not None:
        text += f"  {detection.distance_m:.2f} m" if detection.distance_m is not None else "  -"
    if detection.true_distance_m is not None:
        text += f" (true {detection.true_distance_m:.2f})"
    return text


@lru_cache(maxsize=1024)
def colour_of(label_id: int) -> Colour:
    """Blue, green, red. Hues in steps of the golden ratio and three tones keep successive ids apart."""
    hue = (0.36 + label_id * 0.61803398875) % 1.0
    saturation, value = ((0.72, 1.0), (0.42, 1.0), (0.85, 0.88))[label_id % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    white = max(0.0, (MIN_LUMA - luma) / (1.0 - luma))  # blue and violet have a low luma
    red, green, blue = (part + white * (1.0 - part) for part in (red, green, blue))
    return round(255 * blue), round(255 * green), round(255 * red)


def _percent(score: float) -> str:
    return f"{100 * min(1.0, max(0.0, score)):.0f}%"


def _pixels(detection: Detection, shape: Tuple[int, ...]) -> _Rect:
    height, width = shape[:2]
    x1, y1, x2, y2 = (min(1.0, max(0.0, value)) for value in detection.box)
    left, top = max(0, min(round(x1 * width), width - 2)), max(0, min(round(y1 * height), height - 2))
    return _Rect(left, top, max(2, round(x2 * width) - left), max(2, round(y2 * height) - top))


def _draw_box(picture: NDArray[np.uint8], box: _Rect, colour: Colour, line: int) -> None:
    """Draw a box by filling array slices: exact, and a fifth of the cost of an anti-aliased cv2.rectangle."""
    x, y, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    line = min(line, box.width, box.height)
    picture[y : y + line, x:right] = colour
    picture[bottom - line : bottom, x:right] = colour
    picture[y:bottom, x : x + line] = colour
    picture[y:bottom, right - line : right] = colour


def _plate_size(text: str, style: Style) -> Tuple[int, int]:
    return text_width(text, style.scale) + 3 * style.pad, style.text + 2 * style.pad


def _place_plate(box: _Rect, size: Tuple[int, int], area: _Rect, taken: List[_Rect], style: Style) -> Optional[_Rect]:
    """The first free position for a plate: above the box, inside it from the top down, below it, at the bottom of the area."""
    width, height = min(size[0], area.width), min(size[1], area.height)
    lowest = area.height - height
    x = max(0, min(box.x, area.width - width))
    top, bottom = box.y + style.line, box.y + box.height
    within = range(top, max(top + 1, bottom - height), height + 1)
    for y in itertools.islice(itertools.chain((box.y - height,), within, (bottom, lowest)), MAX_PLACEMENTS):
        spot = _Rect(x, y, width, height)
        if 0 <= y <= lowest and not any(map(spot.overlaps, taken)):
            return spot
    return None


def _draw_plate(picture: NDArray[np.uint8], plate: _Rect, text: str, colour: Colour, style: Style) -> None:
    darken(picture, *plate, 0.25)
    picture[plate.y : plate.y + plate.height, plate.x : plate.x + max(2, style.pad // 2)] = colour
    draw_text(picture, text, plate.x + int(1.7 * style.pad), plate.y + plate.height - style.pad, style.scale, WHITE)


def _draw_error(picture: NDArray[np.uint8], text: str, area: _Rect, taken: List[_Rect], style: Style) -> None:
    _draw_top_left(picture, text, (90, 90, 240), area, taken, _larger(style))


def _draw_caption(picture: NDArray[np.uint8], classes: Sequence[Classified], area: _Rect, taken: List[_Rect], style: Style) -> None:
    """Draw a classification's best classes, top left: one plate, a line each with its percent at the right, the best in larger
    text. A line for which there is no room is left out."""
    styles = [_larger(style)] + [style] * (len(classes) - 1)
    y = max([style.pad] + [plate.y + plate.height + style.pad for plate in taken])
    baselines = list(itertools.accumulate(each.pad + each.text for each in styles))
    baselines = [line for line in baselines if y + line + style.pad <= area.height]
    width = min(CAPTION_WIDTH * style.text, area.width - 2 * style.pad)
    if not baselines or width <= 0:
        return
    plate = _Rect(style.pad, y, width, baselines[-1] + style.pad)
    _draw_plate(picture, plate, "", colour_of(classes[0].label_id), style)
    left, right = plate.x + int(1.7 * style.pad), plate.x + plate.width - style.pad
    for one, each, line in zip(classes, styles, baselines):
        percent = _percent(one.score)
        start = right - text_width(percent, each.scale)
        label = _short(one.label or str(one.label_id), start - left - 2 * style.pad, each.scale)
        draw_text(picture, label, left, y + line, each.scale, WHITE)
        draw_text(picture, percent, start, y + line, each.scale, WHITE)
    taken.append(plate)


def _short(label: str, width: int, scale: float) -> str:
    """The label, or its first name where it is a list of synonyms that does not fit, as ImageNet's are: "tench, Tinca tinca"."""
    whole = fit_text(label, width, scale)
    return whole if whole == drawable(label) else fit_text(label.partition(",")[0], width, scale)


def _larger(style: Style) -> Style:
    return style._replace(scale=style.scale * 1.25, text=round(style.text * 1.25))


def _draw_note(picture: NDArray[np.uint8], text: str, area: _Rect, taken: List[_Rect], style: Style) -> None:
    _draw_top_left(picture, text, GREY, area, taken, style)


def _draw_top_left(picture: NDArray[np.uint8], text: str, colour: Colour, area: _Rect, taken: List[_Rect], style: Style) -> None:
    """Draw a plate below the plates already drawn."""
    text = fit_text(text, area.width - 5 * style.pad, style.scale)
    width, height = _plate_size(text, style)
    y = max([style.pad] + [plate.y + plate.height + style.pad for plate in taken])
    if y + height <= area.height:
        plate = _Rect(style.pad, y, width, height)
        _draw_plate(picture, plate, text, colour, style)
        taken.append(plate)


def _rates_text(overlay: Overlay) -> str:
    rates = [("Playback", overlay.playback_fps), ("Detection", overlay.detection_fps)]
    return " / ".join(f"({name}) {fps:.1f} fps" for name, fps in rates if fps is not None)
