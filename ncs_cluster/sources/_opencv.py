"""Checks that OpenCV can be imported, or says in one line what to install."""

from __future__ import annotations

import os

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._shared_libraries import missing_shared_library

FATAL = 1


def need_opencv() -> None:
    """First step of every `open` that uses it. Permanent SourceError when it cannot be imported.

    The logs of OpenCV and its FFmpeg are turned off: a source's error reports a fault once, and FFmpeg logs addresses with their
    passwords. OPENCV_LOG_LEVEL and OPENCV_FFMPEG_LOGLEVEL in the environment bring them back.
    """
    try:
        import cv2
    except ImportError as error:
        lacking = missing_shared_library(error)
        remedy = f"{lacking}, or" if lacking else f"{error}:"
        raise SourceError(f"OpenCV cannot be imported: {remedy} pip install opencv-python-headless", permanent=True) from error
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # OpenCV 5 moved the function
        set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
        set_level(FATAL)
