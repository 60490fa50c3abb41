"""A view that renews itself in place on a terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType

from ncs_cluster.cli.text import Line, Terminal


class Screen:
    """The terminal's other screen, without a cursor; left as it was, whatever ends the block."""

    def __enter__(self) -> Screen:
        print("\x1b[?1049h\x1b[?25l", end="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        print("\x1b[?25h\x1b[?1049l", end="", flush=True)

    def show(self, lines: Sequence[Line]) -> None:
        """Draw the lines over what is there, as many as the terminal has rows for."""
        terminal = Terminal(cut=True)
        rows = os.get_terminal_size().lines
        drawn = "".join(f"{terminal.render(line)}\x1b[K\n" for line in lines[: rows - 1])
        print(f"\x1b[H{drawn}\x1b[J", end="", flush=True)
