"""The supervisor's log handler: a thread writes the lines, so that logging never blocks the loop.

Standard error may block: Ctrl-S on a terminal, a pager, a journal that waits for its disk. Then MAX_QUEUED_LINES lines are queued
and further ones dropped; a line gives their number as soon as standard error accepts lines again.
"""

from __future__ import annotations

import logging
import os
import queue
import threading

MAX_QUEUED_LINES = 1000
STOP_S = 0.5


class NonBlockingHandler(logging.Handler):
    """Writes log lines to a descriptor from a thread of its own."""

    def __init__(self, fd: int = 2) -> None:
        super().__init__()
        self._fd = fd
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_QUEUED_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1

    def stop(self) -> None:
        """Write the queued lines, for at most 2 * STOP_S, and stop the thread."""
        try:
            self._lines.put(None, timeout=STOP_S)
        except queue.Full:
            return
        self._thread.join(STOP_S)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            self.acquire()
            dropped, self._dropped = self._dropped, 0
            self.release()
            if dropped:
                self._write_line(f"{dropped} log lines dropped: nobody read standard error")
            if line is None:
                return
            self._write_line(line)

    def _write_line(self, line: str) -> None:
        # not through sys.stderr: a blocked write would hold its lock, for which the interpreter waits when it exits
        data = line.encode(errors="backslashreplace") + b"\n"
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            pass  # there is no other place for an error
