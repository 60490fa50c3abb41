"""OpenCV is there, or one line says what to install."""

from __future__ import annotations

from ncs_cluster.errors import SourceError


def need_opencv() -> None:
    """First step of every `open` that uses it. Permanent SourceError when it cannot be imported."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        remedy = "pip install opencv-python-headless, or apt install libgl1 where libGL.so.1 is missing"
        raise SourceError(f"OpenCV cannot be imported ({error}): {remedy}", permanent=True) from error
