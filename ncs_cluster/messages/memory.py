"""Messages about shared memory; its descriptor comes with a Map message. Runs on CPython 3.9."""

from __future__ import annotations

from ncs_cluster.messages.child import Message
from ncs_cluster.types import CameraName, PoolLayout


class MapPool(Message, frozen=True):
    """A frame pool; its descriptor comes with this message. Workers map it read-only, the camera writable."""

    layout: PoolLayout


class UnmapPool(Message, frozen=True):
    """The pool is dropped; unmap it."""

    pool: int


class MapPictures(Message, frozen=True):
    """The ring of drawn pictures; its descriptor comes with this message."""

    camera: CameraName
    slots: int
    max_width: int
    max_height: int
