"""The stick's end of XLink: frames, streams, credit. Pure.

The creator of a stream numbers it. Every write is acknowledged before it is processed, and its bytes count against the stream's
size until they are released. Options emulate differences between firmwares that a host must not rely on: opening the stick's own
end of each stream (under its own number, which the host answers with the stream's), and releasing before acknowledging.
"""

from __future__ import annotations

from collections.abc import Iterator

from ncs_cluster.xlink import frames
from ncs_cluster.xlink.frames import Flags, FrameError, FrameType, Header

LARGEST = 64 << 20
"""Bytes of one write: more than the largest graph."""
MOST_STREAMS, MOST_PACKETS = 32, 64
OWN_END = 0xDEADDEAD
"""The number under which firmware opens its own end of a stream."""
MOST_VIOLATIONS = 100


class Stream:
    """One open stream. `held` bytes in `packets` packets are written and not released."""

    def __init__(self, number: int, name: str, size: int) -> None:
        self.number, self.name, self.size = number, name, (size + 63) // 64 * 64
        self.held = self.packets = 0


class DeviceLink:
    """Protocol errors of the host are listed in `violations`."""

    def __init__(self, *, own_ends: bool = False, release_first: bool = False) -> None:
        self.reset = False
        self.violations: list[str] = []
        self.streams: dict[int, Stream] = {}
        self.keep_credit = False
        """Fault: written bytes are never released."""
        self.refuse = 0
        """Fault: number of following writes to refuse."""
        self.chatters = False
        """Fault: each reply to a ping causes the next ping."""
        self._own_ends, self._release_first = own_ends, release_first
        self._out: list[bytes] = []
        self._buffer = bytearray()
        self._header: Header | None = None
        self._event = 1
        self._host_event = 0

    def take(self) -> list[bytes]:
        """IN transfers, in order: a header, or the data of a write."""
        out, self._out = self._out, []
        return out

    def send(self, data: bytes) -> None:
        """Send raw bytes."""
        self._out.append(data)

    def receive(self, data: bytes) -> Iterator[tuple[Stream, bytes]]:
        """Process bytes of the host; returns payloads in order, which the consumer releases."""
        self._buffer += data
        while not self.reset:
            if self._header is None:
                if len(self._buffer) < frames.HEADER_SIZE:
                    return
                raw = bytes(self._buffer[: frames.HEADER_SIZE])
                del self._buffer[: frames.HEADER_SIZE]
                try:
                    self._header = frames.decode(raw)
                except FrameError as error:
                    self.violated(str(error))
                    continue
            header = self._header
            size = header.size if header.type is FrameType.WRITE_REQ else 0
            if size > LARGEST:
                self.violated(f"a write of {size} bytes")
                self.reset = True
                return
            if len(self._buffer) < size:
                return
            payload = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._header = None
            if header.type is FrameType.WRITE_REQ:
                stream = self._written(header)
                if stream is not None:
                    yield stream, payload
            else:
                self._asked(header)

    def write(self, name: str, data: bytes, number: int | None = None) -> None:
        """Write to the host on the stream of that name; `number` overrides the stream's number."""
        stream = next((stream for stream in self.streams.values() if stream.name == name), None)
        if stream is None:
            self.violated(f"{name} is not open")
            return
        self._ask(FrameType.WRITE_REQ, stream.name, stream.number if number is None else number, len(data))
        self._out.append(data)

    def release(self, stream: Stream, size: int) -> None:
        """Return credit to the host."""
        if self.keep_credit or self.streams.get(stream.number) is not stream:
            return
        stream.held -= size
        stream.packets -= 1
        if not self._release_first:
            self._ask(FrameType.READ_REL_REQ, stream.name, stream.number, size)

    def chatter(self, pings: int) -> None:
        """Ping the host without end, so many pings at once."""
        self.chatters = True
        for _ in range(pings):
            self._ask(FrameType.PING_REQ, "", 0, 0)

    def violated(self, what: str) -> None:
        if len(self.violations) < MOST_VIOLATIONS:
            self.violations.append(what)

    def _written(self, header: Header) -> Stream | None:
        self._judge_event(header)
        stream = self.streams.get(header.stream)
        if stream is None or self.refuse:
            self.refuse = max(0, self.refuse - 1)
            self._reply(header, Flags.NACK | Flags.NO_SUCH_STREAM)
            if stream is None:
                self.violated(f"a write to stream {header.stream}, which is not open")
            return None
        stream.held += header.size
        stream.packets += 1
        if stream.held > stream.size or stream.packets > MOST_PACKETS:
            self.violated(f"{stream.name}: {stream.held} bytes in {stream.packets} packets, {stream.size} bytes is its size")
        if self._release_first and not self.keep_credit:
            self._ask(FrameType.READ_REL_REQ, stream.name, stream.number, header.size)
        self._reply(header)
        return stream

    def _asked(self, header: Header) -> None:
        kind = header.type
        if kind.is_reply:
            if self.chatters and kind is FrameType.PING_RESP:
                self._ask(FrameType.PING_REQ, "", 0, 0)
            return
        self._judge_event(header)
        if kind is FrameType.CREATE_STREAM_REQ:
            if header.stream in self.streams or len(self.streams) >= MOST_STREAMS:
                self.violated(f"stream {header.stream} is created twice, or is one too many")
            self.streams[header.stream] = Stream(header.stream, header.name, header.size)
            self._reply(header)
            if self._own_ends:
                self._ask(FrameType.CREATE_STREAM_REQ, header.name, OWN_END, header.size)
            return
        if kind is FrameType.CLOSE_STREAM_REQ and self.streams.pop(header.stream, None) is None:
            self.violated(f"a close of stream {header.stream}, which is not open")
        self._reply(header)
        self.reset = self.reset or kind is FrameType.RESET_REQ

    def _judge_event(self, header: Header) -> None:
        """Check that the host's event ids rise."""
        if header.id <= self._host_event:
            self.violated(f"event {header.id} comes after {self._host_event}")
        self._host_event = header.id

    def _reply(self, header: Header, flags: Flags = Flags.ACK) -> None:
        self._out.append(Header(header.id, header.type.reply, header.name, header.stream, header.size, int(flags)).encode())

    def _ask(self, kind: FrameType, name: str, number: int, size: int) -> None:
        self._event += 1
        self._out.append(Header(self._event, kind, name, number, size).encode())
