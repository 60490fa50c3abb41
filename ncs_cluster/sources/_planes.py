"""Views of a frame in a slot: at the plane's start, rows without padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncs_cluster.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def colour_room(plane: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The view [height, width, 3] a frame is written into. SourceError when the slot is too small for it."""
    _check(plane.size, width * height * 3, width, height)
    return plane.reshape(-1)[: width * height * 3].reshape(height, width, 3)


def depth_room(plane: NDArray[np.uint16], width: int, height: int) -> NDArray[np.uint16]:
    """The view [height, width] a depth frame is written into. SourceError when the slot is too small for it."""
    _check(plane.size, width * height, width, height)
    return plane.reshape(-1)[: width * height].reshape(height, width)


def _check(has: int, needs: int, width: int, height: int) -> None:
    if needs > has:
        raise SourceError(f"a frame of {width}x{height} is larger than its slot: the source is reopened with its new size")
