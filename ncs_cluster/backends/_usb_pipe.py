"""Bytes to and from an open USB stick: writes queue and overlap, a read asks for exactly the bytes the protocol expects next.

Reading ahead is not safe: a transfer that fills its buffer ends without a short packet, and a packet longer than the buffer is
lost. Only `close` blocks. After an error a pipe can only be closed. Runs on CPython 3.9.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Deque, List, NoReturn, Optional, Union

from ncs_cluster.backends import _libusb as usb
from ncs_cluster.backends._libusb import Context, Handle, Transfer, UsbError
from ncs_cluster.errors import StickError

Data = Union[bytes, bytearray, memoryview]

SMALLEST_CHUNK = 16384
"""Bytes: the kernel splits longer transfers into URBs of this size."""
PACKET = 1024
"""Bytes of a USB 3 bulk packet; every piece but the last is a multiple of it."""
STARVED_S, AGAIN_S = 1.0, 0.01
"""Seconds to wait for the kernel's USB memory, which other programs share and free again."""


class Pipe:
    """One claimed interface with its two bulk endpoints. Every error begins with `place`."""

    def __init__(self, context: Context, handle: Handle, place: str, chunk: int, endpoint: int = 1) -> None:
        self._context, self._handle, self._place, self._chunk = context, handle, place, chunk
        self._endpoint = endpoint
        self._queue: Deque[Data] = deque()
        self._idle: List[Transfer] = []
        self._sending: Deque[Transfer] = deque()
        self._sent = 0
        self._reading: Optional[Transfer] = None
        self._incoming, self._filled, self._asked = bytearray(), 0, False

    @property
    def quiet(self) -> bool:
        """True when every byte to send has been transferred."""
        return not self._queue and not self._sending

    @property
    def unsent(self) -> int:
        """Bytes not transferred yet, or whose transfer has not been reported."""
        return self._sent + sum(map(len, self._queue))

    @property
    def waiting(self) -> int:
        """Pieces not transferred yet."""
        return len(self._queue) + len(self._sending)

    @property
    def asked(self) -> bool:
        """True while a read waits for its bytes."""
        return self._asked

    def send(self, data: Data) -> None:
        """Queue bytes to send; they must not change until they are transferred. Raises StickError("gone" or "link", ...)."""
        if len(data) <= self._chunk:
            self._queue.append(data)
        else:
            self._queue.extend(data[start : start + self._chunk] for start in range(0, len(data), self._chunk))
        self._pump()

    def ask(self, size: int) -> None:
        """Begin to read exactly `size` bytes. Raises StickError("gone" or "link", ...)."""
        self._incoming, self._filled, self._asked = bytearray(size), 0, True
        if self._reading is None:
            self._reading = self._handle.transfer(self._endpoint | 0x80)
        self._read_on()

    def step(self) -> Optional[bytearray]:
        """Process ended transfers. Returns the bytes asked for once all have come. Raises StickError("gone" or "link", ...)."""
        arrived = None
        for transfer in self._events():
            if transfer is self._reading:
                arrived = self._received(transfer)
            else:
                self._gone_over(transfer)
        return arrived

    def close(self, timeout_s: float = 1.0) -> None:
        """Cancel pending transfers, then close the stick. A transfer that never comes back leaves the context stuck."""
        own = [transfer for transfer in (*self._sending, *self._idle, self._reading) if transfer is not None]
        self._queue.clear()
        until_s = time.monotonic() + timeout_s
        for transfer in own:
            if transfer.pending:
                transfer.cancel()
        try:
            while any(transfer.pending for transfer in own) and time.monotonic() < until_s:
                self._context.wait(until_s - time.monotonic())
                self._context.handle_events()
        except UsbError:
            pass
        if any(transfer.pending for transfer in own):
            self._context.abandon()
            return
        for transfer in own:
            transfer.free()
        self._handle.close()

    def _events(self) -> List[Transfer]:
        try:
            return self._context.handle_events()
        except UsbError as error:
            raise self.failed("USB", error) from error

    def _pump(self) -> None:
        """Keep at most one chunk of bytes pending: the kernel has 16 MB for all sticks together."""
        while self._queue and (not self._sending or self._sent + len(self._queue[0]) <= self._chunk):
            data = self._queue[0]
            transfer = self._idle.pop() if self._idle else self._handle.transfer(self._endpoint)
            if not self._submitted(transfer, data, len(data), "writing"):
                self._idle.append(transfer)
                continue
            self._queue.popleft()
            self._sending.append(transfer)
            self._sent += len(data)

    def _submitted(self, transfer: Transfer, data: Data, size: int, doing: str) -> bool:
        """False: the kernel has no memory for this piece; chunks are smaller now, try again. Small pieces wait for memory."""
        until_s = time.monotonic() + STARVED_S
        while True:
            try:
                transfer.submit(data, size)
                return True
            except UsbError as error:
                if error.code != usb.NO_MEM:
                    raise self.failed(doing, error) from error
                if size > SMALLEST_CHUNK and self._chunk // 2 >= SMALLEST_CHUNK:
                    self._make_smaller()
                    return False
                if time.monotonic() > until_s:
                    raise self.failed(doing, error) from error
            time.sleep(AGAIN_S)

    def _make_smaller(self) -> None:
        self._chunk = self._chunk // 2 // PACKET * PACKET
        waiting, self._queue = self._queue, deque()
        for data in waiting:
            for start in range(0, len(data), self._chunk):
                self._queue.append(data[start : start + self._chunk])

    def _gone_over(self, transfer: Transfer) -> None:
        if transfer.status:
            self._failed_transfer(transfer, "writing")
        missing = transfer.length - transfer.done
        if missing and len(self._sending) > 1:
            raise StickError("link", f"{self._place}: only {transfer.done} of {transfer.length} bytes were written")
        self._sending.remove(transfer)
        self._idle.append(transfer)
        self._sent -= transfer.length
        if missing:
            self._queue.appendleft(transfer.rest())
        if self._queue:
            self._pump()

    def _received(self, transfer: Transfer) -> Optional[bytearray]:
        if transfer.status:
            self._failed_transfer(transfer, "reading")
        self._filled += transfer.done
        if self._filled < len(self._incoming):
            self._read_on()
            return None
        self._asked = False
        return self._incoming

    def _read_on(self) -> None:
        assert self._reading is not None
        left = len(self._incoming) - self._filled
        whole = self._incoming if not self._filled else memoryview(self._incoming)[self._filled :]
        while not self._submitted(self._reading, whole, min(left, self._chunk), "reading"):
            pass

    def _failed_transfer(self, transfer: Transfer, doing: str) -> NoReturn:
        status = transfer.status
        if status == usb.GONE:
            raise StickError("gone", f"{self._place}: the stick was unplugged, or has reset itself")
        if status == usb.OVERFLOWED:
            raise StickError("link", f"{self._place}: the stick sent more than it had announced")
        name = {usb.TIMED_OUT: "time-out", usb.CANCELLED: "called off", usb.STALLED: "stalled"}.get(status, "input/output error")
        raise StickError("link", f"{self._place}: {doing} over USB failed: {name}: look at its cable and the hub's power")

    def failed(self, doing: str, error: UsbError) -> StickError:
        """The StickError of a failed libusb call."""
        if error.code == usb.NO_DEVICE:
            return StickError("gone", f"{self._place}: the stick was unplugged, or has reset itself")
        if error.code == usb.NO_MEM:
            detail = "the kernel has no memory left for USB: raise /sys/module/usbcore/parameters/usbfs_memory_mb"
            return StickError("link", f"{self._place}: {detail}")
        return StickError("link", f"{self._place}: {doing} over USB failed: {error}: look at its cable and the hub's power")
