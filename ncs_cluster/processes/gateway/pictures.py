"""The newest picture of each camera as JPEG: encoded once, however many look; who is slow misses some and is never behind.

A camera draws only while somebody looks, so looking comes first (`watch`) and then the wait for the next picture. It is told that
nobody looks only after a few seconds, lest a reloaded page or a polled snapshot stop and start it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from ncs_cluster.ipc.pictures import PictureRing
from ncs_cluster.messages import MapPictures

QUALITY = 80
GRACE_S = 5.0
_TRIES = 3


class Jpeg(NamedTuple):
    """One encoded picture. `number` rises by one with each, across restarts of the camera."""

    number: int
    data: bytes


class View:
    """One camera as seen from here."""

    def __init__(self) -> None:
        self.ring: PictureRing | None = None
        self.seen = 0
        self.viewers = 0
        self.lingering: asyncio.TimerHandle | None = None
        self.jpeg: Jpeg | None = None
        self.next = asyncio.Event()
        self.encoding: asyncio.Task[None] | None = None
        self.again = False

    @property
    def watched(self) -> int:
        return max(self.viewers, int(self.lingering is not None))


class Pictures:
    """All cameras. Lives in the event loop; encoding happens in one thread beside it."""

    def __init__(self, on_watch: Callable[[], object]) -> None:
        """`on_watch` is called when `watched` may have changed."""
        self._on_watch = on_watch
        self._views: dict[str, View] = {}
        self._thread = ThreadPoolExecutor(1, "encode")
        self._stopping = False

    def __contains__(self, camera: str) -> bool:
        return camera in self._views

    def expect(self, camera: str) -> None:
        """It is configured: somebody may look before it has a ring."""
        self._views.setdefault(camera, View())

    def map(self, message: MapPictures, fds: list[int]) -> None:
        """A ring, in place of an older one. Takes over its descriptor."""
        view = self._views.setdefault(message.camera, View())
        view.ring = PictureRing(fds[0], message.slots, message.max_width, message.max_height, writable=False)
        view.seen = 0

    def gone(self, camera: str) -> None:
        """No longer configured; whoever waits for its pictures is told."""
        view = self._views.pop(camera, None)
        if view is not None:
            if view.lingering is not None:
                view.lingering.cancel()
            view.next.set()

    def ready(self, camera: str) -> None:
        """A picture was drawn: encode it if somebody looks, after the one that is being encoded."""
        view = self._views.get(camera)
        if view is None or not view.watched:
            return
        if view.encoding is None:
            view.encoding = asyncio.create_task(self._encode(view))
        else:
            view.again = True

    async def _encode(self, view: View) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                view.again = False
                ring, after = view.ring, view.seen
                if ring is not None:
                    number, data = await loop.run_in_executor(self._thread, encode_newest, ring, after)
                    if ring is view.ring and data is not None:
                        view.seen = number
                        view.jpeg = Jpeg(view.jpeg.number + 1 if view.jpeg else 1, data)
                        waited, view.next = view.next, asyncio.Event()
                        waited.set()
                if not view.again:
                    return
        finally:
            view.encoding = None

    async def next(self, camera: str, after: int) -> Jpeg | None:
        """The newest picture with a number above `after`, waiting for it; None when the camera is gone or the gateway stops."""
        while not self._stopping and (view := self._views.get(camera)) is not None:
            if view.jpeg is not None and view.jpeg.number > after:
                return view.jpeg
            await view.next.wait()
        return None

    def stop(self) -> None:
        """End every wait for a picture."""
        self._stopping = True
        for view in self._views.values():
            view.next.set()

    def newest(self, camera: str) -> int:
        """The number of the newest picture so far, 0 when there is none."""
        view = self._views.get(camera)
        return view.jpeg.number if view is not None and view.jpeg is not None else 0

    @contextmanager
    def watch(self, camera: str) -> Iterator[None]:
        """Somebody looks."""
        view = self._views[camera]
        view.viewers += 1
        if view.lingering is not None:
            view.lingering.cancel()
            view.lingering = None
        self._on_watch()
        try:
            yield
        finally:
            view.viewers -= 1
            if not view.viewers:
                view.lingering = asyncio.get_running_loop().call_later(GRACE_S, self._end_grace, view)
            self._on_watch()

    def _end_grace(self, view: View) -> None:
        view.lingering = None
        self._on_watch()

    def watched(self) -> dict[str, int]:
        """How many look at each camera; somebody who has just left still counts as one."""
        return {camera: view.watched for camera, view in self._views.items()}


def encode_newest(ring: PictureRing, after: int) -> tuple[int, bytes | None]:
    """The newest picture's number and its JPEG; (after, None) when there is none newer or the writer was faster every time."""
    import cv2

    for _ in range(_TRIES):
        picture = ring.newest(after)
        if picture is None:
            break
        done, data = cv2.imencode(".jpg", picture.pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if done and ring.intact(picture):
            return picture.number, data.tobytes()
    return after, None
