"""The preview in a window on the desktop.

OpenCV's Qt build aborts the process when the display does not answer, so a process of its own opens a window first.
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

QUIT_KEYS = (ord("q"), ord("Q"))
PROBE = "import cv2; cv2.namedWindow('ncs-cluster'); cv2.waitKey(1)"
PROBE_S = 15.0


def unavailable_reason() -> Optional[str]:
    """Why no window can be opened here, and what to do, in one line; None when one can be opened."""
    toolkits = [line.split(":", 1)[1].strip() for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")]
    if "NONE" in toolkits:
        return "OpenCV is a headless build: install opencv-python in place of opencv-python-headless, or watch the web page"
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not shown:
        return "no display (DISPLAY and WAYLAND_DISPLAY are empty): start the daemon from a desktop, or watch the web page"
    try:
        tried = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, timeout=PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return f"display {shown} does not answer within {PROBE_S:.0f} s: start the daemon from a desktop, or watch the web page"
    if tried.returncode != 0:
        return f"no window can be opened on display {shown}: start the daemon from a desktop, or watch the web page"
    return None


class Window:
    """One window, for one thread. Raises ConfigError when it cannot be opened."""

    def __init__(self, name: str) -> None:
        reason = unavailable_reason()
        if reason is not None:
            raise ConfigError(f"--window: {reason}")
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")  # Qt warns of missing fonts that it does not need
        self._name = name
        self._open = False

    def show(self, picture: Optional[NDArray[np.uint8]]) -> bool:
        """Show a picture, uint8 BGR [height, width, 3], or with None only read the keys. False when q was pressed or the window was
        closed."""
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
        return cv2.waitKey(1) & 0xFF not in QUIT_KEYS

    def close(self) -> None:
        """Close the window; may be called more than once."""
        if self._open and self._visible():
            cv2.destroyWindow(self._name)
            cv2.waitKey(1)
        self._open = False

    def _visible(self) -> bool:
        try:
            return cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            return False
