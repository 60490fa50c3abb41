"""Fills the window of chunks to be published: films are divided here, which takes as long as reading their files."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator

from ncs_cluster.cli.run import divided_film
from ncs_cluster.cli.run.chunking import Cut, may_be_divided
from ncs_cluster.cli.run.divided_film import DividedFilm
from ncs_cluster.cli.run.film_cutting import Cutter
from ncs_cluster.fleet.film_part import FilmPart
from ncs_cluster.jobs.ledger import Ledger


class Filler:
    """The cuts of a job, with the parts of films where it `divides`."""

    def __init__(self, ledger: Ledger, cuts: Iterator[Cut], *, divides: bool) -> None:
        self._ledger, self._cuts, self._divides = ledger, cuts, divides
        self._next = next(cuts, None)
        self._ready: deque[Cut] = deque()
        """Parts of a film that found no room yet."""
        self._cutter = Cutter()
        self._cutting: asyncio.Task[list[FilmPart]] | None = None
        """Finds out where the film of `_next` can be cut."""

    @property
    def done(self) -> bool:
        """Every cut of the job was in the window."""
        return self._next is None and not self._ready

    async def fill(self, window: deque[Cut], most: int, longest_s: float) -> None:
        """Add cuts up to this many, for at most so long. Raises OSError, LedgerError, ConfigError."""
        until_s = time.monotonic() + longest_s
        while len(window) < most and not self.done:
            if not self._ready and self._next is not None:
                found = await self._divided(self._next, until_s)
                if found is None:
                    return
                self._ready.extend(found)
                self._next = next(self._cuts, None)
            cut = self._ready.popleft()
            if cut.film is None or cut.film.has(cut.part):
                window.append(cut)

    async def close(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            await asyncio.wait({self._cutting})
        await self._cutter.close()

    async def _divided(self, cut: Cut, until_s: float) -> list[Cut] | None:
        """None: its file is still being read."""
        item = cut.items[0].item
        if not self._divides or len(cut.items) > 1 or not may_be_divided(cut.items[0].name):
            return [cut]
        if (film := divided_film.kept(self._ledger, item.number)) is None:
            if self._cutting is None:
                self._cutting = asyncio.create_task(self._cutter.parts(item.path))
            await asyncio.wait({self._cutting}, timeout=max(0.0, until_s - time.monotonic()))
            if not self._cutting.done():
                return None
            parts, self._cutting = self._cutting.result(), None
            if len(parts) == 1:
                return [cut]
            film = DividedFilm(self._ledger, item.number, parts)
            film.keep()
        return [Cut(cut.items, film, index) for index in range(film.at.index, len(film.parts))]
