"""A job over films, its records by hand, and how the drawn film is to look."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ncs_cluster.processes.imagery import JobImagery
from ncs_cluster.render.picture import Overlay, draw
from ncs_cluster.sinks.video import Options, Video
from ncs_cluster.types import Outcome, Record
from tests.sinks.drawn_job import job, records, seen

GREYS = [20 + 9 * number for number in range(23)]
MOVING = [seen((0.02 * number, 0.3, 0.02 * number + 0.3, 0.8)) for number in range(40)]
Items = dict[str, "int | None"]


def video(folder: Path) -> Video:
    (folder / "out").mkdir(exist_ok=True)
    return Video(Options(str(folder / "out" / "video.mp4"), str(folder / "ledger.sqlite")), JobImagery())


def run(folder: Path, items: Items, outcomes: dict[int, Outcome] | None = None) -> Path:
    """A whole job; returns the folder of its outputs."""
    job(folder, items, "video").close()
    write(folder, records(items, outcomes), None)
    return folder / "out"


def write(folder: Path, given: Iterable[Record], token: bytes | None) -> None:
    sink = video(folder)
    sink.open(0, token)
    for record in given:
        sink.write(record)
    sink.finish()
    sink.close()


def drawn(pixels: NDArray[np.uint8], outcome: Outcome) -> NDArray[np.uint8]:
    copy = pixels.copy()
    draw(copy, {"g": outcome}, Overlay(has_depth=False))
    return copy


def grey(brightness: int, width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    return np.full((height, width, 3), brightness, np.uint8)


def assert_shows(found: NDArray[np.uint8], expected: list[NDArray[np.uint8]]) -> None:
    """Every frame is nearest to the one expected at its place, and near."""
    assert found.shape == (len(expected), *expected[0].shape)
    for number, frame in enumerate(found):
        differences = [float(np.abs(frame.astype(int) - each).mean()) for each in expected]
        assert int(np.argmin(differences)) == number
        assert differences[number] < 4, number


def boxed() -> dict[int, Outcome]:
    return dict(enumerate(MOVING[: len(GREYS)]))


def expected_greys() -> list[NDArray[np.uint8]]:
    return [drawn(grey(brightness), outcome) for brightness, outcome in zip(GREYS, MOVING, strict=False)]
