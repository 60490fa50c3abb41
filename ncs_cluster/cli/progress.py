"""Progress of a download: one line that is redrawn on a terminal; no output elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

EVERY_S = 0.2


def progress() -> Callable[[int, int], None] | None:
    """A callback for (bytes received, bytes in all), or None when standard error is no terminal."""
    if not sys.stderr.isatty():
        return None
    drawn_s = 0.0

    def draw(have: int, size: int) -> None:
        nonlocal drawn_s
        if have < size and time.monotonic() < drawn_s + EVERY_S:
            return
        drawn_s = time.monotonic()
        print(f"\r{have / 1e6:.1f} of {size / 1e6:.1f} MB\x1b[K", end="\n" if have == size else "", file=sys.stderr, flush=True)

    return draw
