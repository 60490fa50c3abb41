"""The ring of preview pictures: one writer, any number of readers, no locks and no leases.

A slot is a seqlock: its header holds the number of the write that began and of the write that ended. A reader takes the newest
ended slot, uses the pixels and then calls `intact`: False means that the writer has overwritten the slot meanwhile, and the pixels
are discarded. With SLOTS slots a reader has SLOTS - 1 picture periods. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple, Optional

from ncs_cluster.ipc import memory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SLOTS = 4
_HEAD = struct.Struct("<QQqII")  # write begun, write ended, frame, width, height
_HEAD_BYTES = 4096
_NUMBER = struct.Struct("<Q")


def ring_bytes(slots: int, max_width: int, max_height: int) -> int:
    """Size of the shared memory, bytes."""
    return slots * (_HEAD_BYTES + max_width * max_height * 3)


def create(slots: int, max_width: int, max_height: int) -> int:
    """The descriptor of a new ring, owned by the caller. Sizes in pixels."""
    return memory.create("ncs-pictures", ring_bytes(slots, max_width, max_height))


class Picture(NamedTuple):
    """A picture in the ring: use the pixels, then call `PictureRing.intact`."""

    number: int
    """Of the write: 1 for the first picture, and rising."""
    frame: int
    """Number of the frame that was drawn."""
    pixels: NDArray[np.uint8]
    """uint8 BGR [height, width, 3], a view of the shared memory."""
    slot: int


class PictureRing:
    """A mapped ring, for its writer or for a reader."""

    def __init__(self, fd: int, slots: int, max_width: int, max_height: int, *, writable: bool) -> None:
        """Takes ownership of the descriptor."""
        self.slots, self.max_width, self.max_height = slots, max_width, max_height
        self._stride = _HEAD_BYTES + max_width * max_height * 3
        try:
            self._map = memory.attach(fd, ring_bytes(slots, max_width, max_height), writable=writable)
        finally:
            os.close(fd)
        # a new writer continues the numbers of the last one, so that they rise for readers
        self._written = max(max(self._head(slot)[:2]) for slot in range(slots))

    def begin(self, width: int, height: int) -> NDArray[np.uint8]:
        """The pixels to draw into, uint8 BGR [height, width, 3]; readers see them after `commit`."""
        slot = (self._written + 1) % self.slots
        _NUMBER.pack_into(self._map, slot * self._stride, self._written + 1)
        return self._pixels(slot, width, height)

    def commit(self, frame: int, width: int, height: int) -> int:
        """Publish the picture of the last `begin`; returns its number."""
        self._written += 1
        slot = self._written % self.slots
        _HEAD.pack_into(self._map, slot * self._stride, self._written, self._written, frame, width, height)
        return self._written

    def newest(self, after: int = 0, *, behind: int = 0) -> Optional[Picture]:
        """The newest complete picture with a number above `after`, or None. `behind`: the oldest of those instead that were drawn
        at most so many pictures before it."""
        complete = []
        for slot in range(self.slots):
            begun, ended, frame, width, height = self._head(slot)
            if begun == ended and ended > after and 0 < width * height <= self.max_width * self.max_height:
                complete.append((ended, frame, width, height, slot))
        if not complete:
            return None
        least = max(complete)[0] - behind
        number, frame, width, height, slot = min(each for each in complete if each[0] >= least)
        return Picture(number, frame, self._pixels(slot, width, height), slot)

    def intact(self, picture: Picture) -> bool:
        """True when the pixels have not been overwritten since `newest` returned them."""
        return self._head(picture.slot)[0] == picture.number

    def _head(self, slot: int) -> tuple[int, int, int, int, int]:
        begun, ended, frame, width, height = _HEAD.unpack_from(self._map, slot * self._stride)
        return begun, ended, frame, width, height

    def _pixels(self, slot: int, width: int, height: int) -> NDArray[np.uint8]:
        import numpy

        if not 0 < width * height <= self.max_width * self.max_height:
            raise ValueError(f"a picture of {width}x{height} is larger than the ring's {self.max_width}x{self.max_height}")
        offset = slot * self._stride + _HEAD_BYTES
        return numpy.frombuffer(self._map, numpy.uint8, width * height * 3, offset).reshape(height, width, 3)

    def close(self) -> None:
        """Unmap the memory; while views exist it stays mapped."""
        try:
            self._map.close()
        except BufferError:
            pass
