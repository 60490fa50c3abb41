"""The supervisor's descriptor of one piece of shared memory of a camera: a frame pool or a picture ring."""

from __future__ import annotations

import os
from collections.abc import Callable


class CameraMemory:
    """Created when it is first sent: where that fails, the next child that needs it tries again."""

    def __init__(self, create: Callable[[], int]) -> None:
        self._create = create
        self._fd = -1

    def descriptor(self) -> int:
        """Raises OSError."""
        if self._fd < 0:
            self._fd = self._create()
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
