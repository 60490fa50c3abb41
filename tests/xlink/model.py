"""A stick as the protocol's page tells it, honest and nasty: what it wants to send lies in lanes, and the test says which is next.

Inside a lane the order is kept, between lanes nothing is promised: a release may overtake the reply to its write, an answer too. It
computes nothing: a result is its tensor, repeated or cut to the outputs' size.
"""

from __future__ import annotations

from collections import deque

from ncs_cluster.xlink import commands, frames
from ncs_cluster.xlink.blob import Blob
from ncs_cluster.xlink.commands import Device, Graph
from ncs_cluster.xlink.frames import Flags, FrameType, Header
from ncs_cluster.xlink.session import Session

TENSOR_GRAPH, TENSOR_FIFO = commands.GRAPH_COMMAND, commands.FIFO_COMMAND
OWN_END = 0xDEADDEAD


class Broken(AssertionError):
    """The host has done what no host may do."""


def outcome(tensor: bytes, size: int) -> bytes:
    return (bytes(tensor) * (size // len(tensor) + 1))[:size]


class Model:
    def __init__(self, *, opens_own_ends: bool = True, firmware: tuple[int, ...] = (0x444C4454, 0x2480, 0, 0)) -> None:
        self.lanes: dict[str, deque[list[bytes]]] = {}
        self.log: list[tuple[str, str, int]] = []
        """Requests of the host: (type, stream, size)."""
        self.commands: list[tuple[int, ...]] = []
        self.opens_own_ends, self.firmware = opens_own_ends, firmware
        self.temperature_c, self.level, self.status = 41.5, 0, 0
        self.was_reset = False
        self.room: dict[int, list[int]] = {}
        """Of each stream that the host writes to: [bytes, packets] it may still send."""
        self._sizes: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        self._event = 1000
        self._asked: dict[int, FrameType] = {}
        self._coming: Header | None = None
        self._payload = b""
        self._blobs: dict[int, Blob] = {}
        self._verifying: int | None = None
        self._graph = -1
        self._tensors: dict[int, deque[bytes]] = {}
        self._fifos: dict[int, int] = {}
        self.in_flight: deque[tuple[int, bytes, int, int]] = deque()

    # -- from the host ------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """One OUT transfer; a payload may come in several."""
        if self._coming is None:
            header = frames.decode(data)
            if header.type == FrameType.WRITE_REQ:
                room = self.room.get(header.stream)
                if room is None:
                    raise Broken(f"a write to stream {header.stream}, which is not open")
                room[0] -= header.size
                room[1] -= 1
                if room[0] < 0 or room[1] < 0:
                    raise Broken(f"a write to {self._names[header.stream]} without credit")
                self._coming, self._payload = header, b""
            else:
                self._request(header)
            return
        self._payload += bytes(data)
        if len(self._payload) > self._coming.size:
            raise Broken("more payload than announced")
        if len(self._payload) == self._coming.size:
            header, self._coming = self._coming, None
            self.log.append(("WRITE_REQ", self._names[header.stream], header.size))
            self._reply(header)
            self._written(header, self._payload)

    def _request(self, header: Header) -> None:
        if header.type.is_reply:
            if self._asked.pop(header.id, None) != header.type - 9:
                raise Broken(f"a reply nobody had asked for: {header}")
            if header.type == FrameType.CREATE_STREAM_RESP and header.stream != self._ids.setdefault(header.name, header.stream):
                raise Broken(f"{header.name} has two ids")
            return
        about_link = header.type in (FrameType.PING_REQ, FrameType.RESET_REQ)
        name = "" if about_link else header.name or self._names.get(header.stream, "")
        self.log.append((header.type.name, name, header.size))
        if header.type == FrameType.CREATE_STREAM_REQ:
            if header.size % 64 or header.stream in self.room:
                raise Broken(f"a wrong CREATE: {header}")
            if header.stream != self._ids.setdefault(name, header.stream):
                raise Broken(f"{name} has two ids")
            self._names[header.stream] = name
            self.room[header.stream] = [header.size, 64]
            if self.opens_own_ends:
                self._send(f"create {name}", Header(0, FrameType.CREATE_STREAM_REQ, name, OWN_END, 4096))
        if header.type == FrameType.RESET_REQ:
            self.was_reset = True
        self._reply(header)

    def _written(self, header: Header, data: bytes) -> None:
        stream, name = header.stream, self._names[header.stream]
        if name == commands.DEVICE_MONITOR:
            self._release(stream, len(data))
            self._device(*commands.DEVICE_COMMAND.unpack(data))
        elif name == commands.GRAPH_MONITOR:
            self._release(stream, len(data))
            self._monitor(data)
        elif name.startswith("graphBuffer"):
            self._release(stream, len(data))
            self._buffer(name, data)
        elif data != commands.FIFO_WAKE:
            self._tensors.setdefault(stream, deque()).append(data)

    def _device(self, command: int, argument: int) -> None:
        self.commands.append((command, argument))
        if command == Device.THERMAL:
            self._write(commands.DEVICE_MONITOR, commands.THERMAL.pack(self.level, self.temperature_c, *[0.0] * 24))
        elif command == Device.CAPABILITIES:
            self._write(commands.DEVICE_MONITOR, commands.CAPABILITIES.pack(10, 20, 500_000_000, 3, *self.firmware, 0, 0))

    def _monitor(self, data: bytes) -> None:
        kind, number = commands.DEVICE_COMMAND.unpack_from(data)
        if kind == Graph.FIFO_ALLOCATE:
            name = TENSOR_FIFO.unpack(data)[2].partition(b"\0")[0].decode()
            self._fifos[number] = self._ids[name]
        elif kind == Graph.TRIGGER:
            _, graph, _, fifo_in, fifo_out, _ = TENSOR_GRAPH.unpack(data)
            tensors = self._tensors.get(self._fifos[fifo_in])
            if not tensors:
                raise Broken("a trigger without its tensor")
            tensor = tensors.popleft()
            self.in_flight.append((graph, tensor, self._fifos[fifo_in], self._fifos[fifo_out]))
        elif kind in (Graph.VERIFY, Graph.ALLOCATE):
            self._verifying = kind
            self._graph = number
            return
        self._write(commands.GRAPH_MONITOR, commands.STATUS.pack(self.status))

    def _buffer(self, name: str, data: bytes) -> None:
        if self._verifying == Graph.VERIFY:
            if len(data) != commands.VERIFY_BYTES:
                raise Broken(f"VERIFY was shown {len(data)} bytes")
        else:
            blob = self._blobs[self._graph] = Blob.parse(data)
            for size in (blob.inputs_size, blob.outputs_size):
                self._write(name, commands.TENSOR.pack(1, 1, 1, 1, size))
            self._write(name, commands.STATUS.pack(blob.stages))
        self._write(commands.GRAPH_MONITOR, commands.STATUS.pack(self.status))

    # -- to the host --------------------------------------------------------------------------------------------------

    def compute(self) -> bool:
        """Finish the oldest inference; its tensor's room is given back only now."""
        if not self.in_flight:
            return False
        graph, tensor, source, target = self.in_flight.popleft()
        self._release(source, len(tensor))
        self._write(self._names[target], outcome(tensor, self._blobs[graph].outputs_size))
        return True

    def ready(self) -> list[str]:
        """Lanes that have something to send."""
        return sorted(lane for lane, waiting in self.lanes.items() if waiting)

    def send(self, lane: str) -> list[bytes]:
        """The next frame of a lane, as transfers. Credit is the host's from here on."""
        transfers = self.lanes[lane].popleft()
        if lane.startswith("credit"):
            header = frames.decode(transfers[0])
            self.room[header.stream][0] += header.size
            self.room[header.stream][1] += 1
        return transfers

    def _send(self, lane: str, header: Header, payload: bytes = b"") -> None:
        self._event += 1
        self._asked[self._event] = header.type
        header = header._replace(id=self._event)
        self.lanes.setdefault(lane, deque()).append([header.encode(), payload] if payload else [header.encode()])

    def _write(self, name: str, data: bytes) -> None:
        self._send(f"write {name}", Header(0, FrameType.WRITE_REQ, "", self._ids[name], len(data)), data)

    def _release(self, stream: int, size: int) -> None:
        self._send(f"credit {stream}", Header(0, FrameType.READ_REL_REQ, "", stream, size))

    def _reply(self, header: Header) -> None:
        stale = Header(header.id, header.type.reply, header.name, 77, 123456, int(Flags.ACK))
        self.lanes.setdefault("replies", deque()).append([stale.encode()])


def carry(session: Session, model: Model, now_s: float, choose=None, computes: bool = True) -> None:  # type: ignore[no-untyped-def]
    """Everything that can be said now, in both directions. `choose` picks one of the lanes that have something to send."""
    while True:
        for data in session.out():
            model.receive(bytes(data))
        lanes = model.ready()
        if lanes:
            for data in model.send(choose(lanes) if choose else lanes[0]):
                assert len(data) == session.wanted or session.ended
                session.received(bytearray(data), now_s)
        elif not (computes and model.compute()):
            break
