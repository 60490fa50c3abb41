"""Helpers around librealsense's Python binding: its import, errors in one line, colour formats to BGR."""

from __future__ import annotations

import platform
from typing import Any

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._shared_libraries import missing_shared_library


def library() -> Any:
    """The module. Permanent SourceError when it, or a shared library it loads, is missing."""
    try:
        import pyrealsense2
    except ImportError as error:
        if (lacking := missing_shared_library(error)) is not None:
            raise SourceError(f"pyrealsense2 cannot be loaded: {lacking}", permanent=True) from error
        here = f"Python {platform.python_version()} on {platform.machine()}"
        raise SourceError(
            f"pyrealsense2 is missing in {here}: pip install pyrealsense2, which has wheels for x86_64 and, on aarch64, for "
            "Python 3.9, 3.10 and 3.12; the camera may have an interpreter of its own, see docs/sources.md",
            permanent=True,
        ) from error
    # some builds nest the module one level deeper
    return pyrealsense2 if hasattr(pyrealsense2, "pipeline") else pyrealsense2.pyrealsense2


def one_line(error: Exception) -> str:
    """The error in one line; librealsense's messages have several."""
    return " ".join(str(error).split()) or type(error).__name__


def write_bgr(rs: Any, frame: Any, slot: Any) -> None:
    """Write a colour or infrared frame into `slot`, uint8 BGR [height, width, 3]. Permanent SourceError for any other format."""
    import cv2
    import numpy as np

    kind, (height, width) = frame.get_profile().format(), slot.shape[:2]
    pixels = np.ascontiguousarray(np.asanyarray(frame.get_data())).view(np.uint8).reshape(height, width, -1)
    if kind == rs.format.bgr8:
        np.copyto(slot, pixels)
        return
    codes = {
        rs.format.y8: cv2.COLOR_GRAY2BGR,
        rs.format.rgb8: cv2.COLOR_RGB2BGR,
        rs.format.bgra8: cv2.COLOR_BGRA2BGR,
        rs.format.rgba8: cv2.COLOR_RGBA2BGR,
        rs.format.yuyv: cv2.COLOR_YUV2BGR_YUYV,
        rs.format.uyvy: cv2.COLOR_YUV2BGR_UYVY,
    }
    if kind not in codes:
        raise SourceError(f"colour format {kind} is not supported: record or stream bgr8, rgb8 or yuyv", permanent=True)
    cv2.cvtColor(pixels, codes[kind], dst=slot)
