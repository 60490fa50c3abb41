"""The frame pool: slots of equal size in shared memory, each with a colour plane, for a depth camera a depth plane, and for an
intake an answer plane, which workers write.

The core decides which process may write or read a slot (core/slots.py). A frame may be smaller than its slot; its planes are
C-contiguous from the start of the slot's planes. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

from ncs_cluster.ipc import memory
from ncs_cluster.types import FrameRef, PoolLayout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PAGE = 4096


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def slot_bytes(layout: PoolLayout) -> int:
    """Bytes of one slot: its planes, each padded to whole pages."""
    return _answer_offset(layout) + _pages(layout.answer_bytes)


def _answer_offset(layout: PoolLayout) -> int:
    pixels = layout.max_width * layout.max_height
    return _pages(pixels * 3) + (_pages(pixels * 2) if layout.depth_scale_m is not None else 0)


def create(layout: PoolLayout) -> int:
    """The descriptor of a new pool, owned by the caller. The kernel allocates a page when it is first written."""
    return memory.create("ncs-frames", slot_bytes(layout) * layout.slots)


class FramePool:
    """A mapped pool. Views are valid until `close`. Imports numpy."""

    def __init__(self, fd: int, layout: PoolLayout, *, writable: bool) -> None:
        """Takes ownership of the descriptor."""
        import numpy

        self.layout = layout
        self._numpy: Any = numpy
        self._slot_bytes = slot_bytes(layout)
        self._depth_offset = _pages(layout.max_width * layout.max_height * 3)
        try:
            self._map = memory.attach(fd, self._slot_bytes * layout.slots, writable=writable)
        finally:
            os.close(fd)

    def colour(self, slot: int, width: int, height: int) -> NDArray[np.uint8]:
        """The colour plane of a slot, uint8 BGR [height, width, 3]."""
        pixels: NDArray[np.uint8] = self._plane(slot, 0, self._numpy.uint8, width * height * 3, width, height)
        return pixels.reshape(height, width, 3)

    def depth(self, slot: int, width: int, height: int) -> Optional[NDArray[np.uint16]]:
        """The depth plane of a slot, uint16 [height, width] in units of `layout.depth_scale_m` metres, 0 for unknown; None when
        the pool has no depth."""
        if self.layout.depth_scale_m is None:
            return None
        plane = self._plane(slot, self._depth_offset, self._numpy.uint16, width * height, width, height)
        depth: NDArray[np.uint16] = plane.reshape(height, width)
        return depth

    def image(self, frame: FrameRef) -> NDArray[np.uint8]:
        """The colour plane of a frame, uint8 BGR [height, width, 3]."""
        return self.colour(frame.slot, frame.width, frame.height)

    def answer(self, slot: int) -> memoryview:
        """The answer plane of a slot, `layout.answer_bytes` bytes."""
        if not 0 <= slot < self.layout.slots:
            raise ValueError(f"slot {slot} is outside the pool {self.layout}")
        begin = slot * self._slot_bytes + _answer_offset(self.layout)
        return memoryview(self._map)[begin : begin + self.layout.answer_bytes]

    def _plane(self, slot: int, offset: int, dtype: Any, count: int, width: int, height: int) -> Any:
        layout = self.layout
        if not 0 <= slot < layout.slots or width * height > layout.max_width * layout.max_height:
            raise ValueError(f"slot {slot} with {width}x{height} pixels is outside the pool {layout}")
        return self._numpy.frombuffer(self._map, dtype, count, slot * self._slot_bytes + offset)

    def close(self) -> None:
        """Unmap the memory; while views exist it stays mapped."""
        try:
            self._map.close()
        except BufferError:
            pass
