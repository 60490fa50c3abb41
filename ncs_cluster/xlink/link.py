"""Frames of one open stick: requests and replies, streams and their credit. session.py decides what the streams carry.

`out` holds the bytes to send, one element per OUT transfer. `wanted` is the exact size of the next read: a read of more bytes than
the stick sends may never end. A payload is accepted only where one of its size is expected, which bounds the memory a stick can
fill.

Credit: a stick has room for `size` bytes and MOST_PACKETS packets per stream; a packet counts from its sending until the stick
releases it with READ_REL. Payloads without credit wait. Raises ProtocolError for frames no stick may send. Runs on CPython 3.9.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Union

from ncs_cluster.errors import ProtocolError
from ncs_cluster.xlink.frames import FIRST_EVENT, HEADER_SIZE, Flags, FrameError, FrameType, Header, decode

Data = Union[bytes, bytearray, memoryview]

NEVER_S = float("inf")
MOST_STREAMS = 32
MOST_PACKETS = 64
LAST_EVENT = 0x7FFFFFFF
ALIGNMENT = 64
"""Stream sizes are multiples of this, in bytes."""
SLOWEST_BYTES_S = 4e6
"""Assumed bytes/s for payload time-outs: a tenth of USB 2."""


class UnexpectedPayload(ProtocolError):
    """A payload on a stream where none is expected: one too many."""


class Wait:
    """A future reply, or a future payload as `value`."""

    __slots__ = ("done", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None

    def end(self, value: Any = None) -> None:
        self.done, self.value = True, value


class _Asked(NamedTuple):
    """A request that has no reply yet."""

    type: FrameType
    what: str
    size: int
    until_s: float
    wait: Wait
    value: Any


class _Queued(NamedTuple):
    """A payload that waits for credit."""

    data: Data
    until_s: float
    wait: Wait


class _Expected(NamedTuple):
    """A payload the stick may send."""

    size: int
    until_s: float
    wait: Wait


class Stream:
    """One stream. `size`: bytes the stick buffers of what the host writes; 0 until the host has opened its end."""

    __slots__ = ("_expected", "_queue", "id", "name", "packets", "size", "unreleased")

    def __init__(self, number: int, name: str) -> None:
        self.id, self.name, self.size = number, name, 0
        self.unreleased = self.packets = 0
        self._queue: Deque[_Queued] = deque()
        self._expected: Deque[_Expected] = deque()

    def has_credit(self, size: int) -> bool:
        return self.unreleased + size <= self.size and self.packets < MOST_PACKETS

    @property
    def waiting(self) -> int:
        """Payloads that wait for credit."""
        return len(self._queue)

    def until_s(self) -> float:
        """Time-out of the oldest queued or expected payload."""
        until_s = self._queue[0].until_s if self._queue else NEVER_S
        return min(until_s, self._expected[0].until_s) if self._expected else until_s


class Link:
    """One connection, from the claim of the stick to its loss. The owner sets `now_s`, any monotonic time, before each call."""

    def __init__(self, reply_timeout_s: float) -> None:
        self.out: List[Data] = []
        self.wanted = HEADER_SIZE
        self.left = False
        """The stick has announced its own reset."""
        self.now_s = 0.0
        self.reply_timeout_s = reply_timeout_s
        self._event = FIRST_EVENT - 1
        self._asked: Dict[int, _Asked] = {}
        self._unanswered = 0
        self._streams: List[Stream] = []
        self._names: Dict[str, Stream] = {}
        self._coming: Optional[Stream] = None
        self._coming_id = 0

    # -- requests of the host -----------------------------------------------------------------------------------------

    def ping(self) -> Wait:
        return self._ask(FrameType.PING_REQ, "PING")

    def reset(self) -> Wait:
        return self._ask(FrameType.RESET_REQ, "RESET")

    def open(self, name: str, size: int) -> Wait:
        """Open our end of a stream with room for `size` bytes; its value is the Stream."""
        stream = self._stream(name)
        stream.size = -(-size // ALIGNMENT) * ALIGNMENT
        return self._ask(FrameType.CREATE_STREAM_REQ, f"CREATE {name}", stream, stream.size, value=stream)

    def close(self, stream: Stream) -> Wait:
        return self._ask(FrameType.CLOSE_STREAM_REQ, f"CLOSE {stream.name}", stream)

    def write(self, stream: Stream, data: Data, patience_s: Optional[float] = None) -> Wait:
        """Send a payload when there is credit, within `patience_s`. `data` must not change until it is sent."""
        wait = Wait()
        if not stream._queue and stream.has_credit(len(data)):
            self._send(stream, data, wait)
        else:
            patience_s = self.reply_timeout_s if patience_s is None else patience_s
            stream._queue.append(_Queued(data, self._until_s(patience_s), wait))
        return wait

    def expect(self, stream: Stream, size: int, patience_s: float = NEVER_S, wait: Optional[Wait] = None) -> Wait:
        """Accept one payload of exactly `size` bytes, after those expected before. Call this before sending the request: the
        payload may come before the request's reply."""
        wait = wait or Wait()
        stream._expected.append(_Expected(size, self._until_s(patience_s), wait))
        return wait

    # -- frames of the stick ------------------------------------------------------------------------------------------

    def received(self, data: Data) -> None:
        """Take the `wanted` bytes. A payload is kept without a copy. Raises ProtocolError."""
        if len(data) != self.wanted:
            raise ProtocolError(f"received {len(data)} bytes, expected {self.wanted}")
        if self._coming is None:
            self._frame(self._decoded(data))
            return
        stream, self._coming, self.wanted = self._coming, None, HEADER_SIZE
        self._reply(Header(self._coming_id, FrameType.WRITE_REQ, stream=stream.id, size=len(data)))
        self._ask(FrameType.READ_REL_REQ, f"READ_REL {stream.name}", stream, len(data))
        stream._expected.popleft().wait.end(data)

    def due_s(self) -> float:
        """The next time-out. The oldest request and the oldest payload of each stream decide: younger ones expire later."""
        due_s = next(iter(self._asked.values())).until_s if self._asked else NEVER_S
        for stream in self._streams:
            due_s = min(due_s, stream.until_s())
        return due_s

    def overdue(self) -> Optional[str]:
        """What has timed out, in words; None: nothing."""
        oldest = next(iter(self._asked.values()), None)
        if oldest is not None and self.now_s >= oldest.until_s:
            return f"no reply to {oldest.what}"
        for stream in self._streams:
            if self.now_s >= stream.until_s():
                if stream._queue and self.now_s >= stream._queue[0].until_s:
                    return f"no room on {stream.name}: {stream.packets} packets, {stream.unreleased} bytes are not released"
                return f"no answer on {stream.name}"
        return None

    def _decoded(self, data: Data) -> Header:
        try:
            return decode(bytes(data))
        except FrameError as error:
            raise ProtocolError(str(error)) from error

    def _frame(self, header: Header) -> None:
        kind = header.type
        if kind == FrameType.WRITE_REQ:
            self._payload_comes(header)
        elif kind.is_reply:
            self._answered(header)
        elif kind in (FrameType.READ_REL_REQ, FrameType.READ_REL_SPEC_REQ):
            self._released(header)
        elif kind == FrameType.CREATE_STREAM_REQ:
            self._reply(header._replace(stream=self._stream(header.name).id))
        elif kind == FrameType.READ_REQ:
            raise ProtocolError("received a READ, which is never sent over USB")
        else:
            self._reply(header)
            self.left = self.left or kind == FrameType.RESET_REQ

    def _payload_comes(self, header: Header) -> None:
        stream = self._known(header)
        if not stream._expected:
            raise UnexpectedPayload(f"received {header.size} bytes on {stream.name}, expected none")
        if header.size != stream._expected[0].size:
            raise ProtocolError(f"received {header.size} bytes on {stream.name}, expected {stream._expected[0].size}")
        self._coming, self._coming_id, self.wanted = stream, header.id, header.size

    def _answered(self, header: Header) -> None:
        asked = self._asked.pop(header.id, None)
        if asked is None or asked.type.reply != header.type:
            raise ProtocolError(f"received a {header.type.name} without a request")
        if not header.flags & Flags.ACK:
            raise ProtocolError(f"{asked.what} was refused (flags {header.flags:#x})")
        self._unanswered -= asked.size
        asked.wait.end(asked.value)

    def _released(self, header: Header) -> None:
        stream = self._known(header)
        if not stream.packets or header.size > stream.unreleased:
            held = f"{stream.packets} packets, {stream.unreleased} bytes"
            raise ProtocolError(f"stick released {header.size} bytes of {stream.name}, which held {held}")
        stream.packets -= 1
        stream.unreleased -= header.size
        self._reply(header)
        while stream._queue and stream.has_credit(len(stream._queue[0].data)):
            queued = stream._queue.popleft()
            self._send(stream, queued.data, queued.wait)

    def _known(self, header: Header) -> Stream:
        if header.stream >= len(self._streams):
            raise ProtocolError(f"received a {header.type.name} for unknown stream {header.stream}")
        return self._streams[header.stream]

    def _stream(self, name: str) -> Stream:
        stream = self._names.get(name)
        if stream is None:
            if len(self._streams) == MOST_STREAMS:
                raise ProtocolError(f"stream {name!r} exceeds the limit of {MOST_STREAMS} streams")
            stream = self._names[name] = Stream(len(self._streams), name)
            self._streams.append(stream)
        return stream

    def _until_s(self, patience_s: float) -> float:
        """A time-out starts when the payloads sent before have arrived."""
        return self.now_s + patience_s + self._unanswered / SLOWEST_BYTES_S

    # -- sending ------------------------------------------------------------------------------------------------------

    def _send(self, stream: Stream, data: Data, wait: Wait) -> None:
        stream.unreleased += len(data)
        stream.packets += 1
        self._ask(FrameType.WRITE_REQ, f"WRITE {stream.name}", stream, len(data), wait=wait)
        self.out.append(data)

    def _ask(
        self,
        kind: FrameType,
        what: str,
        stream: Optional[Stream] = None,
        size: int = 0,
        value: Any = None,
        wait: Optional[Wait] = None,
    ) -> Wait:
        wait = wait or Wait()
        self._event = self._event + 1 if self._event < LAST_EVENT else FIRST_EVENT
        carried = size if kind == FrameType.WRITE_REQ else 0
        self._unanswered += carried
        self._asked[self._event] = _Asked(kind, what, carried, self._until_s(self.reply_timeout_s), wait, value)
        name = stream.name if stream and kind == FrameType.CREATE_STREAM_REQ else ""
        self.out.append(Header(self._event, kind, name, stream.id if stream else 0, size).encode())
        return wait

    def _reply(self, header: Header) -> None:
        self.out.append(header._replace(type=header.type.reply, flags=int(Flags.ACK)).encode())
