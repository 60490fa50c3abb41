"""What the host must have for a stick to be opened: libusb, the vendor's firmware, graphs compiled for it, OpenCV. What is missing
is a StickError with its remedy. Runs on CPython 3.9.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ncs_cluster.backends._libusb import Context, UsbError
from ncs_cluster.errors import ConfigError, StickError
from ncs_cluster.specs import GraphSpec
from ncs_cluster.xlink import firmware
from ncs_cluster.xlink.blob import Blob, BlobError


def libusb_context(name: str) -> Context:
    """`name`: the library's name or path."""
    try:
        return Context(name)
    except OSError as error:
        raise StickError("open", f"libusb cannot be loaded: {error}: install the package libusb-1.0-0") from error
    except UsbError as error:
        raise StickError("open", f"libusb does not start: {error}: is /dev/bus/usb there?") from error


def patched_firmware(path: str) -> bytes:
    """As the stick's boot ROM takes it, see xlink.firmware."""
    remedy = "get it with: ncsctl firmware install"
    if not path:
        raise StickError("open", f"no firmware for the stick is named: {remedy}")
    try:
        return firmware.patch(Path(path).read_bytes())
    except OSError as error:
        raise StickError("open", f"no firmware for the stick: {path}: {error.strerror}: {remedy}") from error
    except ConfigError as error:
        raise StickError("open", f"{path} {error}") from error


def blob(spec: GraphSpec) -> Blob:
    """The graph as it was compiled."""
    if spec.blob is None:
        raise StickError("graph", f"graph {spec.name}: it is not compiled for a stick: run: ncsctl graphs compile {spec.name}")
    try:
        return Blob.parse(Path(spec.blob).read_bytes())
    except OSError as error:
        raise StickError("graph", f"graph {spec.name}: {spec.blob}: {error.strerror}") from error
    except BlobError as error:
        raise StickError("graph", f"graph {spec.name}: {spec.blob}: {error}") from error


def one_thread_for_opencv() -> None:
    """A worker has one core: OpenCV's own threads would take turns on it."""
    try:
        import cv2
    except ImportError as error:
        raise StickError("open", f"frames cannot be preprocessed: {error}: install opencv-python") from error
    opencv: Any = cv2
    opencv.setNumThreads(1)
