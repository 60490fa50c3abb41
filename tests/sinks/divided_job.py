"""A job by hand, whole and divided into parts: items, records, and the ledger of each part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import structs

from ncs_cluster.jobs.ledger import Failure, Ledger, Root
from ncs_cluster.types import Classified, Detection, Outcome, Record
from tests.sinks.onejob import vector

TORN = 'is "torn",\nor not'


@dataclass(frozen=True)
class Item:
    """A picture, or a film of `length` frames. `failed`: the numbers of its frames that failed."""

    name: str
    length: int | None = None
    failed: frozenset[int] = frozenset()
    unopened: bool = False
    """A film that cannot be opened."""
    crashed: frozenset[int] = field(default=frozenset())
    """Frames whose record names no item, since the process that read them was killed."""

    @property
    def frames(self) -> int:
        return self.length or 1


def outcome(frame: int, *, features: bool) -> Outcome:
    if features:
        return Outcome(features=vector(frame))
    box = (0.125, 0.25, 0.5, 0.75)
    kinds = [
        Outcome([Detection("cat", 3, 0.875, box), Detection('do"g', 7, 0.123456789, (0.0, 0.1, 1 / 3, 1.0), 1.2345)]),
        Outcome(),
        Outcome(classes=[Classified("dark", 0, 0.75), Classified("", 1, 0.25)]),
        Outcome([Detection("class 5", 5, 1.0, box)]),
    ]
    return kinds[frame % 4]


def records(items: Sequence[Item], *, features: bool = False) -> Iterator[tuple[int, Record]]:
    """(index of the item, record) of every frame of the whole job."""
    frame = 0
    for index, item in enumerate(items):
        for number in range(item.frames):
            result, name, size = outcome(frame, features=features), item.name, (640, 480)
            place = None if item.length is None or item.unopened else (number, 25.0)
            made = Record("job", frame, 1.7e9 + frame, name, "sim-1", "demo", 0.05, result, size, *(place or ()))
            if number in item.crashed:
                made = Record("job", frame, 1.7e9, None, None, "demo", None, Outcome(error="crashed"))
            elif number in item.failed or item.unopened:
                made = structs.replace(made, outcome=Outcome(error=f"{name}: {TORN}"), size=None, stick=None, latency_s=None)
            yield index, made
            frame += 1


def part(
    folder: Path,
    items: Sequence[Item],
    number: int,
    parts: int,
    *,
    features: bool = False,
    job: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    sinks: Sequence[str] = ("any",),
) -> tuple[Ledger, list[Record]]:
    """The ledger and the records of part `number`, from 0. Both are those of a job that knows nothing of other parts."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(str(folder / "ledger.sqlite"), create=True)
    mine = list(items)[number::parts]
    names = ((0, item.name.encode()) for item in mine)
    ledger.begin(job or {}, [Root(str(folder), "", confined=False)], names, sinks, lambda: facts or {})
    own = [record for index, record in records(items, features=features) if index % parts == number]
    own = [structs.replace(record, frame=frame) for frame, record in enumerate(own)]
    first = 0
    for place, item in enumerate(mine):
        if item.length is not None:
            ledger.film_begins(place, first)
            ledger.film_ends(place, item.frames)
        first += item.frames
    for record in own:
        if record.outcome.error is not None:
            ledger.fail(Failure(record.frame, record.item, record.item_frame, record.outcome.error))
    ledger.set_end(len(own))
    for name in sinks:
        ledger.note(name, len(own), b"")
        ledger.finished(name)
    return ledger, own
