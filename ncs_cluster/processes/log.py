"""The supervisor's log: a thread of its own writes it, so that nobody waits for its reader.

Standard error may stand still: Ctrl-S on a terminal, a pager, a journal that waits for its disk. Then MOST_WAITING lines are kept,
further ones are left out, and how many is said when it goes on.
"""

from __future__ import annotations

import logging
import os
import queue
import threading

MOST_WAITING = 1000
LAST_LINES_S = 0.5


class Unhurried(logging.Handler):
    """Writes to a descriptor."""

    def __init__(self, fd: int = 2) -> None:
        super().__init__()
        self._fd = fd
        self._lines: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._left_out += 1

    def end(self) -> None:
        """Wait for the last lines, but not for long."""
        try:
            self._lines.put(None, timeout=LAST_LINES_S)
        except queue.Full:
            return
        self._thread.join(LAST_LINES_S)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            self.acquire()
            left_out, self._left_out = self._left_out, 0
            self.release()
            if left_out:
                self._put_out(f"{left_out} lines were left out, because nobody read them")
            if line is None:
                return
            self._put_out(line)

    def _put_out(self, line: str) -> None:
        # not through sys.stderr, whose lock a thread that stands still would keep from the interpreter's end
        data = line.encode(errors="backslashreplace") + b"\n"
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            pass  # nobody is there to be told
