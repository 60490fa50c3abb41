"""The frame pool: fixed slots of shared memory, each a colour plane and maybe a depth plane.

Who may write or read a slot is not decided here: the core grants and leases slots, and a slot has one writer at a time because it
was granted once. Frames may be smaller than their slot; they lie C-contiguous at each plane's start. Runs on CPython 3.9.
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
    """Bytes of one slot: both planes, each padded to whole pages."""
    pixels = layout.max_width * layout.max_height
    return _pages(pixels * 3) + (_pages(pixels * 2) if layout.depth_scale_m is not None else 0)


def create(layout: PoolLayout) -> int:
    """A new pool's descriptor, owned by the caller. No page is used before it is written."""
    return memory.create("ncs-frames", slot_bytes(layout) * layout.slots)


class FramePool:
    """A mapped pool. Views stay valid until `close`; numpy is imported on first use."""

    def __init__(self, fd: int, layout: PoolLayout, *, writable: bool) -> None:
        """Takes over the descriptor."""
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
        """uint8 BGR [height, width, 3]."""
        pixels: NDArray[np.uint8] = self._plane(slot, 0, self._numpy.uint8, width * height * 3, width, height)
        return pixels.reshape(height, width, 3)

    def depth(self, slot: int, width: int, height: int) -> Optional[NDArray[np.uint16]]:
        """uint16 [height, width] in units of `layout.depth_scale_m`, 0 unknown; None when the pool has no depth."""
        if self.layout.depth_scale_m is None:
            return None
        plane = self._plane(slot, self._depth_offset, self._numpy.uint16, width * height, width, height)
        depth: NDArray[np.uint16] = plane.reshape(height, width)
        return depth

    def image(self, frame: FrameRef) -> NDArray[np.uint8]:
        """The colour plane of a frame."""
        return self.colour(frame.slot, frame.width, frame.height)

    def _plane(self, slot: int, offset: int, dtype: Any, count: int, width: int, height: int) -> Any:
        layout = self.layout
        if not 0 <= slot < layout.slots or width * height > layout.max_width * layout.max_height:
            raise ValueError(f"slot {slot} of {width}x{height} is outside a pool of {layout}")
        return self._numpy.frombuffer(self._map, dtype, count, slot * self._slot_bytes + offset)

    def close(self) -> None:
        """Drop the mapping; where views still exist it goes with the last of them."""
        try:
            self._map.close()
        except BufferError:
            pass
