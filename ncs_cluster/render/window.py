"""A window on the desktop, where OpenCV can open one and somebody has a screen.

OpenCV's Qt build aborts the whole process when its display does not answer, so another process tries first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Optional

import cv2

from ncs_cluster.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUIT = (ord("q"), ord("Q"))
PROBE = "import cv2; cv2.namedWindow('ncs-cluster'); cv2.waitKey(1)"
PROBE_S = 15.0


def why_not() -> Optional[str]:
    """One line saying why no window can be opened here and what to do, or None when one can."""
    toolkits = [line.split(":", 1)[1].strip() for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")]
    if "NONE" in toolkits:
        return "this OpenCV is a headless build: install opencv-python in place of opencv-python-headless, or watch the web page"
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display (DISPLAY and WAYLAND_DISPLAY are empty): start it from a desktop, or watch the web page"
    try:
        tried = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, timeout=PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "the display does not answer: start it from a desktop, or watch the web page"
    if tried.returncode != 0:
        shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        return f"no window can be opened on display {shown}: start it from a desktop, or watch the web page"
    return None


class Window:
    """One window; to be used by one thread. ConfigError when none can be opened."""

    def __init__(self, name: str) -> None:
        reason = why_not()
        if reason is not None:
            raise ConfigError(f"--window: {reason}")
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")  # Qt misses fonts it does not need
        self._name = name
        self._open = False

    def show(self, picture: Optional[NDArray[np.uint8]]) -> bool:
        """Show uint8 BGR [height, width, 3], or only look at the keys. False when q was pressed or the window was closed."""
        if not self._open:
            if picture is None:
                return True
            cv2.namedWindow(self._name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            cv2.resizeWindow(self._name, picture.shape[1], picture.shape[0])
            self._open = True
        elif not self._visible():
            return False
        if picture is not None:
            cv2.imshow(self._name, picture)
        return cv2.waitKey(1) & 0xFF not in QUIT

    def close(self) -> None:
        """Any number of times."""
        if self._open and self._visible():
            cv2.destroyWindow(self._name)
            cv2.waitKey(1)
        self._open = False

    def _visible(self) -> bool:
        try:
            return cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            return False
