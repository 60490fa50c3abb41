"""Text on pictures: measured, shortened to a width, and drawn on darkened pixels, so that it is readable on any background."""

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
"""OpenCV 5 has a Unicode font; OpenCV 4 draws ASCII only."""
ELLIPSIS = ".."


class Style(NamedTuple):
    """Text measures for one picture height, in pixels; `scale` is OpenCV's font scale."""

    scale: float
    text: int
    """Height of a capital letter."""
    pad: int
    line: int


@lru_cache(maxsize=16)
def style_of(height: int) -> Style:
    """The measures for a picture of this height, pixels."""
    scale = min(1.6, max(0.36, 0.44 * (height / 480) ** 0.65))
    text = cv2.getTextSize("H", FONT, scale, 1)[0][1]
    return Style(scale, text, max(3, round(text * 0.45)), max(1, round(height / 270)))


@lru_cache(maxsize=4096)
def text_width(text: str, scale: float) -> int:
    """Width of the text, pixels."""
    return int(cv2.getTextSize(text, FONT, scale, 1)[0][0])


def drawable(text: str, unicode: bool = UNICODE) -> str:
    """The text in the font's characters: without a Unicode font accents are dropped; every other unknown character becomes "?"."""
    if not unicode:
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return "".join(char if char.isprintable() and (unicode or char.isascii()) else "?" for char in text)


@lru_cache(maxsize=4096)
def fit_text(text: str, width: int, scale: float) -> str:
    """The drawable text, shortened at its end to at most `width` pixels."""
    text = drawable(text[:200])
    if text_width(text, scale) <= width:
        return text
    while text and text_width(text + ELLIPSIS, scale) > width:
        text = text[:-1]
    return text.rstrip() + ELLIPSIS if text else ""


def darken(picture: NDArray[np.uint8], x: int, y: int, width: int, height: int, keep: float) -> None:
    """Multiply the brightness of a rectangle by `keep`, 0..1, as a background for text."""
    part = picture[y : y + height, x : x + width]
    if part.size:
        cv2.convertScaleAbs(part, part, keep, 14)


def draw_text(picture: NDArray[np.uint8], text: str, x: int, y: int, scale: float, colour: Colour) -> None:
    """Draw a text; `x`, `y` is the left end of its baseline, pixels."""
    cv2.putText(picture, text, (x, y), FONT, scale, colour, 1, cv2.LINE_AA)


def footer_height(style: Style) -> int:
    """Height of the footer, pixels."""
    return style.text + 2 * style.pad


def draw_footer(picture: NDArray[np.uint8], left: str, right: str, style: Style, *, keep_left: bool = False) -> None:
    """Draw one line of text at the bottom, over everything else. When both texts do not fit, `left` is shortened; with `keep_left`
    `right` is left out first."""
    if not left and not right:
        return
    height, width = picture.shape[:2]
    tall, scale, y = footer_height(style), style.scale * 0.92, height - style.pad
    darken(picture, 0, max(0, height - tall), width, tall, 0.35)
    right = fit_text(right, width - 2 * style.pad, scale)
    used = text_width(right, scale)
    if keep_left and text_width(fit_text(left, width, scale), scale) > width - used - 4 * style.pad:
        right, used = "", 0
    draw_text(picture, right, width - style.pad - used, y, scale, WHITE)
    left = fit_text(left, width - used - 4 * style.pad, scale)
    if left not in ("", ELLIPSIS):
        draw_text(picture, left, style.pad, y, scale, GREY)
