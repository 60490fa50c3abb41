"""Lines that libraries print by themselves, such as libpng for each broken picture: the log gets few of them, whoever causes them.

They come from C code on the descriptors 1 and 2, so these become a pipe, and what this process logs goes to a copy of the old one.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from ncs_cluster.errors import one_line

log = logging.getLogger(__name__)

MOST = 3
"""Lines that are passed on in PER_S."""
PER_S = 60.0
LONGEST = 200
"""Characters that are passed on of one line."""


class Few:
    """Passes on MOST lines in PER_S. `left_out`: lines that were not passed on since the last one that was."""

    def __init__(self) -> None:
        self._began_s, self._passed = float("-inf"), 0
        self.left_out = 0

    def passes(self, now_s: float) -> bool:
        if now_s - self._began_s >= PER_S:
            self._began_s, self._passed = now_s, 0
        passed = self._passed < MOST
        if passed:
            self._passed += 1
        else:
            self.left_out += 1
        return passed


def capture() -> None:
    """Begin. A library that prints never blocks: bytes that do not fit into the pipe are lost. Call it before other threads log."""
    ours = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(ours)
    sys.stderr = ours
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for descriptor in (1, 2):
        os.dup2(writing, descriptor)
    os.close(writing)
    threading.Thread(target=_follow, args=(reading, log.warning), name="library lines", daemon=True).start()


def _follow(reading: int, tell: Callable[[str], None]) -> None:
    few, rest = Few(), b""
    while more := os.read(reading, 65536):
        *lines, rest = (rest + more).split(b"\n")
        # only the begin of a line is shown, so no more of it is kept
        rest = rest[:LONGEST]
        for line in filter(None, lines):
            if few.passes(time.monotonic()):
                if few.left_out:
                    tell(f"{few.left_out} lines of libraries were left out")
                    few.left_out = 0
                tell(f"a library says: {one_line(line[:LONGEST].decode(errors='replace'))}")
