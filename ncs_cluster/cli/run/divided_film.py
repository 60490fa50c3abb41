"""A film whose parts are done by hosts: where it is cut, up to which part its records are written, and which parts must be done in
another way because they do not join the one before.

What a later command needs of it is kept in the ledger: the cuts, and the beginnings of parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct, structs

from ncs_cluster.errors import ConfigError
from ncs_cluster.fleet import film_part
from ncs_cluster.fleet.chunk import Malformed
from ncs_cluster.fleet.film_part import Edge, Edges, FilmPart, joins
from ncs_cluster.jobs.ledger import Ledger

AS_CUT, COUNTED, FROM_START = "p", "n", "x"
"""How a part is done: as it was cut; with the number that its first frame has; decoded from the film's start. In chunks' names."""


class Begun(Struct, frozen=True):
    """The beginning of a part, behind the parts before it."""

    index: int
    first: int
    """The number of its first frame."""
    edge: Edge | None
    """That frame, as the host of the part before has decoded it."""


class _Kept(Struct, frozen=True):
    parts: list[FilmPart]
    begun: list[Begun] = []


class DividedFilm:
    """See the module. Methods that keep raise OSError, LedgerError."""

    def __init__(self, ledger: Ledger, number: int, parts: Sequence[FilmPart], begun: Sequence[Begun] = ()) -> None:
        """`number`: of the item. `begun`: see `kept`."""
        self._ledger, self.number, self.parts = ledger, number, list(parts)
        self._begun = list(begun) or [Begun(0, 0, None)]
        self._ways: dict[int, str] = {}
        self._restarts = 0
        """Parts that had to be decoded from the film's start."""
        self.over = False
        """Its end was reached, whatever parts are left."""

    @property
    def at(self) -> Begun:
        """The part that is written next."""
        return self._begun[-1]

    @property
    def about(self) -> int:
        """How many frames it has, counted in packets."""
        return self.parts[-1].first + self.parts[-1].frames

    def names(self, index: int) -> list[str]:
        """Of all chunks in which a part was published, the present one last."""
        ways = [AS_CUT, COUNTED, FROM_START]
        return [f"{self.number}-{way}{index}" for way in ways[: ways.index(self._way(index)) + 1]]

    def part(self, index: int) -> FilmPart:
        """As a host is to do it."""
        cut = self.parts[index]
        if self._way(index) == AS_CUT:
            return cut
        begin_ms = cut.begin_ms if self._way(index) == COUNTED else None
        return structs.replace(cut, first=self.at.first, begin_ms=begin_ms)

    def fits(self, edges: Edges | None) -> bool:
        """Whether the part that is written next was done right; else it must be done in another way. Raises Malformed."""
        index, way = self.at.index, self._way(self.at.index)
        if edges is None:
            raise Malformed("does not say where its part of a film begins and ends")
        if self.parts[index].begin_ms is None or way == FROM_START:
            return True
        if edges.damaged or not joins(self.at.edge, edges.begin):
            self._do_from_start(index)
        elif edges.begin is None:
            raise Malformed("does not say where its part of a film begins")
        elif edges.end is None and edges.begin.number != self.at.first:
            # a film that ends too early has a record that names this number
            self._ways[index] = COUNTED
        return self._way(index) == way

    def has(self, index: int) -> bool:
        """The part is to be done."""
        return not self.over and index < len(self.parts)

    def missing(self) -> int:
        """The frames of the part that is written next, where no host could do it."""
        part = self.parts[self.at.index]
        return max(1, part.first + part.frames - self.at.first)

    def written(self, frames: int, end: Edge | None, *, over: bool) -> None:
        """The records of the part that was next are written."""
        if over:
            self._ledger.forget(_name(self.number))
            self.over = True
            return
        begun = [*self._begun, Begun(self.at.index + 1, self.at.first + frames, end)]
        # sinks may lose what they have not noted yet
        noted = self._ledger.written - self._ledger.first_frame(self.number)
        while len(begun) > 1 and begun[1].first <= noted:
            del begun[0]
        self._keep(begun)
        self._begun = begun

    def keep(self) -> None:
        """Keep in the ledger where the film is cut."""
        self._keep(self._begun)

    def _keep(self, begun: list[Begun]) -> None:
        self._ledger.keep(_name(self.number), msgspec.json.encode(_Kept(self.parts, begun)).decode())

    def _do_from_start(self, index: int) -> None:
        self._ways[index] = FROM_START
        self._restarts += 1
        if self._restarts >= film_part.FROM_START:
            # a host that goes on from here decodes each frame once
            rest = self.parts[index:]
            frames = sum(part.frames for part in rest)
            self.parts[index:] = [FilmPart(rest[0].first, frames, rest[0].begin_ms)]
            self.keep()

    def _way(self, index: int) -> str:
        return self._ways.get(index, AS_CUT)


def kept(ledger: Ledger, number: int) -> DividedFilm | None:
    """What an earlier command has kept of an item, from which the job goes on; None where it was not cut. Raises ConfigError."""
    if (text := ledger.kept(_name(number))) is None:
        return None
    try:
        found = msgspec.json.decode(text, type=_Kept)
    except msgspec.MsgspecError as error:
        raise ConfigError("the ledger of the job is damaged; remove its folder to begin anew") from error
    place = ledger.place(ledger.written)
    # records may have been lost that were written and not noted, or written without hosts
    frame = place.frame if place.item == number else 0
    return DividedFilm(ledger, number, found.parts, [each for each in found.begun if each.first <= frame])


def place_of(name: str) -> tuple[int, int]:
    """The item number and the part index in a chunk's name; -1 for the part of a chunk of whole items, both for a foreign name."""
    number, _, rest = name.partition("-")
    part = int(rest[1:]) if rest[:1] in (AS_CUT, COUNTED, FROM_START) and rest[1:].isdecimal() else -1
    return (int(number) if number.isdecimal() else -1), part


def _name(number: int) -> str:
    return f"film {number}"
