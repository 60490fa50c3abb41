"""Raw logs as capture.c writes them, made by hand."""

from __future__ import annotations

import io
import struct

from ncs_cluster.xlink.capture_log import KINDS, MAGIC, items
from ncs_cluster.xlink.frames import FrameType, Header
from ncs_cluster.xlink.transcript import VERSION, AnyItem, Transcript
from ncs_cluster.xlink.transcript import Header as About

RECORD = struct.Struct("<IBBHiIIIQQQ")
ABOUT = About(transcript=VERSION, ncs_cluster="0", libusb=["1.0.26.11724"], machine="x86_64")
ROM, BOOTED = "2485 bus 1 ports 1.2 speed 3 usb 2.00", "f63b bus 2 ports 1.2 speed 4 usb 3.00"
MS = 1_000_000


class Log:
    """One process; every record takes a millisecond."""

    def __init__(self, at_ns: int = 10**9) -> None:
        self.data = bytearray(MAGIC)
        self.at_ns = at_ns
        self.tag = 0
        self.add("begin", payload=b"1.0.26.11724")

    def add(
        self,
        kind: str,
        *,
        handle: int = 0,
        rc: int = 0,
        endpoint: int = 0,
        asked: int = 0,
        actual: int = 0,
        tag: int = 0,
        payload: bytes = b"",
    ) -> None:
        began, self.at_ns = self.at_ns, self.at_ns + MS
        fields = KINDS.index(kind), endpoint, handle, rc, asked, actual, 1, began, self.at_ns, tag
        self.data += RECORD.pack(len(payload), *fields) + payload

    def open(self, handle: int, device: str) -> None:
        self.add("open", handle=handle, payload=device.encode())

    def close(self, handle: int) -> None:
        self.add("close", handle=handle)

    def out(self, handle: int, data: bytes, rc: int = 0) -> None:
        self.add("bulk_transfer", handle=handle, rc=rc, endpoint=1, asked=len(data), actual=len(data), payload=data)

    def into(self, handle: int, data: bytes, rc: int = 0) -> None:
        self.add("bulk_transfer", handle=handle, rc=rc, endpoint=0x81, asked=max(84, len(data)), actual=len(data), payload=data)

    def submit(self, handle: int, data: bytes = b"", endpoint: int = 1) -> int:
        self.tag += 1
        self.add("submit_transfer", handle=handle, endpoint=endpoint, asked=len(data), tag=self.tag, payload=data)
        return self.tag

    def completed(self, handle: int, tag: int, actual: int, data: bytes = b"", endpoint: int = 1, rc: int = 0) -> None:
        self.add("completed", handle=handle, rc=rc, endpoint=endpoint, asked=actual, actual=actual, tag=tag, payload=data)

    def frame(self, handle: int, sent: bool, header: Header, payload: bytes = b"", chunk: int = 1 << 20) -> None:
        """Header and payload, as transfers of their own."""
        move = self.out if sent else self.into
        move(handle, header.encode())
        for at in range(0, len(payload), chunk):
            move(handle, payload[at : at + chunk])

    def ask(self, handle: int, sent: bool, header: Header, payload: bytes = b"", chunk: int = 1 << 20) -> None:
        """A request and its reply."""
        self.frame(handle, sent, header, payload, chunk)
        self.frame(handle, not sent, Header(header.id, FrameType(header.type + 9)))

    def items(self) -> list[AnyItem]:
        return items([io.BytesIO(self.data)])

    def transcript(self) -> Transcript:
        return Transcript(ABOUT, self.items())
