"""A job's progress on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn


class Bar:
    """One line that is drawn anew."""

    def __init__(self) -> None:
        self._progress = Progress(
            BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True
        )
        self._task = self._progress.add_task("starting", total=None)

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def show(self, words: str, done: int, expected: int) -> None:
        self._progress.update(self._task, description=words, completed=done, total=expected or None)
