"""Tables and colours for terminals of any width. Imports little: `ncsctl status` loads this module."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

COLOURS = {"good": "32", "warn": "33", "bad": "31", "dim": "2", "bold": "1"}
UNKNOWN = "-"
NARROW = 80
"""Columns at which lists are wrapped."""


class Cell(NamedTuple):
    """Text and its style, a key of COLOURS or empty."""

    text: str
    style: str = ""


Line = Sequence[Cell]


class Terminal:
    """Standard output. Coloured on a terminal unless NO_COLOR is set or TERM is dumb; `cut`: lines are cut to its width."""

    def __init__(self, *, cut: bool = False) -> None:
        live = sys.stdout.isatty()
        self._columns = _columns() if cut and live else sys.maxsize
        self._coloured = live and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def render(self, line: Line) -> str:
        width = self._columns
        painted = []
        for text, style in line:
            clipped = text if len(text) <= width else text[: max(0, width - 1)] + "…" * (width > 0)
            width -= len(clipped)
            painted.append(f"\x1b[{COLOURS[style]}m{clipped}\x1b[0m" if style and clipped and self._coloured else clipped)
        return "".join(painted).rstrip()


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def printable(text: str) -> str:
    """The text with a space for each control character: text from outside must not control the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[int] = ()) -> list[list[Cell]]:
    """Lines of a table with columns as wide as their widest cell, two spaces apart. `right`: columns aligned right."""
    widths = [max(len(cells[at].text) for cells in (*rows, [Cell(each) for each in head])) for at in range(len(head))]

    def aligned(cells: Sequence[Cell]) -> list[Cell]:
        pad: list[Callable[[str, int], str]] = [str.rjust if at in right else str.ljust for at in range(len(head))]
        return [Cell(pad[at](cell.text, widths[at]) + "  ", cell.style) for at, cell in enumerate(cells)]

    return [aligned([Cell(each, "dim") for each in head]), *(aligned(cells) for cells in rows)]


def number(value: float | None, form: str = ".0f", unit: str = "") -> str:
    return UNKNOWN if value is None else f"{value:{form}}{unit}"


def duration(seconds: float) -> str:
    """The two largest units: "3 h 12 min"."""
    whole = int(seconds)
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {small_unit}"
    return f"{whole} s"


def clock(at: float, *, with_day: bool = False) -> str:
    """The time of day here. `at`: Unix seconds."""
    return time.strftime("%Y-%m-%d %H:%M:%S" if with_day else "%H:%M:%S", time.localtime(at))
