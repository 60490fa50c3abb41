"""A part of a film, as a host of a job over hosts reads it, with what is known of the frames at its ends. Runs on CPython 3.9."""

from __future__ import annotations

import hashlib
import platform
from typing import Any, Dict, Optional, Tuple, Union

import msgspec

from ncs_cluster.errors import SourceError
from ncs_cluster.fleet.film_part import SMALL, TOLERANCE_MS, Edge, Edges, FilmPart
from ncs_cluster.jobs.ledger import Item
from ncs_cluster.sources._item_film import ItemFilm, Written
from ncs_cluster.sources._picture import Unreadable
from ncs_cluster.sources.base import Planes


def part_of(fields: Dict[str, Any]) -> FilmPart:
    """Raises ValueError."""
    try:
        return msgspec.convert(fields, FilmPart)
    except msgspec.ValidationError as error:
        raise ValueError(f"part: {error}") from error


def opened(item: Item, most: Tuple[int, int], part: Optional[Dict[str, Any]]) -> ItemFilm:
    """The film of an item, or a part of it. Raises Unreadable; SourceError for a part that is not the first, since another host has
    read the film up to there."""
    if part is None:
        return ItemFilm(item.path, item.home, most)
    try:
        return PartFilm(item.path, item.home, most, part_of(part))
    except Unreadable as error:
        if not part_of(part).first:
            raise
        raise SourceError(f"{item.name}: {error}", permanent=True) from error


class PartFilm(ItemFilm):
    """Its frames are numbered from 0 at the part's beginning."""

    def __init__(self, path: str, home: Optional[str], most: Tuple[int, int], part: FilmPart) -> None:
        """Raises Unreadable, as ItemFilm does."""
        super().__init__(path, home, most)
        self._part = part
        self._begin: Optional[Edge] = None
        self._end: Optional[Edge] = None
        self._ended = not self._find_beginning()

    @property
    def declared(self) -> int:
        return self._part.frames

    @property
    def edges(self) -> Edges:
        """Once `next` has returned None."""
        return Edges(self._begin, self._end, self._film.damaged)

    def go_to(self, frame: int) -> bool:
        while self.passed < frame:
            if self._is_over() or not super().go_to(self.passed + 1):
                return False
        return True

    def next(self, into: Planes) -> Union[Written, str, None]:
        return None if self._is_over() else super().next(into)

    def _find_beginning(self) -> bool:
        """False: the film ends before."""
        part, film = self._part, self._film
        if part.begin_ms is None:
            while film.items < part.first:
                if not film.skip():
                    return False
            return True
        sought = film.seek(part.begin_ms)
        while not self._is_reached(part.begin_ms):
            if not film.skip():
                return False
        if sought:
            film.count_from(part.first)
        self._begin = self._edge()
        return True

    def _is_reached(self, time_ms: float) -> bool:
        shown_ms = self._film.ahead_ms()
        return shown_ms is not None and shown_ms >= time_ms - TOLERANCE_MS

    def _is_over(self) -> bool:
        part = self._part
        if self._ended or self._end is not None:
            return True
        counted = part.behind is not None and self._film.items >= part.behind
        if counted or (part.end_ms is not None and self._is_reached(part.end_ms)):
            self._end = self._edge()
        return self._end is not None

    def _edge(self) -> Edge:
        import cv2

        film = self._film
        time_ms, pixels = film.ahead_ms() or 0.0, film.look()
        decoder = f"{platform.machine()} OpenCV {cv2.__version__}"
        if pixels is None:
            return Edge(film.items, time_ms, film.pending, decoder, "")
        small = cv2.resize(pixels, (SMALL, SMALL), interpolation=cv2.INTER_AREA).tobytes()
        return Edge(film.items, time_ms, film.pending, decoder, hashlib.sha256(pixels.tobytes()).hexdigest(), small)
