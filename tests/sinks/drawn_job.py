"""A job's ledger, items and records for sinks that draw: what the job's source would tell, without a source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.types import Detection, Outcome, Record
from tests.jobs.making import ledger

BOX = (0.25, 0.25, 0.75, 0.75)


def seen(*boxes: tuple[float, float, float, float]) -> Outcome:
    return Outcome([Detection("thing", 3, 0.9, box) for box in boxes or (BOX,)])


def job(folder: Path, items: dict[str, int | None], sink: str) -> Ledger:
    """`items`: name and number of frames; None: a picture."""
    made = ledger(folder, list(items), (sink,))
    first = 0
    for number, frames in enumerate(items.values()):
        if frames is not None:
            made.film_begins(number, first, frames)
            made.film_ends(number, frames)
        first += frames or 1
    made.set_end(first)
    return made


def records(items: dict[str, int | None], outcomes: dict[int, Outcome] | None = None) -> Iterator[Record]:
    """Of every frame; `outcomes` by frame, else one box."""
    frame = 0
    for name, frames in items.items():
        for number in range(frames or 1):
            outcome = (outcomes or {}).get(frame, seen())
            yield Record("job", frame, 0.0, name, "sim-1", "g", 0.01, outcome, None, None if frames is None else number)
            frame += 1
