"""The inside of a running stick: what its firmware does with the bytes of a host. Pure; time is an argument.

A host opens streams, writes to them and gives credit back. `deviceMonitor` answers about the device, `graphMonitor` takes graphs in
and starts inferences; a graph's tensors come by its FIFO in, its outputs leave by its FIFO out, one inference after the other.
What a host must not do is noted in `violations`; what a test wants to go wrong is a `fault`.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from typing import Any, NamedTuple

from ncs_cluster.testing.myriad.graphs import source
from ncs_cluster.thermal import AMBIENT_C, REST_S, Heat, Plant, throttle_level
from ncs_cluster.xlink import commands, frames
from ncs_cluster.xlink.blob import MAGIC, VERSION, Blob, BlobError
from ncs_cluster.xlink.commands import Device, Graph
from ncs_cluster.xlink.frames import FrameError, FrameType, Header

CAPABILITIES = (10, 20, 507510776, 12, 0x444C4454, commands.MYRIAD_X, 0, 0, 0, 0)
"""10 graphs, 20 FIFOs, bytes of memory, executors; firmware words."""
LARGEST = 64 << 20
"""Bytes of one write: more than any graph has."""
OUT_OF_MEMORY = 10


class _Stream:
    def __init__(self, number: int, name: str, size: int) -> None:
        self.number, self.name, self.size = number, name, size
        self.held = 0
        """Bytes written and not yet released."""


class _Graph:
    def __init__(self, blob: Blob, run: Any) -> None:
        self.blob, self.run = blob, run


class _Job(NamedTuple):
    end_s: float
    output: bytes
    fifo: int
    held: _Stream
    size: int


class Stick:
    """One chip, from its boot on."""

    def __init__(
        self,
        *,
        watchdog: bool = False,
        latency_s: float = 0.03,
        graphs: str | list[Any] = "echo",
        watchdog_s: float = 10.0,
        heat_scale: float = 1.0,
        initial_c: float | None = None,
        ambient_c: float = AMBIENT_C,
        heat: bool = True,
    ) -> None:
        self.left = False
        self.violations: list[str] = []
        self._latency_s, self._source = latency_s, source(graphs)
        self._watchdog_s = watchdog_s if watchdog else None
        self._fed_s: float | None = None
        self._out: list[bytes] = []
        self._buffer = bytearray()
        self._header: Header | None = None
        self._streams: dict[int, _Stream] = {}
        self._graphs: dict[int, _Graph] = {}
        self._fifos: dict[int, tuple[str, deque[tuple[bytes, _Stream]]]] = {}
        self._upload: tuple[int, str] | None = None
        self._jobs: deque[_Job] = deque()
        self._free_s = 0.0
        self._event = 1
        self._plant, start_c = Plant(), ambient_c if initial_c is None else initial_c
        self._heat, self._level, self._ambient_c = Heat(start_c, start_c), 0, ambient_c
        self._heats, self._heat_scale, self._busy_s = heat, heat_scale, 0.0
        self._heated_s: float | None = None
        self._faults: dict[str, dict[str, Any]] = {}

    # -- the door

    def receive(self, data: bytes, now_s: float) -> None:
        """One OUT transfer of the host."""
        self._warm(now_s)
        if self.left or "silent" in self._faults:
            return
        self._buffer += data
        while not self.left:
            if self._header is None:
                if len(self._buffer) < frames.HEADER_SIZE:
                    return
                raw = bytes(self._buffer[: frames.HEADER_SIZE])
                del self._buffer[: frames.HEADER_SIZE]
                try:
                    self._header = frames.decode(raw)
                except FrameError as error:
                    self._violated(str(error))
                    continue
            header = self._header
            size = header.size if header.type is FrameType.WRITE_REQ else 0
            if size > LARGEST:
                self._violated(f"a write of {size} bytes")
                self.left = True
                return
            if len(self._buffer) < size:
                return
            payload = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._header = None
            self._frame(header, payload, now_s)

    def take(self) -> list[bytes]:
        """What it sends, in order; each is one IN transfer."""
        out, self._out = self._out, []
        return out

    @property
    def due_s(self) -> float | None:
        due = [self._jobs[0].end_s] if self._jobs and "hang" not in self._faults else []
        if self._watchdog_s is not None and self._fed_s is not None:
            due.append(self._fed_s + self._watchdog_s)
        return min(due, default=None)

    def tick(self, now_s: float) -> None:
        self._warm(now_s)
        if self._fed_s is None:
            self._fed_s = now_s
        if self._watchdog_s is not None and now_s >= self._fed_s + self._watchdog_s:
            self.left = True
            return
        while self._jobs and self._jobs[0].end_s <= now_s and "hang" not in self._faults and "silent" not in self._faults:
            job = self._jobs.popleft()
            self._write(f"FIFO{job.fifo}", job.output)
            self._release(job.held, job.size)

    def fault(self, kind: str, **how: Any) -> None:
        """hang (inference stops), silent (everything does), slow (factor), status (code: of the next graph command), temperature
        (celsius, may be nan), garbage (data: hex), clear."""
        if kind == "clear":
            self._faults.clear()
        elif kind == "garbage":
            self._out.append(bytes.fromhex(how.get("data", "ff" * frames.HEADER_SIZE)))
        elif kind in ("hang", "silent", "slow", "status", "temperature", "heat"):
            self._faults[kind] = how
        else:
            raise ValueError(f"a stick has no fault {kind!r}")

    def state(self) -> dict[str, Any]:
        return {
            "die_c": self._heat.die_c,
            "level": self._level,
            "graphs": len(self._graphs),
            "streams": [stream.name for stream in self._streams.values()],
            "violations": self.violations[:20],
            "in_flight": len(self._jobs),
        }

    # -- frames

    def _frame(self, header: Header, payload: bytes, now_s: float) -> None:
        kind = header.type
        if kind.is_reply:
            return
        if kind is FrameType.WRITE_REQ:
            stream = self._streams.get(header.stream)
            self._reply(header, ack=stream is not None)
            if stream is None:
                self._violated(f"a write to stream {header.stream}, which is not open")
                return
            stream.held += len(payload)
            if stream.held > stream.size:
                self._violated(f"{stream.name}: {stream.held} bytes in {stream.size}")
            self._arrived(stream, payload, now_s)
        elif kind is FrameType.CREATE_STREAM_REQ:
            self._streams[header.stream] = _Stream(header.stream, header.name, (header.size + 63) // 64 * 64)
            self._reply(header)
        elif kind is FrameType.CLOSE_STREAM_REQ:
            if self._streams.pop(header.stream, None) is None:
                self._violated(f"a close of stream {header.stream}, which is not open")
            self._reply(header)
        elif kind is FrameType.RESET_REQ:
            self._reply(header)
            self.left = True
        else:
            self._reply(header)

    def _reply(self, header: Header, *, ack: bool = True) -> None:
        flags = frames.Flags.ACK if ack else frames.Flags.NACK | frames.Flags.NO_SUCH_STREAM
        self._out.append(Header(header.id, header.type.reply, header.name, header.stream, header.size, int(flags)).encode())

    def _ask(self, kind: FrameType, stream: _Stream, size: int) -> None:
        self._event += 1
        self._out.append(Header(self._event, kind, stream.name, stream.number, size).encode())

    def _release(self, stream: _Stream, size: int) -> None:
        stream.held -= size
        if self._streams.get(stream.number) is stream:
            self._ask(FrameType.READ_REL_REQ, stream, size)

    def _write(self, name: str, data: bytes) -> None:
        stream = next((stream for stream in self._streams.values() if stream.name == name), None)
        if stream is None:
            self._violated(f"nobody has opened {name}")
            return
        self._ask(FrameType.WRITE_REQ, stream, len(data))
        self._out.append(data)

    def _violated(self, what: str) -> None:
        if len(self.violations) < 100:
            self.violations.append(what)

    # -- what was written

    def _arrived(self, stream: _Stream, data: bytes, now_s: float) -> None:
        if stream.name == commands.DEVICE_MONITOR:
            self._release(stream, len(data))
            self._device(data, now_s)
        elif stream.name == commands.GRAPH_MONITOR:
            self._release(stream, len(data))
            self._graph(data, now_s)
        elif stream.name.startswith("graphBuffer"):
            self._release(stream, len(data))
            self._blob(stream.name, data)
        elif stream.name.startswith("FIFO") and stream.name[4:].isdigit() and int(stream.name[4:]) in self._fifos:
            if data == commands.FIFO_WAKE:
                self._release(stream, len(data))
            else:
                self._fifos[int(stream.name[4:])][1].append((data, stream))
        else:
            self._violated(f"{len(data)} bytes for {stream.name}, which takes none")
            self._release(stream, len(data))

    def _device(self, data: bytes, now_s: float) -> None:
        if len(data) != commands.DEVICE_COMMAND.size:
            self._violated(f"a device command of {len(data)} bytes")
            return
        command = commands.DEVICE_COMMAND.unpack(data)[0]
        if command == Device.PING:
            self._fed_s = now_s
        elif command == Device.CAPABILITIES:
            self._write(commands.DEVICE_MONITOR, commands.CAPABILITIES.pack(*CAPABILITIES))
        elif command == Device.THERMAL:
            lie = self._faults.get("temperature")
            celsius = self._heat.die_c if lie is None else float(lie.get("celsius", math.nan))
            self._write(commands.DEVICE_MONITOR, commands.THERMAL.pack(self._level, celsius, *[0.0] * 24))
        elif command == Device.MEMORY:
            self._write(commands.DEVICE_MONITOR, struct.pack("<I", sum(len(g.blob.data) for g in self._graphs.values())))

    def _graph(self, data: bytes, now_s: float) -> None:
        if len(data) not in (8, 84, 100):
            self._violated(f"a graph command of {len(data)} bytes")
            self._status(9)
            return
        command, number = struct.unpack_from("<II", data)
        fault = self._faults.pop("status", None)
        if fault is not None:
            self._status(int(fault.get("code", OUT_OF_MEMORY)))
        elif command in (Graph.VERIFY, Graph.ALLOCATE) and len(data) == 84:
            self._upload = (number, "verify" if command == Graph.VERIFY else "allocate")
        elif command == Graph.FIFO_ALLOCATE and len(data) == 100:
            name = data[8:72].partition(b"\0")[0].decode("latin-1")
            self._fifos[number] = (name, deque())
            self._status(0)
        elif command == Graph.FIFO_DEALLOCATE:
            self._status(0 if self._fifos.pop(number, None) else 4)
        elif command == Graph.DEALLOCATE:
            self._status(0 if self._graphs.pop(number, None) else 4)
        elif command == Graph.ALLOCATION_VERIFY:
            self._status(0 if number in self._graphs else 4)
        elif command == Graph.TRIGGER and len(data) == 84:
            into, out = struct.unpack_from("<II", data, 72)
            self._trigger(number, into, out, now_s)
        elif command == Graph.TIMING and number in self._graphs:
            stages = self._graphs[number].blob.stages
            self._write(
                commands.GRAPH_MONITOR, struct.pack(f"<{stages + 2}f", *[self._latency_s * 1000 / (stages + 2)] * (stages + 2))
            )
            self._status(0)
        elif command == Graph.DEBUG and number in self._graphs:
            self._write(commands.GRAPH_MONITOR, bytes(120))
            self._status(0)
        else:
            self._violated(f"graph command {command} of {len(data)} bytes for graph {number}")
            self._status(9)

    def _status(self, status: int) -> None:
        self._write(commands.GRAPH_MONITOR, commands.STATUS.pack(status))

    def _blob(self, name: str, data: bytes) -> None:
        upload, self._upload = self._upload, None
        if upload is None or name != f"graphBuffer{upload[0]}":
            self._violated(f"{len(data)} bytes for {name} unasked")
            return
        number, what = upload
        if what == "verify":
            good = len(data) == commands.VERIFY_BYTES and struct.unpack_from("<4I", data, 52)[::2] == (MAGIC, VERSION[0])
            self._status(0 if good else 9)
            return
        try:
            blob = Blob.parse(data)
            run = self._source(blob)
        except BlobError as error:
            self._violated(f"a blob the firmware cannot use: {error}")
            self._status(9)
            return
        self._graphs[number] = _Graph(blob, run)
        for size in (blob.inputs_size, blob.outputs_size):
            self._write(name, commands.TENSOR.pack(1, 1, 1, size, size))
        self._write(name, struct.pack("<I", blob.stages))
        self._status(0)

    def _trigger(self, number: int, into: int, out: int, now_s: float) -> None:
        graph, fifo = self._graphs.get(number), self._fifos.get(into)
        if graph is None or fifo is None or out not in self._fifos or not fifo[1]:
            self._violated(f"a trigger of graph {number}, FIFO {into} to {out}, without a tensor")
            self._status(4)
            return
        tensor, stream = fifo[1].popleft()
        if len(tensor) != graph.blob.inputs_size:
            self._violated(f"a tensor of {len(tensor)} bytes where {graph.blob.inputs_size} belong")
            self._status(9)
            return
        self._status(0)
        slow = float(self._faults["slow"].get("factor", 10)) if "slow" in self._faults else 1.0
        begin_s = max(now_s, self._free_s)
        end_s = begin_s + self._latency_s * slow
        self._busy_s += end_s - begin_s
        self._free_s = end_s + REST_S[self._level]
        self._jobs.append(_Job(end_s, graph.run(tensor), out, stream, len(tensor)))

    # -- heat

    def _warm(self, now_s: float) -> None:
        if self._heated_s is None:
            self._heated_s = now_s
        dt_s = now_s - self._heated_s
        if dt_s < 0.05 or not self._heats:
            return
        ahead_s = min(max(0.0, self._free_s - now_s), self._busy_s)
        busy_s, self._busy_s = self._busy_s - ahead_s, ahead_s
        ambient_c = self._ambient_c + float(self._faults.get("heat", {}).get("kelvin", 0.0))
        self._heat = self._plant.step(self._heat, dt_s * self._heat_scale, min(1.0, busy_s / dt_s), ambient_c)
        self._level = throttle_level(self._level, self._heat.die_c)
        self._heated_s = now_s
