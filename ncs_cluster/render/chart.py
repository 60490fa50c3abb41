"""Charts: lines over a number, and groups of bars, with axes, ticks, a legend and the spread of each value. Drawn by OpenCV alone.

Everything is drawn at SCALE times its size and scaled down, which makes thin lines and small text smooth. Runs on CPython 3.9.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2

from ncs_cluster.render.text import FONT, UNICODE, Colour, drawable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCALE = 3
STROKE = 1 if UNICODE else 2
"""Of letters, before they are scaled down: those of OpenCV 4 are lines."""
INK: Colour = (60, 50, 45)
FAINT: Colour = (225, 222, 218)
MUTED: Colour = (130, 120, 112)
LEFT, RIGHT, TOP, BOTTOM = 78, 22, 58, 62
"""Margins of a panel, pixels."""
TICKS = 6
INSET = 16.0
ASIDE = 4.0
"""Pixels between the marks of two series at the same place."""
SHAPES = ("circle", "square", "triangle", "diamond")


class Value(NamedTuple):
    """A value and its spread."""

    median: float
    least: float
    most: float


class Series(NamedTuple):
    """Values of one name, in the order of their places."""

    label: str
    colour: Colour
    points: List[Tuple[float, Value]]
    """(x, value); of bars x is the number of the group."""
    marked: bool = True
    """Of lines: each value has a mark and its spread; else there is the line alone, for many values."""


class Lines(NamedTuple):
    """Values over a number; both axes begin at 0."""

    title: str
    x_label: str
    y_label: str
    series: List[Series]
    x_ticks: List[float]
    x_names: Optional[List[str]] = None
    """What stands at the ticks; None: their values."""
    widest_gap: float = math.inf
    """Values further apart are not joined by a line."""


class Bars(NamedTuple):
    """Groups of bars beside one another."""

    title: str
    x_label: str
    y_label: str
    series: List[Series]
    groups: List[str]


Panel = Union[Lines, Bars]


def ticks(top: float, most: int = TICKS) -> List[float]:
    """From 0 to at least `top` in steps of 1, 2 or 5 times a power of ten; at most `most` + 1 of them."""
    if not 0 < top < math.inf:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / most))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power * most >= top * (1 - 1e-9))
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


def tick_text(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.6f}".rstrip("0")


def draw(panels: Sequence[Panel], title: str, notes: Sequence[str], width: int = 720, height: int = 480) -> NDArray[np.uint8]:
    """uint8 BGR: the panels side by side, each `width` x `height`, below a title, above lines of notes."""
    import numpy as np

    head, foot = 52, 14 + 20 * len(notes)
    whole = _Paper(np.full(((head + height + foot) * SCALE, width * len(panels) * SCALE, 3), 255, np.uint8))
    whole.text(title, 24, 34, 0.62, INK)
    for at, panel in enumerate(panels):
        paper = _Paper(whole.pixels[head * SCALE : (head + height) * SCALE, at * width * SCALE : (at + 1) * width * SCALE])
        _panel(paper, panel, width, height)
    for at, note in enumerate(notes):
        whole.text(note, 24, head + height + 14 + 20 * at, 0.42, MUTED, most=width * len(panels) - 48)
    small = (whole.pixels.shape[1] // SCALE, whole.pixels.shape[0] // SCALE)
    return np.asarray(cv2.resize(whole.pixels, small, interpolation=cv2.INTER_AREA), np.uint8)


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file."""
    return cv2.imencode(".png", pixels)[1].tobytes()


class _Paper:
    """Drawing in pixels of the finished picture."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: Colour, thick: float = 1.0) -> None:
        cv2.line(self.pixels, _at(x, y), _at(to_x, to_y), colour, max(1, round(thick * SCALE)), cv2.LINE_AA)

    def box(self, x: float, y: float, to_x: float, to_y: float, colour: Colour) -> None:
        cv2.rectangle(self.pixels, _at(x, y), _at(to_x, to_y), colour, cv2.FILLED)

    def mark(self, shape: str, x: float, y: float, colour: Colour) -> None:
        import numpy as np

        size = 5.0
        if shape == "circle":
            cv2.circle(self.pixels, _at(x, y), round(size * SCALE), colour, cv2.FILLED, cv2.LINE_AA)
            return
        corners = {
            "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            "triangle": [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
            "diamond": [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        }[shape]
        points = np.array([_at(x + size * dx, y + size * dy) for dx, dy in corners], np.int32)
        cv2.fillPoly(self.pixels, [points], colour, cv2.LINE_AA)

    def text(
        self, text: str, x: float, y: float, size: float, colour: Colour, *, align: float = 0.0, most: Optional[float] = None
    ) -> None:
        """`x`, `y`: left end of the baseline, or with `align` 0.5 its middle, with 1 its right end. Cut where wider than `most`."""
        text = drawable(text)
        while most is not None and len(text) > 1 and text_width(text, size) > most:
            text = text[:-1]
        left = x - align * text_width(text, size)
        cv2.putText(self.pixels, text, _at(left, y), FONT, size * SCALE, colour, STROKE, cv2.LINE_AA)

    def upright(self, text: str, x: float, y: float, size: float, colour: Colour) -> None:
        """Text that is read from below, its middle at `x`, `y`."""
        import numpy as np

        wide, tall = math.ceil(text_width(drawable(text), size)) + 8, 24
        lying = _Paper(np.full((tall * SCALE, wide * SCALE, 3), 255, np.uint8))
        lying.text(text, 4, 17, size, colour)
        turned = np.rot90(lying.pixels)
        left, top = _at(x - tall / 2, y - wide / 2)
        room = self.pixels[max(0, top) : top + turned.shape[0], left : left + turned.shape[1]]
        room[:] = turned[: room.shape[0], : room.shape[1]]


def text_width(text: str, size: float) -> float:
    """Pixels."""
    return float(cv2.getTextSize(text, FONT, size * SCALE, 1)[0][0]) / SCALE


def _at(x: float, y: float) -> Tuple[int, int]:
    return round(x * SCALE), round(y * SCALE)


class _Axes(NamedTuple):
    """From values to pixels."""

    left: float
    top: float
    right: float
    bottom: float
    x_top: float
    y_top: float
    inset: float
    """Before 0, so that a mark there does not cover the numbers beside the axis."""

    def x(self, value: float) -> float:
        return self.left + self.inset + (self.right - self.left - self.inset) * value / self.x_top

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * value / self.y_top


def _panel(paper: _Paper, panel: Panel, width: int, height: int) -> None:
    greatest = max((value.most for series in panel.series for _, value in series.points), default=1.0)
    # room for the number above the highest bar
    steps = ticks(greatest * 1.04)
    across = max(panel.x_ticks) * 1.03 if isinstance(panel, Lines) else float(len(panel.groups))
    legend = 24.0
    inset = INSET if isinstance(panel, Lines) else 0.0
    axes = _Axes(LEFT, TOP + legend, width - RIGHT, height - BOTTOM, across, steps[-1], inset)
    paper.text(panel.title, LEFT, 22, 0.5, INK)
    for step in steps:
        paper.line(axes.left, axes.y(step), axes.right, axes.y(step), FAINT)
        paper.text(tick_text(step), axes.left - 8, axes.y(step) + 4, 0.4, INK, align=1.0)
    paper.line(axes.left, axes.bottom, axes.right, axes.bottom, INK)
    paper.upright(panel.y_label, 20, (axes.top + axes.bottom) / 2, 0.42, INK)
    paper.text(panel.x_label, (axes.left + axes.right) / 2, height - 16, 0.42, INK, align=0.5)
    if isinstance(panel, Lines):
        _lines(paper, panel, axes)
    else:
        _bars(paper, panel, axes)
    _legend(paper, panel)


def _lines(paper: _Paper, panel: Lines, axes: _Axes) -> None:
    written = -math.inf
    for tick, name in zip(panel.x_ticks, panel.x_names or [tick_text(tick) for tick in panel.x_ticks]):
        x = axes.x(tick)
        paper.line(x, axes.bottom, x, axes.bottom + 5, INK)
        half = text_width(name, 0.4) / 2
        if x - half > written + 6:
            # ticks that lie close together share no room for their numbers
            paper.text(name, x, axes.bottom + 20, 0.4, INK, align=0.5)
            written = x + half
    for at, (series, shape) in enumerate(zip(panel.series, SHAPES * len(panel.series))):
        # a little apart, so that equal values and their spreads stay visible
        aside = ASIDE * (at - (len(panel.series) - 1) / 2) if series.marked else 0.0
        places = [(axes.x(x) + aside, value) for x, value in series.points]
        for ((from_x, _), (to_x, _)), (x, value), (next_x, to) in zip(zip(series.points, series.points[1:]), places, places[1:]):
            if to_x - from_x <= panel.widest_gap:
                paper.line(x, axes.y(value.median), next_x, axes.y(to.median), series.colour, 1.8)
        for x, value in places if series.marked else ():
            _whisker(paper, axes, x, value, series.colour)
            paper.mark(shape, x, axes.y(value.median), series.colour)


def _bars(paper: _Paper, panel: Bars, axes: _Axes) -> None:
    for at, group in enumerate(panel.groups):
        middle = axes.x(at + 0.5)
        paper.text(group, middle, axes.bottom + 20, 0.4, INK, align=0.5)
        here = [(series, value) for series in panel.series for x, value in series.points if x == at]
        wide = min(64.0, 0.8 * (axes.x(1) - axes.x(0)) / max(1, len(here)))
        for number, (series, value) in enumerate(here):
            left = middle + (number - len(here) / 2) * wide
            paper.box(left + 2, axes.y(value.median), left + wide - 2, axes.bottom, series.colour)
            if value.most > value.least:
                _whisker(paper, axes, left + wide / 2, value, INK)
            text = tick_text(float(f"{value.median:.3g}"))
            paper.text(text, left + wide / 2, axes.y(value.most) - 6, 0.38, INK, align=0.5)


def _whisker(paper: _Paper, axes: _Axes, x: float, value: Value, colour: Colour) -> None:
    paper.line(x, axes.y(value.least), x, axes.y(value.most), colour, 1.2)
    for end in (value.least, value.most):
        paper.line(x - 5, axes.y(end), x + 5, axes.y(end), colour, 1.2)


def _legend(paper: _Paper, panel: Panel) -> None:
    """One line below the title."""
    x = float(LEFT)
    for series, shape in zip(panel.series, SHAPES * len(panel.series)):
        paper.mark(shape if isinstance(panel, Lines) else "square", x + 6, 44, series.colour)
        paper.text(series.label, x + 17, 48, 0.42, INK)
        x += 17 + text_width(drawable(series.label), 0.42) + 22
