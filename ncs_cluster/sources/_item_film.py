"""A film that is an item of a job: its frames by number, scaled down into slots. Runs on CPython 3.9."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Optional, Tuple, Union

from ncs_cluster.sources._ffmpeg import Unconverted
from ncs_cluster.sources._film import Film
from ncs_cluster.sources._picture import Unreadable, fit, resized
from ncs_cluster.sources._planes import colour_room
from ncs_cluster.sources.base import Planes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MOST_FPS = 1000.0


class Written(NamedTuple):
    """A frame in a slot: its width and height there, and those of the film."""

    width: int
    height: int
    size: Tuple[int, int]


class ItemFilm:
    """One open film. Frames larger than `most`, (width, height), are scaled down."""

    def __init__(self, path: str, home: Optional[str], most: Tuple[int, int]) -> None:
        """`home`: the folder that the file may not lead out of. Raises Unreadable."""
        _check(path, home)
        self._most, self._film = most, Film(path)
        self._room: Optional[NDArray[np.uint8]] = None
        self.passed = 0
        """Frames that were read or skipped: the number of the next one."""
        try:
            self._film.rewind()
        except Unconverted as error:
            self._film.release()
            raise Unreadable(f"is {error}: convert it") from error
        if self._film.size is None:
            self._film.release()
            raise Unreadable("is neither a picture nor a video that OpenCV can decode")

    @property
    def declared(self) -> int:
        """Frames that the file's header declares; 0: unknown."""
        return self._film.declared

    @property
    def size(self) -> Tuple[int, int]:
        """Width and height of the film."""
        assert self._film.size is not None
        return self._film.size.width, self._film.size.height

    @property
    def fps(self) -> float:
        """The rate that the header declares; 0: unknown."""
        # what lacks a rate gets one of OpenCV's making, the ticks of its clock: thousands
        return self._film.declared_fps if 0 < self._film.declared_fps <= MOST_FPS else 0.0

    @property
    def time_s(self) -> float:
        """When the last frame that `next` has written is shown, from the film's start."""
        return self._film.time_s

    def go_to(self, frame: int) -> bool:
        """Skip frames up to this one; False where the film ends before."""
        while self.passed < frame:
            if not self._film.skip():
                return False
            self.passed += 1
        return True

    def next(self, into: Planes) -> Union[Written, str, None]:
        """Write the next frame into the slot. The reason when the frame cannot be decoded; None after the last."""
        size = self._film.size
        assert size is not None
        direct = tuple(size) == fit(size.width, size.height, self._most)
        room = colour_room(into.colour, size.width, size.height) if direct else self._own_room(size.width, size.height)
        frame = self._film.next(room)
        if frame is None:
            return None
        self.passed += 1
        if isinstance(frame, str):
            return frame
        if direct:
            return Written(frame.width, frame.height, (size.width, size.height))
        width, height = fit(frame.width, frame.height, self._most)
        whole = colour_room(room, frame.width, frame.height)
        resized(whole, (width, height), colour_room(into.colour, width, height))
        return Written(width, height, (size.width, size.height))

    def close(self) -> None:
        self._film.release()

    def _own_room(self, width: int, height: int) -> NDArray[np.uint8]:
        import numpy as np

        if self._room is None:
            self._room = np.empty((height, width, 3), np.uint8)
        return self._room


def _check(path: str, home: Optional[str]) -> None:
    try:
        if home is not None:
            folder = os.path.realpath(home)
            if os.path.commonpath([folder, os.path.realpath(path)]) != folder:
                raise Unreadable("is a link out of the folder")
        os.stat(path)
        if not os.path.isfile(path):
            raise Unreadable("is no regular file")
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot be read ({error.strerror if isinstance(error, OSError) else error})") from error
