"""The picture shown while a camera gives none: the reason, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, List

import cv2

from ncs_cluster.render.text import GREY, WHITE, Colour, draw_footer, draw_text, drawable, fit_text, style_of, text_width

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BACKGROUND: Colour = (34, 30, 27)


def no_signal(picture: NDArray[np.uint8], reason: str, *, since: str = "", camera: str = "", title: str = "No signal") -> None:
    """Fill `picture`, uint8 BGR [height, width, 3], in place: the title, the reason and `since` ("since 14:03:22")."""
    height, width = picture.shape[:2]
    style = style_of(height)
    picture[:] = BACKGROUND
    size = max(8, height // 14)
    middle = width // 2
    _draw_camera_icon(picture, middle, int(height * 0.3), size)
    y = int(height * 0.3) + 2 * size + style.text
    _draw_centred(picture, title, middle, y, style.scale * 1.5, WHITE)
    y += int(1.6 * style.text)
    for line in _wrap(reason, int(width * 0.86), style.scale)[:3]:
        y += int(1.7 * style.text)
        _draw_centred(picture, line, middle, y, style.scale, GREY)
    if since:
        _draw_centred(picture, since, middle, y + int(2.4 * style.text), style.scale * 0.9, GREY)
    draw_footer(picture, camera, "", style)


def _draw_centred(picture: NDArray[np.uint8], text: str, middle: int, y: int, scale: float, colour: Colour) -> None:
    text = fit_text(text, picture.shape[1] - 8, scale)
    draw_text(picture, text, middle - text_width(text, scale) // 2, y, scale, colour)


def _wrap(text: str, width: int, scale: float) -> List[str]:
    lines: List[str] = []
    for word in _split_words(drawable(" ".join(text.split())), width, scale):
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, scale) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _split_words(text: str, width: int, scale: float) -> Iterator[str]:
    """The words of a text; a word wider than `width` pixels, such as a path, is split."""
    for word in text.split(" "):
        rest = word
        while rest:
            length = len(rest)
            while length > 1 and text_width(rest[:length], scale) > width:
                length -= 1
            yield rest[:length]
            rest = rest[length:]


def _draw_camera_icon(picture: NDArray[np.uint8], x: int, y: int, size: int) -> None:
    """A crossed-out camera, `size` pixels from its centre to its edge."""
    line = max(1, size // 10)
    colour = (120, 112, 104)
    cv2.rectangle(picture, (x - size, y - size * 2 // 3), (x + size // 2, y + size * 2 // 3), colour, line, cv2.LINE_AA)
    lens = [(x + size // 2, y - size // 6), (x + size, y - size // 2), (x + size, y + size // 2), (x + size // 2, y + size // 6)]
    for start, end in zip(lens, lens[1:]):
        cv2.line(picture, start, end, colour, line, cv2.LINE_AA)
    cv2.line(picture, (x - size, y + size), (x + size, y - size), BACKGROUND, 3 * line, cv2.LINE_AA)
    cv2.line(picture, (x - size, y + size), (x + size, y - size), (96, 96, 214), line, cv2.LINE_AA)
