"""The files of a job over hosts that cannot see them: those of a chunk go to the server before the chunk is published, and leave it
when the chunk has a result. What lies there at once is bounded, however large the job is.

Nothing of it is kept: a later command asks the server which files are there, and sends those of each chunk that it publishes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence, Set

from msgspec import structs

from ncs_cluster.cli.run import chunking
from ncs_cluster.errors import format_os_error
from ncs_cluster.fleet.chunk import LARGEST_CARRIED, PIECE, Chunk, Root, Unreadable
from ncs_cluster.fleet.jobs import Jobs
from ncs_cluster.fleet.parcel import Parcels, chunk_place
from ncs_cluster.jobs.ledger import Item, Ledger

MOUNT = "carried"
"""In place of a mount: hosts put the files of a chunk into a folder of its own."""
CHUNK_BYTES, LARGEST_CHUNK = 16 << 20, 64 << 20
"""Of a chunk's pictures: what is aimed at; above the other one they are sent one by one."""
MOST_BYTES = LARGEST_CARRIED
"""Of a job at the server at once."""
SAMPLES = 200
MOST_LOSSES = 3
"""How often the files of one chunk may reach a host altered, until it is given up."""


def roots(ledger: Ledger) -> list[Root]:
    """Where hosts find the items; they show them as this machine does."""
    return [Root(MOUNT, b"", prefix) for (prefix,) in ledger.select("SELECT prefix FROM roots ORDER BY id")]


def titles(ledger: Ledger) -> list[str]:
    """What the folders of the items are called, for people."""
    return [
        os.path.basename(folder).decode("utf-8", "replace") for (folder,) in ledger.select("SELECT folder FROM roots ORDER BY id")
    ]


def size_for(ledger: Ledger) -> int:
    """Pictures of a chunk, by the sizes of some of the job's files."""
    step = max(1, ledger.items // SAMPLES)
    items = (ledger.item(number) for number in range(0, ledger.items, step))
    sizes = [size for item in items if item is not None and 0 < (size := _size(item.path)) <= LARGEST_CHUNK]
    mean = sum(sizes) // len(sizes) if sizes else 0
    most = chunking.size_for(ledger.items)
    return max(1, min(most, CHUNK_BYTES // mean)) if mean else most


class Carrier:
    """The files of one job at the server."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._there: dict[str, int] = {}
        """Chunks whose files are at the server, and their bytes."""
        self._sent: set[str] = set()
        self._losses: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        """Chunks that cannot be carried, and why."""

    async def begin(self, parcels: Parcels) -> None:
        """See what is at the server, at each connection. Raises Unusable."""
        self._there = {name: pieces * PIECE for name, pieces in (await parcels.chunks(self._job)).items()}

    async def send(self, jobs: Jobs, parcels: Parcels, chunk: Chunk, items: Sequence[Item]) -> bool:
        """Publish a chunk with its files, where it is neither in the queue nor ended. False: the server has enough for now. Whether
        it was refused is seen in `refused`. Raises Unusable."""
        name = chunk.chunk
        if name in self._sent and not await self._is_lost_again(jobs, name):
            return True
        kinds = [_unreadable(item) for item in items]
        paths = [item.path if kind is None else "" for item, kind in zip(items, kinds, strict=True)]
        size, place = sum(map(_size, paths)), chunk_place(self._job, name)
        most = LARGEST_CARRIED if len(paths) == 1 else LARGEST_CHUNK
        if size > most:
            remedy = "mount its folder on the hosts, and name it by --mount"
            self.refused[name] = f"it has {size >> 20} MB, and {most >> 20} MB at most are carried; {remedy}"
            return True
        if self._there.keys() - {name} and sum(self._there.values()) + size > MOST_BYTES:
            return False
        await parcels.remove(place)
        self._there[name] = size
        try:
            parcel = await parcels.put(place, paths)
        except OSError as error:
            self.refused[name] = f"it cannot be read: {format_os_error(error)}"
            return True
        self._there[name] = parcel.size
        self._sent.add(name)
        unreadable = [(number, kind) for number, kind in enumerate(kinds) if kind is not None]
        await jobs.publish(structs.replace(chunk, parcel=parcel, unreadable=unreadable))
        return True

    async def forget(self, parcels: Parcels, ended: Iterable[str], waiting: Set[str]) -> None:
        """Remove the files of chunks that have a result, and of chunks of earlier commands that are not queued. Raises Unusable."""
        gone = {*ended, *(self._there.keys() - waiting - self._sent)}
        for name in gone & self._there.keys():
            await parcels.remove(chunk_place(self._job, name))
            del self._there[name]

    async def withdraw(self, parcels: Parcels) -> None:
        """Remove all. Raises Unusable."""
        await parcels.remove(chunk_place(self._job, "*"))

    async def _is_lost_again(self, jobs: Jobs, name: str) -> bool:
        """A host has said that the files of a chunk are not those that were sent. False: too often."""
        why = await jobs.reason(self._job, name)
        if why is not None:
            await jobs.forget(self._job, name)
            self._losses[name] = self._losses.get(name, 0) + 1
        if self._losses.get(name, 0) < MOST_LOSSES:
            return True
        self.refused[name] = f"given up after {MOST_LOSSES} tries: {why}"
        return False


def _unreadable(item: Item) -> Unreadable | None:
    """Why a file that is there cannot be read, as the source of a job judges it."""
    try:
        if item.home is not None:
            home = os.path.realpath(item.home)
            if os.path.commonpath([home, os.path.realpath(item.path)]) != home:
                return "link"
        if not stat.S_ISREG(os.stat(item.path).st_mode):
            return "kind"
    except (OSError, ValueError):
        return None
    return None if os.access(item.path, os.R_OK) else "closed"


def _size(path: str) -> int:
    """Bytes; 0 where it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
