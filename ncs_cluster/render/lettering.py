"""Words on pictures: measured, cut to fit, and drawn on darkened pixels so that they can be read anywhere."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Tuple

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colour = Tuple[int, int, int]
"""Blue, green, red, 0..255."""

WHITE: Colour = (245, 245, 245)
GREY: Colour = (170, 165, 160)
FONT = cv2.FONT_HERSHEY_DUPLEX
UNICODE = int(cv2.__version__.split(".", 1)[0]) >= 5
"""OpenCV 5 brings a Unicode font; OpenCV 4 draws ASCII only."""
CUT = ".."


class Style(NamedTuple):
    """Measures for one picture height, pixels but for the font's scale."""

    scale: float
    text: int
    """Height of a capital letter."""
    pad: int
    line: int


@lru_cache(maxsize=16)
def style_of(height: int) -> Style:
    """For a picture of this height."""
    scale = min(1.6, max(0.36, 0.44 * (height / 480) ** 0.65))
    text = cv2.getTextSize("H", FONT, scale, 1)[0][1]
    return Style(scale, text, max(3, round(text * 0.45)), max(1, round(height / 270)))


@lru_cache(maxsize=4096)
def text_width(text: str, scale: float) -> int:
    """Pixels."""
    return int(cv2.getTextSize(text, FONT, scale, 1)[0][0])


def drawable(text: str, unicode: bool = UNICODE) -> str:
    """The text as the font can draw it: accents are dropped where need be, and what remains unknown is a "?"."""
    if not unicode:
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return "".join(char if char.isprintable() and (unicode or char.isascii()) else "?" for char in text)


@lru_cache(maxsize=4096)
def fit(text: str, width: int, scale: float) -> str:
    """The drawable text, cut at its end until it is at most `width` pixels wide."""
    text = drawable(text[:200])
    if text_width(text, scale) <= width:
        return text
    while text and text_width(text + CUT, scale) > width:
        text = text[:-1]
    return text.rstrip() + CUT if text else ""


def darken(picture: NDArray[np.uint8], x: int, y: int, width: int, height: int, keep: float) -> None:
    """Leave this share of the light, for words to stand on."""
    part = picture[y : y + height, x : x + width]
    if part.size:
        cv2.convertScaleAbs(part, part, keep, 14)


def write(picture: NDArray[np.uint8], text: str, x: int, y: int, scale: float, colour: Colour) -> None:
    cv2.putText(picture, text, (x, y), FONT, scale, colour, 1, cv2.LINE_AA)


def strip_height(style: Style) -> int:
    """Of the line at the bottom, pixels."""
    return style.text + 2 * style.pad


def strip(picture: NDArray[np.uint8], left: str, right: str, style: Style) -> None:
    """The line at the bottom, over all else. When both do not fit, `left` is cut."""
    if not left and not right:
        return
    height, width = picture.shape[:2]
    tall, scale, y = strip_height(style), style.scale * 0.92, height - style.pad
    darken(picture, 0, max(0, height - tall), width, tall, 0.35)
    right = fit(right, width - 2 * style.pad, scale)
    used = text_width(right, scale)
    write(picture, right, width - style.pad - used, y, scale, WHITE)
    left = fit(left, width - used - 4 * style.pad, scale)
    if left not in ("", CUT):
        write(picture, left, style.pad, y, scale, GREY)
