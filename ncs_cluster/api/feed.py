"""The images that a program gives to one graph: copied into the ring, announced to the source, and the result of each awaited.

An image keeps its slot until its frame is captured, so a camera process that is killed loses none. Any thread may submit.

Ctrl-C may interrupt `submit` at any place. So an image counts from one call on, which puts it among the announced ones; which slots
are free, which number is next and how many bytes wait is worked out from that and from what each thread copies just now.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ncs_cluster.api.exchange import Peer, copied
from ncs_cluster.api.results import Result, result_of
from ncs_cluster.errors import ImageRefused, NcsClusterError, ResultTimeout
from ncs_cluster.feeding import messages as m
from ncs_cluster.feeding.ring import ImageRing, slot_bytes
from ncs_cluster.ipc import memory
from ncs_cluster.types import Record

SLOTS = 16
FIRST_SIZE = (1280, 720)
"""Of the first ring, pixels; a larger image makes a larger ring."""
GROWTH = 2
"""A larger ring has at least this many times the room, so that rising sizes make few rings."""
MOST_SIDE = 16_384
"""Pixels, as messages have it."""
MOST_BYTES = 128 << 20
"""Pixels of images without a result, in the frame pool; beyond it an image waits for a result of an earlier one."""
LEAST_IMAGES = 4
"""So many images may be without a result however large they are."""


class _Awaited(NamedTuple):
    future: Future[Result]
    position: int
    size: int


class Feed:
    """One stream of images. See exchange.Receiver."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._changed = threading.Condition()
        self._make_ring(*FIRST_SIZE)
        self._grows = False
        """A larger ring is wanted: other images wait."""
        self._announced: deque[m.Image] = deque()
        """Images that are not captured, oldest first."""
        self._captured = 0
        """Images that are."""
        self._copying: dict[int, tuple[int, int]] = {}
        """The slot that a thread copies into, and the bytes. That of an interrupted call stays until the thread's next one."""
        self._awaited: dict[int, _Awaited] = {}
        self._link: Peer | None = None
        self._ready = False
        """The source has said which image it wants first."""
        self._error: NcsClusterError | None = None

    # -- any thread

    def submit(self, image: Any, position: int = 0, timeout_s: float | None = None) -> Future[Result]:
        """Copy an image, uint8 BGR [height, width, 3], and hand it over; waits for a free slot. Raises ImageRefused, ResultTimeout,
        and the error of a cluster that is closed."""
        pixels = checked(image)
        height, width = pixels.shape[:2]
        thread = threading.get_ident()
        slot = self._take_slot(thread, width, height, math.inf if timeout_s is None else time.monotonic() + timeout_s)
        try:
            self._ring.image(slot, width, height)[:] = pixels
        except BaseException:
            with self._changed:
                self._copying.pop(thread, None)
                self._changed.notify_all()
                if self._error is not None:
                    # the ring was unmapped meanwhile
                    raise copied(self._error) from None
            raise
        future: Future[Result] = Future()
        with self._changed:
            if self._error is not None:
                raise copied(self._error)
            number = self._announced[-1].number + 1 if self._announced else self._captured
            self._awaited[number] = _Awaited(future, position, pixels.size)
            announced = m.Image(number, slot, width, height, time.monotonic(), time.time())
            self._announced.append(announced)
            self._copying.pop(thread, None)
            if self._ready:
                self._send(announced)
        return future

    def would_wait(self, image: Any) -> bool:
        """`submit` may not return at once."""
        with self._changed:
            return self._grows or not self._free() or self._crowded(image.size) or image.size > self._room

    def _free(self) -> list[int]:
        taken = {image.slot for image in self._announced} | {slot for slot, _ in self._copying.values()}
        return [slot for slot in range(SLOTS) if slot not in taken]

    def _take_slot(self, thread: int, width: int, height: int, until_s: float) -> int:
        """A slot that holds the image, taken; the image's pixels are counted."""
        grows = False
        with self._changed:
            self._copying.pop(thread, None)
            try:
                while True:
                    if self._error is not None:
                        raise copied(self._error)
                    if not self._ring.holds(width, height) and (grows or not self._grows):
                        grows = self._grows = True
                        if len(self._free()) == SLOTS:
                            self._grow(width, height)
                            grows = self._grows = False
                            self._changed.notify_all()
                            continue
                    elif not self._grows and (free := self._free()) and not self._crowded(width * height * 3):
                        self._copying[thread] = free[0], width * height * 3
                        return free[0]
                    wait_s = until_s - time.monotonic()
                    if wait_s <= 0:
                        raise ResultTimeout("no room for the image within the given time: no earlier image has its result")
                    self._changed.wait(None if wait_s == math.inf else wait_s)
            finally:
                if grows:
                    self._grows = False
                    self._changed.notify_all()

    def _crowded(self, size: int) -> bool:
        waiting = self._waiting_bytes()
        return waiting + size > MOST_BYTES and waiting > (LEAST_IMAGES - 1) * size

    def _waiting_bytes(self) -> int:
        """Pixels of the images that have no result."""
        return sum(each.size for each in self._awaited.values()) + sum(size for _, size in self._copying.values())

    def _grow(self, width: int, height: int) -> None:
        """Another ring; every slot is free. The source opens again to get it."""
        pixels = max(width * height, GROWTH * self._room // 3)
        wide = min(MOST_SIDE, max(width, math.isqrt(pixels)))
        tall = min(MOST_SIDE, -(-pixels // wide))
        self._close_ring()
        self._make_ring(wide, max(tall, height))
        self._send(m.Outgrown())
        self._link, self._ready = None, False

    def _make_ring(self, width: int, height: int) -> None:
        self._fd = memory.create("ncs-images", slot_bytes(width, height) * SLOTS)
        self._ring = ImageRing(self._fd, SLOTS, width, height, writable=True)
        self._room = width * height * 3

    def forget(self) -> None:
        """In a forked process, where the lock may be held for ever: unmap the ring."""
        self._close_ring()

    def _close_ring(self) -> None:
        self._ring.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _send(self, message: Any) -> None:
        try:
            if self._link is not None:
                self._link.send(message)
        except OSError:
            pass  # its process has ended: the next one is told

    # -- the thread of the exchange

    def connected(self, link: Peer) -> None:
        with self._changed:
            if self._error is not None:
                return
            self._link, self._ready = link, False
            link.send(m.Ring(SLOTS, self._ring.width, self._ring.height), self._fd)

    def message(self, link: Peer, message: Any) -> None:
        if not isinstance(message, (m.FeedReady, m.Taken)):
            return
        with self._changed:
            if link is not self._link:
                # it has the ring before this one; every image in that was captured
                return
            self._captured = max(self._captured, message.next)
            while self._announced and self._announced[0].number < message.next:
                self._announced.popleft()
                self._changed.notify_all()
            if isinstance(message, m.FeedReady):
                self._ready = True
                for announced in self._announced:
                    self._send(announced)

    def disconnected(self, link: Peer) -> None:
        with self._changed:
            if self._link is link:
                self._link, self._ready = None, False

    def record(self, record: Record) -> None:
        with self._changed:
            awaited = self._awaited.get(record.frame)
            if awaited is None:
                return
            # before it is taken out: where this fails, `fail` answers it
            result = result_of(record, awaited.position)
            del self._awaited[record.frame]
            self._changed.notify_all()
        if awaited.future.set_running_or_notify_cancel():
            awaited.future.set_result(result)

    def fail(self, error: NcsClusterError) -> None:
        with self._changed:
            if self._error is not None:
                return
            self._error = error
            awaited, self._awaited = self._awaited, {}
            self._changed.notify_all()
            self._close_ring()
        for each in awaited.values():
            if each.future.set_running_or_notify_cancel():
                each.future.set_exception(copied(error))


def checked(image: Any) -> NDArray[np.uint8]:
    """The image, if it is one. Raises ImageRefused."""
    if not isinstance(image, np.ndarray):
        raise ImageRefused(f"an image is a numpy array, not {type(image).__name__}; numpy.asarray(image) makes one")
    if image.ndim != 3 or image.shape[2] != 3:
        remedy = "cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) makes it BGR" if image.ndim == 2 else "give BGR"
        raise ImageRefused(f"an image is [height, width, 3], not {list(image.shape)}; {remedy}")
    if image.dtype != np.uint8:
        raise ImageRefused(f"an image is uint8, 0..255, not {image.dtype}; image.astype(numpy.uint8) makes it so")
    height, width = image.shape[:2]
    if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
        raise ImageRefused(f"an image has sides of 1 to {MOST_SIDE} pixels, not {width}x{height}")
    return image
