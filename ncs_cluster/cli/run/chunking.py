"""A job's items cut into chunks for hosts. The cuts depend on the items and the size alone, so every later command makes the same
ones, from whatever item it goes on. Where films are divided is kept, see divided_film."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ncs_cluster.cli.run.divided_film import DividedFilm
from ncs_cluster.errors import ConfigError
from ncs_cluster.fleet.chunk import MOST_ITEMS, Root, is_below
from ncs_cluster.jobs.ledger import Item, Ledger
from ncs_cluster.sources._item_kind import is_film
from ncs_cluster.sources._picture import VIDEOS

LEAST, PARTS = 20, 60
"""Pictures of a chunk, and chunks of a small job."""
MOST_BYTES = 128 * 1024
"""Of the names of a chunk's items."""


class Named(NamedTuple):
    """An item as a host gets it, and as records name it."""

    item: Item
    root: int
    name: bytes
    """Below its root."""


class Cut(NamedTuple):
    """Consecutive items: pictures, or one film, or a part of one."""

    items: list[Named]
    film: DividedFilm | None = None
    part: int = -1
    """Of that film; -1: whole items."""

    @property
    def first(self) -> int:
        """The number of its first item."""
        return self.items[0].item.number

    @property
    def place(self) -> tuple[int, int]:
        """By which cuts are in order, see divided_film.place_of."""
        return self.first, self.part


def size_for(items: int) -> int:
    """Pictures of a chunk: more in a larger job, so that the start of each chunk's job costs little, and its end waits for few."""
    return max(LEAST, min(MOST_ITEMS, items // PARTS))


def cuts(ledger: Ledger, size: int, item: int) -> Iterator[Cut]:
    """The cuts of the job, in order; the first cut returned holds item number `item`. A cut ends after each `size` items of the
    job, before and after each film, and where the names of its items would make its message too long."""
    for block in range(item // size, -(-ledger.items // size)):
        rows = ledger.select("SELECT root, name FROM items WHERE number >= ? ORDER BY number LIMIT ?", block * size, size)
        open_items: list[Named] = []
        length = 0
        for each, (root, name) in zip(ledger.items_from(block * size, size), rows, strict=False):
            named = Named(each, root, name)
            alone = is_film(each)
            if open_items and (alone or length + len(name) > MOST_BYTES):
                yield from _behind(item, open_items)
                open_items, length = [], 0
            if alone:
                yield from _behind(item, [named])
            else:
                open_items.append(named)
                length += len(name)
        yield from _behind(item, open_items)


def retried(ledger: Ledger, size: int, turn: int) -> Iterator[Cut]:
    """As `cuts`, of the pictures that a retry tries again; the first cut returned holds the picture of turn `turn`."""
    frame = ledger.frame_of(turn)
    item = ledger.items if frame is None else ledger.place(frame).item
    for block in range(turn // size, -(-(ledger.end or 0) // size)):
        open_items: list[Named] = []
        length = 0
        for (number,) in ledger.select("SELECT frame FROM retries WHERE number >= ? ORDER BY number LIMIT ?", block * size, size):
            named = _named(ledger, ledger.place(number).item)
            if open_items and length + len(named.name) > MOST_BYTES:
                yield from _behind(item, open_items)
                open_items, length = [], 0
            open_items.append(named)
            length += len(named.name)
        yield from _behind(item, open_items)


def _named(ledger: Ledger, number: int) -> Named:
    ((root, name),) = ledger.select("SELECT root, name FROM items WHERE number = ?", number)
    (item,) = ledger.items_from(number, 1)
    return Named(item, root, name)


def check_retry(ledger: Ledger) -> None:
    """Raises ConfigError for frames of films: hosts do whole films, or parts of them."""
    for (frame,) in ledger.select("SELECT frame FROM retries ORDER BY number"):
        item = ledger.item(ledger.place(frame).item)
        if item is not None and is_film(item):
            raise ConfigError(f"--retry-failed: {item.name} is a film, whose frames are not tried again on hosts; leave --nats out")


def _behind(item: int, items: list[Named]) -> Iterator[Cut]:
    if items and items[-1].item.number >= item:
        yield Cut(items)


def roots(ledger: Ledger, mounts: Mapping[str, str]) -> list[Root]:
    """Where hosts find the items: each root as a folder below one of these mounts. Raises ConfigError."""
    found = []
    homes = {name: os.path.realpath(path) for name, path in mounts.items()}
    for folder, prefix in ledger.select("SELECT folder, prefix FROM roots ORDER BY id"):
        place = os.path.realpath(os.fsdecode(folder))
        above = [name for name, home in homes.items() if os.path.commonpath([home, place]) == home]
        if not above:
            raise ConfigError(
                f"{place}: is below no mount; name one above it by --mount NAME=DIR, whose NAME each host has in [nats] mounts, "
                "or send the files by --carry"
            )
        mount = max(above, key=lambda name: len(homes[name]))
        within = os.path.relpath(place, homes[mount])
        found.append(Root(mount, b"" if within == os.curdir else os.fsencode(within), prefix))
    return found


def may_be_divided(name: bytes) -> bool:
    """The item is a film by its name: what hosts must understand is known before any file is opened."""
    return name.lower().endswith(tuple(os.fsencode(ending) for ending in VIDEOS))


def has_films(ledger: Ledger) -> bool:
    """Whether some item may be divided."""
    return any(may_be_divided(name) for (name,) in ledger.select("SELECT name FROM items"))


def check(ledger: Ledger) -> None:
    """Raises ConfigError for items that a host could not find below a mount."""
    for (name,) in ledger.select("SELECT name FROM items"):
        if not is_below(name):
            shown = os.fsdecode(name).encode("utf-8", "backslashreplace").decode()
            raise ConfigError(
                f"{shown}: hosts need names below a folder; work in a folder above the files, and name them from there"
            )
