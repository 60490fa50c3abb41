"""The pictures of each camera as JPEG, encoded once for all viewers. A slow viewer skips pictures; a gateway that the machine has
kept waiting skips none as long as it is at most BEHIND pictures late.

A camera draws only while it has viewers, so a viewer first registers (`watch`) and then waits for the next picture. A camera keeps
one viewer for GRACE_S after the last has left, so that a reloaded page or a polled snapshot does not stop and start drawing.
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
BEHIND = 1
"""Pictures before the newest that are encoded too: the ring holds few, and a viewer wants the newest."""
IN_A_ROW_S = 0.5
"""After a longer pause the newest alone is encoded: those before it may be of an earlier viewer's time."""
_TRIES = 3


class Jpeg(NamedTuple):
    """One encoded picture. `number` increases by one with each picture of the camera, also across restarts of its process."""

    number: int
    data: bytes
    at_s: float
    """Time of encoding, by the event loop's clock."""


class View:
    """State of one camera: its ring, its viewers, its newest JPEG."""

    def __init__(self) -> None:
        self.ring: PictureRing | None = None
        self.last_encoded = 0
        self.viewers = self.streams = 0
        self.grace_timer: asyncio.TimerHandle | None = None
        self.jpeg: Jpeg | None = None
        self.next = asyncio.Event()
        self.encoding: asyncio.Task[None] | None = None
        self.drawn_meanwhile = False

    @property
    def watched(self) -> int:
        """Number of viewers; 1 during the grace period."""
        return max(self.viewers, int(self.grace_timer is not None))

    @property
    def streamed(self) -> bool:
        """One of the viewers looks at every picture."""
        return self.streams > 0


class Pictures:
    """The pictures of all cameras. Lives in the event loop; encodes in one thread."""

    def __init__(self, on_watch: Callable[[], object]) -> None:
        """`on_watch` is called when `watched` may have changed."""
        self._on_watch = on_watch
        self._views: dict[str, View] = {}
        self._thread = ThreadPoolExecutor(1, "encode")
        self._stopping = False

    def __contains__(self, camera: str) -> bool:
        return camera in self._views

    def expect(self, camera: str) -> None:
        """Accept viewers for a configured camera that has no ring yet."""
        self._views.setdefault(camera, View())

    def map(self, message: MapPictures, fds: list[int]) -> None:
        """Set the camera's ring, or replace it. Takes ownership of `fds[0]`."""
        view = self._views.setdefault(message.camera, View())
        view.ring = PictureRing(fds[0], message.slots, message.max_width, message.max_height, writable=False)
        view.last_encoded = 0

    def gone(self, camera: str) -> None:
        """Remove a camera that is no longer configured; waits for its pictures end with None."""
        view = self._views.pop(camera, None)
        if view is not None:
            if view.grace_timer is not None:
                view.grace_timer.cancel()
            view.next.set()

    def ready(self, camera: str) -> None:
        """A picture was drawn: encode it where there is a viewer, after the picture that is being encoded now."""
        view = self._views.get(camera)
        if view is None or not view.watched:
            return
        if view.encoding is None:
            view.encoding = asyncio.create_task(self._encode(view))
        else:
            view.drawn_meanwhile = True

    async def _encode(self, view: View) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                view.drawn_meanwhile = False
                ring, after = view.ring, view.last_encoded
                more = False
                if ring is not None:
                    in_a_row = view.jpeg is not None and loop.time() - view.jpeg.at_s <= IN_A_ROW_S
                    behind = BEHIND if in_a_row else 0
                    number, data = await loop.run_in_executor(self._thread, encode_newest, ring, after, behind)
                    if ring is view.ring and data is not None:
                        view.last_encoded = number
                        view.jpeg = Jpeg(view.jpeg.number + 1 if view.jpeg else 1, data, loop.time())
                        waited, view.next = view.next, asyncio.Event()
                        waited.set()
                        more = ring.newest(number) is not None
                if not view.drawn_meanwhile and not more:
                    return
        finally:
            view.encoding = None

    async def next(self, camera: str, after: int) -> Jpeg | None:
        """Wait for a picture with a number above `after`. None when the camera is removed or the gateway stops."""
        while not self._stopping and (view := self._views.get(camera)) is not None:
            if view.jpeg is not None and view.jpeg.number > after:
                return view.jpeg
            await view.next.wait()
        return None

    def stop(self) -> None:
        """End every wait for a picture with None."""
        self._stopping = True
        for view in self._views.values():
            view.next.set()

    def newest(self, camera: str) -> int:
        """The number of the newest picture so far, 0 when there is none."""
        view = self._views.get(camera)
        return view.jpeg.number if view is not None and view.jpeg is not None else 0

    def recent(self, camera: str, seconds: float) -> Jpeg | None:
        """The newest picture, if it is not older than `seconds`; else None."""
        view = self._views.get(camera)
        jpeg = None if view is None else view.jpeg
        return jpeg if jpeg is not None and asyncio.get_running_loop().time() - jpeg.at_s <= seconds else None

    @contextmanager
    def watch(self, camera: str, *, stream: bool) -> Iterator[None]:
        """Count one viewer of the camera while the block runs. `stream`: of all its pictures."""
        view = self._views[camera]
        view.viewers += 1
        view.streams += stream
        if view.grace_timer is not None:
            view.grace_timer.cancel()
            view.grace_timer = None
        self._on_watch()
        try:
            yield
        finally:
            view.viewers -= 1
            view.streams -= stream
            if not view.viewers:
                view.grace_timer = asyncio.get_running_loop().call_later(GRACE_S, self._end_grace, view)
            self._on_watch()

    def _end_grace(self, view: View) -> None:
        view.grace_timer = None
        self._on_watch()

    def watched(self) -> dict[str, tuple[int, bool]]:
        """Viewers by camera, and whether one of them looks at every picture; a viewer who left less than GRACE_S ago counts as
        one."""
        return {camera: (view.watched, view.streamed) for camera, view in self._views.items()}


def encode_newest(ring: PictureRing, after: int, behind: int = 0) -> tuple[int, bytes | None]:
    """Number and JPEG of the newest picture, or of one that was drawn at most `behind` pictures before it and follows `after`.
    (after, None) when none is newer, or when the camera overwrote each one meanwhile."""
    import cv2

    for _ in range(_TRIES):
        picture = ring.newest(after, behind=behind)
        if picture is None:
            break
        done, data = cv2.imencode(".jpg", picture.pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if done and ring.intact(picture):
            return picture.number, data.tobytes()
    return after, None
