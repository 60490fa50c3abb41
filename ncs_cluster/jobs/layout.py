"""How the frames of a job that is done lie: which item each is of, as its records name it. Runs on CPython 3.9.

Nothing is held whole: the ledger is read in batches.
"""

from __future__ import annotations

from itertools import cycle, repeat
from typing import Iterator, NamedTuple, Optional, Sequence

from ncs_cluster.jobs.ledger import Ledger


class Frame(NamedTuple):
    """One frame, as its record names it."""

    number: int
    item: Optional[str]
    """None: the process that read it was killed each time."""
    item_frame: Optional[int]
    """Its number in a film; None for a picture, and for a film that cannot be opened."""
    failed: bool


def lengths(ledger: Ledger, item: int = 0) -> Iterator[Optional[int]]:
    """For each item from this one on: the frames of a film, None for a picture, which is one frame. Only a part of a film may have
    none."""
    at = item
    for number, frames in ledger.select("SELECT item, frames FROM films WHERE item >= ? ORDER BY item", item):
        yield from repeat(None, number - at)
        yield 1 if frames is None else frames
        at = number + 1
    yield from repeat(None, ledger.items - at)


def total(ledger: Ledger) -> int:
    """How many frames there are."""
    films, frames = next(ledger.select("SELECT count(*), coalesce(sum(frames), 0) FROM films"))
    return ledger.items - int(films) + int(frames)


def frames(ledger: Ledger, first: int = 0, behind: Optional[int] = None) -> Iterator[Frame]:
    """Those from number `first` to before `behind`; None: to the last."""
    number, (item, start) = first, ledger.place(first)
    failures = ledger.select("SELECT frame, item, item_frame FROM failures WHERE frame >= ? ORDER BY frame", first)
    failed = next(failures, None)
    for each, length in zip(ledger.items_from(item, -1), lengths(ledger, item)):
        for item_frame in range(start, length or 1):
            if number == behind:
                return
            if failed is not None and failed[0] == number:
                yield Frame(number, failed[1], failed[2], True)
                failed = next(failures, None)
            else:
                yield Frame(number, each.name, None if length is None else item_frame, False)
            number += 1
        start = 0


def films(ledger: Ledger) -> Iterator[str]:
    """The names of the films that could be opened."""
    opened = "SELECT item FROM films WHERE NOT EXISTS"
    opened += "(SELECT 1 FROM failures WHERE frame = first AND failures.item IS NOT NULL AND item_frame IS NULL) ORDER BY item"
    for (number,) in ledger.select(opened):
        item = ledger.item(number)
        assert item is not None
        yield item.name


def order(parts: Sequence[Ledger]) -> Iterator[int]:
    """For each frame of a job that was divided, item by item in turn, into these parts: the index of the part that has it."""
    left = [lengths(ledger) for ledger in parts]
    for part in cycle(range(len(parts))):
        try:
            length = next(left[part])
        except StopIteration:
            return
        yield from repeat(part, length or 1)
