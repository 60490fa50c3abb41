"""The image ring: slots of equal size in a sealed memfd, which a program writes and the source `feed` reads.

An image lies C-contiguous at the start of its slot. The kernel allocates a page when it is first written, so room for large images
costs nothing until one comes. Runs on CPython 3.9.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PAGE = 4096


def slot_bytes(width: int, height: int) -> int:
    """Bytes of a slot for images of `width` * `height` pixels: whole pages."""
    return -(-width * height * 3 // _PAGE) * _PAGE


class ImageRing:
    """A mapped ring. Imports numpy."""

    def __init__(self, fd: int, slots: int, width: int, height: int, *, writable: bool) -> None:
        """The caller keeps the descriptor. Raises ValueError when the memory is smaller than the ring."""
        import numpy

        self.slots, self.width, self.height = slots, width, height
        self._numpy = numpy
        self._slot_bytes = slot_bytes(width, height)
        size = self._slot_bytes * slots
        if os.fstat(fd).st_size < size:
            raise ValueError(f"shared memory of {os.fstat(fd).st_size} bytes is smaller than the {size} bytes of its ring")
        self._map = mmap.mmap(fd, size, prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))

    def holds(self, width: int, height: int) -> bool:
        """An image of this size fits into a slot."""
        return width * height <= self.width * self.height

    def image(self, slot: int, width: int, height: int) -> NDArray[np.uint8]:
        """The image in a slot, uint8 BGR [height, width, 3], a view. Raises ValueError for a slot or size outside the ring."""
        if not (0 <= slot < self.slots and width > 0 and height > 0 and self.holds(width, height)):
            raise ValueError(f"slot {slot} with {width}x{height} pixels is outside the ring")
        pixels = self._numpy.frombuffer(self._map, self._numpy.uint8, width * height * 3, slot * self._slot_bytes)
        return pixels.reshape(height, width, 3)

    def close(self) -> None:
        """Unmap the memory; while views exist it stays mapped."""
        try:
            self._map.close()
        except BufferError:
            pass
