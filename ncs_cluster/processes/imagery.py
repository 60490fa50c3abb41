"""Reads a job's items again and draws results onto them, for sinks of pictures: frames have the numbers of the records, because the
job's source reads them by the same code. See sinks.base.Imagery. Runs on CPython 3.9.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

from ncs_cluster.jobs.ledger import Item
from ncs_cluster.sinks.base import FilmFrame, Lost
from ncs_cluster.sources._item_film import ItemFilm
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._picture import Unreadable, decode
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Planes
from ncs_cluster.types import Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = (1 << 20, 1 << 20)
"""Nothing is scaled down."""
QUALITY = 92
"""Of JPEG files, 0 to 100."""
STEP = 50
"""Frames between two looks at the clock."""


class JobImagery:
    """See sinks.base.Imagery."""

    def picture(self, item: Item) -> NDArray[np.uint8]:
        need_opencv()
        try:
            return decode(item.path, LARGEST, item.home).pixels
        except Unreadable as error:
            raise Lost(f"{item.name}: {error}") from error

    def film(self, item: Item) -> ReadAgain:
        need_opencv()
        try:
            return ReadAgain(ItemFilm(item.path, item.home, LARGEST))
        except Unreadable as error:
            raise Lost(f"{item.name}: {error}") from error

    def draw(self, pixels: NDArray[np.uint8], graph: str, outcome: Outcome) -> None:
        from ncs_cluster.render.picture import Overlay, draw

        draw(pixels, {graph: outcome}, Overlay(has_depth=False))

    def jpeg(self, pixels: NDArray[np.uint8]) -> bytes:
        import cv2

        return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


class ReadAgain:
    """See sinks.base.FilmAgain."""

    def __init__(self, film: ItemFilm) -> None:
        import numpy as np

        self._film = film
        self.size, self.fps = film.size, film.fps
        self._planes = Planes(np.zeros((self.size[1], self.size[0], 3), np.uint8))

    @property
    def next(self) -> int:
        return self._film.passed

    @next.setter
    def next(self, _value: int) -> None:
        raise AttributeError("read or skip frames")

    def skip(self, number: int, until_s: float) -> bool:
        while self.next < number:
            if not self._film.go_to(min(number, self.next + STEP)):
                return True
            if time.monotonic() >= until_s:
                break
        return self.next >= number

    def read(self) -> Optional[FilmFrame]:
        written = self._film.next(self._planes)
        if written is None:
            return None
        if isinstance(written, str):
            return FilmFrame(None, None)
        pixels = self._planes.colour
        if (written.width, written.height) != self.size:
            import cv2
            import numpy as np

            smaller = colour_room(pixels, written.width, written.height)
            pixels = np.asarray(cv2.resize(smaller, self.size, interpolation=cv2.INTER_LINEAR), np.uint8)
        return FilmFrame(pixels, self._film.time_s)

    def close(self) -> None:
        self._film.close()
