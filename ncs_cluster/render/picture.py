"""The drawn picture: boxes and words over the colours, in place, readable from 320x240 up.

Words lie on darkened plates, never on bare pixels. A plate goes above its box, or where there is room: within the picture and
never over another plate. A colour belongs to a label's id, so it is the same in every frame and after every restart.
"""

from __future__ import annotations

import colorsys
import itertools
import math
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import cv2

from ncs_cluster.types import Classified, Detection, Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colour = Tuple[int, int, int]
"""Blue, green, red, 0..255."""

WHITE: Colour = (245, 245, 245)
GREY: Colour = (170, 165, 160)
CARD: Colour = (34, 30, 27)
LEAST_LUMA = 0.48
FONT = cv2.FONT_HERSHEY_DUPLEX
UNICODE = int(cv2.__version__.split(".", 1)[0]) >= 5
"""OpenCV 5 brings a Unicode font; OpenCV 4 draws ASCII only."""
MOST_PLATES = 40
"""More words than these help nobody; boxes are drawn all the same."""
MOST_SPOTS = 16
"""Places that are tried for a plate. A box in a crowd goes without words rather than over another's."""
CUT = ".."


class Overlay(NamedTuple):
    """What stands on every picture. None and "" are left out."""

    camera: str = ""
    playback_fps: Optional[float] = None
    detection_fps: Optional[float] = None
    has_depth: bool = True
    """False: the camera cannot measure, so no "-" is shown where a distance would be."""


class _Rect(NamedTuple):
    x: int
    y: int
    width: int
    height: int

    def meets(self, other: _Rect) -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def draw(picture: NDArray[np.uint8], outcome_by_graph: Mapping[str, Outcome], overlay: Overlay) -> None:
    """Draw on `picture`, uint8 BGR [height, width, 3], in place."""
    style = _style(picture.shape[0])
    strip = style.text + 2 * style.pad if overlay.camera or _rates(overlay) else 0
    area = _Rect(0, 0, picture.shape[1], picture.shape[0] - strip)
    taken: List[_Rect] = []
    for graph, outcome in outcome_by_graph.items():
        if outcome.error is not None or outcome.classes:
            _caption(picture, graph, outcome, area, taken, style)
    found = [detection for outcome in outcome_by_graph.values() for detection in outcome.detections]
    found = sorted((detection for detection in found if all(map(math.isfinite, detection.box))), key=lambda one: -one.score)
    for detection in reversed(found):  # the surest on top
        _frame(picture, _pixels(detection, picture.shape), colour_of(detection.label_id), style.line)
    for detection in found[:MOST_PLATES]:
        text = fit(words(detection, overlay.has_depth), area.width - 3 * style.pad, style.scale)
        plate = _place(_pixels(detection, picture.shape), _plate_size(text, style), area, taken, style)
        if plate is not None:
            _plate(picture, plate, text, colour_of(detection.label_id), style)
            taken.append(plate)
    _strip(picture, overlay, style)


def no_signal(picture: NDArray[np.uint8], reason: str, *, since: str = "", camera: str = "", title: str = "No signal") -> None:
    """Fill `picture` with a calm dark card: what is wrong, why, and since when ("since 14:03:22")."""
    height, width = picture.shape[:2]
    style = _style(height)
    picture[:] = CARD
    size = max(8, height // 14)
    middle = width // 2
    _camera_sign(picture, middle, int(height * 0.3), size)
    y = int(height * 0.3) + 2 * size + style.text
    _centred(picture, title, middle, y, style.scale * 1.5, WHITE)
    y += int(1.6 * style.text)
    for line in _wrap(reason, int(width * 0.86), style.scale)[:3]:
        y += int(1.7 * style.text)
        _centred(picture, line, middle, y, style.scale, GREY)
    if since:
        _centred(picture, since, middle, y + int(2.4 * style.text), style.scale * 0.9, GREY)
    _strip(picture, Overlay(camera), style)


def words(detection: Detection, has_depth: bool = True) -> str:
    """ "person 87%  1.23 m (true 1.25)"; "-" stands for an unknown distance."""
    said = f"{detection.label or detection.label_id} {_percent(detection.score)}"
    if has_depth or detection.distance_m is not None:
        said += f"  {detection.distance_m:.2f} m" if detection.distance_m is not None else "  -"
    if detection.true_distance_m is not None:
        said += f" (true {detection.true_distance_m:.2f})"
    return said


@lru_cache(maxsize=1024)
def colour_of(label_id: int) -> Colour:
    """Bright, and well apart from its neighbours': hues in steps of the golden ratio, in three tones."""
    hue = (0.36 + label_id * 0.61803398875) % 1.0
    saturation, value = ((0.72, 1.0), (0.42, 1.0), (0.85, 0.88))[label_id % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    white = max(0.0, (LEAST_LUMA - luma) / (1.0 - luma))  # blue and violet are dark to the eye
    red, green, blue = (part + white * (1.0 - part) for part in (red, green, blue))
    return round(255 * blue), round(255 * green), round(255 * red)


def drawable(text: str, unicode: bool = UNICODE) -> str:
    """The text as the font can draw it: accents are dropped where need be, and what remains unknown is a "?"."""
    if not unicode:
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return "".join(char if char.isprintable() and (unicode or char.isascii()) else "?" for char in text)


@lru_cache(maxsize=4096)
def fit(text: str, width: int, scale: float) -> str:
    """The drawable text, cut at its end until it is at most `width` pixels wide."""
    text = drawable(text[:200])
    if _text_width(text, scale) <= width:
        return text
    while text and _text_width(text + CUT, scale) > width:
        text = text[:-1]
    return text.rstrip() + CUT if text else ""


class _Style(NamedTuple):
    """Measures for one picture height, pixels but for the font's scale."""

    scale: float
    text: int
    """Height of a capital letter."""
    pad: int
    line: int


@lru_cache(maxsize=16)
def _style(height: int) -> _Style:
    scale = min(1.6, max(0.36, 0.44 * (height / 480) ** 0.65))
    text = cv2.getTextSize("H", FONT, scale, 1)[0][1]
    return _Style(scale, text, max(3, round(text * 0.45)), max(1, round(height / 270)))


@lru_cache(maxsize=4096)
def _text_width(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, FONT, scale, 1)[0][0])


def _percent(score: float) -> str:
    return f"{100 * min(1.0, max(0.0, score)):.0f}%"


def _pixels(detection: Detection, shape: Tuple[int, ...]) -> _Rect:
    height, width = shape[:2]
    x1, y1, x2, y2 = (min(1.0, max(0.0, value)) for value in detection.box)
    left, top = max(0, min(round(x1 * width), width - 2)), max(0, min(round(y1 * height), height - 2))
    return _Rect(left, top, max(2, round(x2 * width) - left), max(2, round(y2 * height) - top))


def _frame(picture: NDArray[np.uint8], box: _Rect, colour: Colour, line: int) -> None:
    """Fills of array slices: exact, and a fifth of the cost of an anti-aliased rectangle."""
    x, y, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    line = min(line, box.width, box.height)
    picture[y : y + line, x:right] = colour
    picture[bottom - line : bottom, x:right] = colour
    picture[y:bottom, x : x + line] = colour
    picture[y:bottom, right - line : right] = colour


def _plate_size(text: str, style: _Style) -> Tuple[int, int]:
    return _text_width(text, style.scale) + 3 * style.pad, style.text + 2 * style.pad


def _place(box: _Rect, size: Tuple[int, int], area: _Rect, taken: List[_Rect], style: _Style) -> Optional[_Rect]:
    """The first spot by the box that lies in the area and on no other plate: above it, within it from its top down, below it."""
    width, height = min(size[0], area.width), min(size[1], area.height)
    lowest = area.height - height
    x = max(0, min(box.x, area.width - width))
    top, bottom = box.y + style.line, box.y + box.height
    within = range(top, max(top + 1, bottom - height), height + 1)
    for y in itertools.islice(itertools.chain((box.y - height,), within, (bottom, lowest)), MOST_SPOTS):
        spot = _Rect(x, y, width, height)
        if 0 <= y <= lowest and not any(map(spot.meets, taken)):
            return spot
    return None


def _plate(picture: NDArray[np.uint8], plate: _Rect, text: str, colour: Colour, style: _Style) -> None:
    _darken(picture, plate, 0.25)
    picture[plate.y : plate.y + plate.height, plate.x : plate.x + max(2, style.pad // 2)] = colour
    _write(picture, text, plate.x + int(1.7 * style.pad), plate.y + plate.height - style.pad, style.scale, WHITE)


def _darken(picture: NDArray[np.uint8], rect: _Rect, keep: float) -> None:
    part = picture[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
    if part.size:
        cv2.convertScaleAbs(part, part, keep, 14)


def _write(picture: NDArray[np.uint8], text: str, x: int, y: int, scale: float, colour: Colour) -> None:
    cv2.putText(picture, text, (x, y), FONT, scale, colour, 1, cv2.LINE_AA)


def _caption(picture: NDArray[np.uint8], graph: str, outcome: Outcome, area: _Rect, taken: List[_Rect], style: _Style) -> None:
    """A classification's best class, or a graph's error, top left and larger than a box's words."""
    style = style._replace(scale=style.scale * 1.25, text=round(style.text * 1.25))
    best: Optional[Classified] = outcome.classes[0] if outcome.classes else None
    if outcome.error is not None or best is None:
        said, colour = f"{graph}: {outcome.error}", (90, 90, 240)
    else:
        said, colour = f"{best.label or best.label_id} {_percent(best.score)}", colour_of(best.label_id)
    text = fit(said, area.width - 5 * style.pad, style.scale)
    width, height = _plate_size(text, style)
    y = max([style.pad] + [plate.y + plate.height + style.pad for plate in taken])
    if y + height <= area.height:
        plate = _Rect(style.pad, y, width, height)
        _plate(picture, plate, text, colour, style)
        taken.append(plate)


def _rates(overlay: Overlay) -> str:
    rates = [("Playback", overlay.playback_fps), ("Detection", overlay.detection_fps)]
    return " / ".join(f"({name}) {fps:.1f} fps" for name, fps in rates if fps is not None)


def _strip(picture: NDArray[np.uint8], overlay: Overlay, style: _Style) -> None:
    """The line at the bottom, over all else: the camera's name and the rates."""
    said = _rates(overlay)
    if not said and not overlay.camera:
        return
    height, width = picture.shape[:2]
    tall = style.text + 2 * style.pad
    _darken(picture, _Rect(0, max(0, height - tall), width, tall), 0.35)
    scale, y = style.scale * 0.92, height - style.pad
    said = fit(said, width - 2 * style.pad, scale)
    used = _text_width(said, scale)
    if said:
        _write(picture, said, width - style.pad - used, y, scale, WHITE)
    camera = fit(overlay.camera, width - used - 4 * style.pad, scale)
    if len(camera) > len(CUT):
        _write(picture, camera, style.pad, y, scale, GREY)


def _centred(picture: NDArray[np.uint8], text: str, middle: int, y: int, scale: float, colour: Colour) -> None:
    text = fit(text, picture.shape[1] - 8, scale)
    _write(picture, text, middle - _text_width(text, scale) // 2, y, scale, colour)


def _wrap(text: str, width: int, scale: float) -> List[str]:
    lines: List[str] = []
    for word in _pieces(drawable(" ".join(text.split())), width, scale):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and _text_width(joined, scale) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _pieces(text: str, width: int, scale: float) -> Iterator[str]:
    """Words; one that is wider than a line, as a path may be, comes in pieces."""
    for word in text.split(" "):
        rest = word
        while rest:
            length = len(rest)
            while length > 1 and _text_width(rest[:length], scale) > width:
                length -= 1
            yield rest[:length]
            rest = rest[length:]


def _camera_sign(picture: NDArray[np.uint8], x: int, y: int, size: int) -> None:
    """A camera, crossed out."""
    line = max(1, size // 10)
    colour = (120, 112, 104)
    cv2.rectangle(picture, (x - size, y - size * 2 // 3), (x + size // 2, y + size * 2 // 3), colour, line, cv2.LINE_AA)
    lens = [(x + size // 2, y - size // 6), (x + size, y - size // 2), (x + size, y + size // 2), (x + size // 2, y + size // 6)]
    for start, end in zip(lens, lens[1:]):
        cv2.line(picture, start, end, colour, line, cv2.LINE_AA)
    cv2.line(picture, (x - size, y + size), (x + size, y - size), CARD, 3 * line, cv2.LINE_AA)
    cv2.line(picture, (x - size, y + size), (x + size, y - size), (96, 96, 214), line, cv2.LINE_AA)
