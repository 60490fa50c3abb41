"""The firmware of a running stick: processes the bytes of a host. Pure; time is an argument.

`deviceMonitor` answers about the device; `graphMonitor` loads graphs and starts inferences. A graph's tensors come by its input
FIFO, its outputs leave by its output FIFO, in the order of the triggers, one inference after the other. A tensor's credit returns
when it is consumed. `violations` lists protocol errors of the host; `fault` injects errors of the stick.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ncs_cluster.emulator import values
from ncs_cluster.emulator.device_link import DeviceLink, Stream
from ncs_cluster.emulator.graphs import Run, source
from ncs_cluster.emulator.warmth import Warmth
from ncs_cluster.thermal import AMBIENT_C, REST_S, different
from ncs_cluster.xlink import commands, frames
from ncs_cluster.xlink.blob import MAGIC, VERSION, Blob, BlobError
from ncs_cluster.xlink.commands import Device, Graph

CAPABILITIES = (10, 20, 507510776, 12, 0x444C4454, commands.MYRIAD_X, 0, 0, 0, 0)
"""10 graphs, 20 FIFOs, bytes of memory, executors; firmware words."""
UNSUPPORTED, BAD_HANDLE, INTERNAL, OUT_OF_MEMORY = 3, 4, 9, 10
MOST_PINGS = 10_000
NUMBERS = ("watchdog_s", "latency_s", "heat_scale")
FAULTS = {
    "hang": "inferences never end; other requests are answered",
    "silent": "no request is answered",
    "slow": "every inference takes `factor` (10) times as long",
    "late": "every result is delayed by `for_s` (5) seconds",
    "temperature": "the sensor reads `celsius` (NaN)",
    "frozen": "the sensor repeats its present reading",
    "wave": "the ambient air is `kelvin` (15) warmer",
    "status": "the next graph command is answered with `code` (10, out of memory)",
    "refuse": "the next `writes` (1) of the host are not acknowledged",
    "credit": "written bytes are never released",
    "double": "the next result comes twice, or the one `after` (0) others",
    "lost": "the next result, or the one `after` (0) others, never comes, though its tensor's credit does",
    "swap": "the next two results change places",
    "wrong": "the next `times` (1) results are all zeros",
    "short": "the next result lacks its last `bytes` (4)",
    "stray": "the next result comes on a stream that is not open",
    "chatter": "the stick pings the host without end, `pings` (16) at once",
    "garbage": "sends `data`, hexadecimal (84 bytes of ff)",
}


class _Job(NamedTuple):
    """One inference in flight."""

    end_s: float
    answer: Callable[[], bytes]
    fifo: int
    tensor: tuple[Stream, int]


class Stick:
    """One chip, from its boot on. Options are keywords; times in seconds of the emulator."""

    def __init__(
        self,
        *,
        watchdog: bool = False,
        watchdog_s: float = 10.0,
        latency_s: float = 0.03,
        graphs: str | list[Any] = "echo",
        initial_c: float | None = None,
        ambient_c: float = AMBIENT_C,
        heat: bool = True,
        heat_scale: float = 1.0,
        plant: dict[str, float] | None = None,
        own_ends: bool = False,
        release_first: bool = False,
        release: str = "consumed",
    ) -> None:
        """`watchdog`: the firmware resets the chip when no host has pinged it for `watchdog_s`. `release`: credit for a tensor
        comes back when it is "consumed" or "received". `plant`: figures of its heat that differ, see thermal.different. Raises
        ValueError."""
        values.check({"watchdog_s": watchdog_s, "latency_s": latency_s, "heat_scale": heat_scale}, dict.fromkeys(NUMBERS, "float"))
        values.check({"initial_c": initial_c, "ambient_c": ambient_c}, {"initial_c": "float | None", "ambient_c": "float"})
        figures = plant or {}
        if not isinstance(figures, dict):
            raise ValueError(f"plant is figures by name and not {str(figures)[:80]!r}")
        values.check(figures, dict.fromkeys(figures, "float"))
        thermal_plant = different(figures)
        if release not in ("consumed", "received"):
            raise ValueError(f"release is consumed or received, not {release!r}")
        self.left = False
        self._link = DeviceLink(own_ends=own_ends, release_first=release_first)
        self._consume = release == "consumed"
        self._latency_s, self._source = latency_s, source(graphs)
        self._watchdog_s = watchdog_s if watchdog else None
        self._fed_s: float | None = None
        self._graphs: dict[int, tuple[Blob, Run]] = {}
        self._fifos: dict[int, deque[tuple[bytes, Stream]]] = {}
        self._upload: tuple[int, bool] | None = None
        self._jobs: deque[_Job] = deque()
        self._free_s = 0.0
        self._inferences = 0
        self._warmth = Warmth(initial_c, ambient_c, heat_scale, enabled=heat, plant=thermal_plant)
        self._faults: dict[str, dict[str, Any]] = {}
        self._kept: bytes | None = None
        """Fault `swap`: the result that comes behind the next one."""

    @property
    def violations(self) -> list[str]:
        """Protocol errors of the host."""
        return self._link.violations

    def receive(self, data: bytes, now_s: float) -> None:
        """One OUT transfer of the host."""
        self._warmth.advance(now_s, self._free_s - now_s)
        if self.left or "silent" in self._faults:
            return
        for stream, payload in self._link.receive(data):
            self._arrived(stream, payload, now_s)
        self.left = self._link.reset

    def take(self) -> list[bytes]:
        """Bytes to send, in order; each element is one IN transfer."""
        return self._link.take()

    @property
    def due_s(self) -> float | None:
        stopped = "hang" in self._faults or "silent" in self._faults
        due = [] if stopped or not self._jobs else [self._jobs[0].end_s]
        if self._watchdog_s is not None and self._fed_s is not None:
            due.append(self._fed_s + self._watchdog_s)
        return min(due, default=None)

    def tick(self, now_s: float) -> None:
        self._warmth.advance(now_s, self._free_s - now_s)
        if self._fed_s is None:
            self._fed_s = now_s
        if self._watchdog_s is not None and now_s >= self._fed_s + self._watchdog_s:
            self.left = True
            return
        while self._jobs and self._jobs[0].end_s <= now_s and not {"hang", "silent"} & set(self._faults):
            self._finish(self._jobs.popleft())

    def fault(self, kind: str, **how: Any) -> None:
        """Inject one of FAULTS from now on; "clear" ends all. Raises ValueError."""
        if kind == "clear":
            self._faults.clear()
            self._link.keep_credit, self._link.refuse, self._link.chatters, self._warmth.wave_k = False, 0, False, 0.0
            return
        if kind not in FAULTS:
            raise ValueError(f"a stick has no fault {kind!r}: {', '.join(FAULTS)}, clear")
        numbers = {name: float(value) for name, value in how.items() if name != "data"}
        if any(abs(value) > values.MOST for name, value in numbers.items() if name != "celsius" or math.isfinite(value)):
            raise ValueError(f"fault {kind}: a number is at most {values.MOST:.0e}")
        if kind != "temperature" and not all(map(math.isfinite, numbers.values())):
            raise ValueError(f"fault {kind}: only a temperature may be NaN")
        if kind == "garbage":
            self._link.send(bytes.fromhex(how.get("data", "ff" * frames.HEADER_SIZE)))
        elif kind == "chatter":
            self._link.chatter(min(MOST_PINGS, int(how.get("pings", 16))))
        elif kind == "refuse":
            self._link.refuse = int(how.get("writes", 1))
        elif kind == "credit":
            self._link.keep_credit = True
        elif kind == "wave":
            self._warmth.wave_k = float(how.get("kelvin", 15.0))
        else:
            self._faults[kind] = {"celsius": self._warmth.die_c} if kind == "frozen" else numbers

    def state(self) -> dict[str, Any]:
        """State for tests."""
        return {
            "die_c": self._warmth.die_c,
            "level": self._warmth.level,
            "graphs": len(self._graphs),
            "streams": [stream.name for stream in self._link.streams.values()],
            "in_flight": len(self._jobs),
            "inferences": self._inferences,
            "violations": self.violations[:20],
        }

    def _arrived(self, stream: Stream, data: bytes, now_s: float) -> None:
        fifo = self._fifo(stream.name)
        if fifo is not None and data != commands.FIFO_WAKE:
            if not self._consume:
                self._link.release(stream, len(data))
            fifo.append((data, stream))
            return
        self._link.release(stream, len(data))
        if stream.name == commands.DEVICE_MONITOR:
            self._device(data, now_s)
        elif stream.name == commands.GRAPH_MONITOR:
            self._graph(data, now_s)
        elif stream.name.startswith("graphBuffer"):
            self._blob(stream.name, data)
        elif fifo is None:
            self._link.violated(f"{len(data)} bytes for {stream.name}, which takes none")

    def _fifo(self, name: str) -> deque[tuple[bytes, Stream]] | None:
        return self._fifos.get(int(name[4:])) if name.startswith("FIFO") and name[4:].isdecimal() else None

    def _device(self, data: bytes, now_s: float) -> None:
        if len(data) != commands.DEVICE_COMMAND.size:
            self._link.violated(f"a device command of {len(data)} bytes")
            return
        command = commands.DEVICE_COMMAND.unpack(data)[0]
        if command == Device.PING:
            self._fed_s = now_s
        elif command == Device.CAPABILITIES:
            self._link.write(commands.DEVICE_MONITOR, commands.CAPABILITIES.pack(*CAPABILITIES))
        elif command == Device.THERMAL:
            lie = self._faults.get("temperature") or self._faults.get("frozen")
            celsius = self._warmth.die_c
            if lie is not None or "temperature" in self._faults:
                celsius = float((lie or {}).get("celsius", math.nan))
            self._link.write(commands.DEVICE_MONITOR, commands.THERMAL.pack(self._warmth.level, celsius, *[0.0] * 24))
        elif command == Device.MEMORY:
            used = sum(len(blob.data) for blob, _ in self._graphs.values())
            self._link.write(commands.DEVICE_MONITOR, struct.pack("<I", used))

    def _graph(self, data: bytes, now_s: float) -> None:
        command, number = struct.unpack_from("<II", data.ljust(8, b"\xff"))
        fault = self._faults.pop("status", None)
        if fault is not None:
            self._status(int(fault.get("code", OUT_OF_MEMORY)))
        elif command in (Graph.VERIFY, Graph.ALLOCATE) and len(data) == 84:
            self._upload = number, command == Graph.ALLOCATE
        elif command == Graph.FIFO_ALLOCATE and len(data) == 100:
            self._fifos[number] = deque()
            self._status(0)
        elif command == Graph.FIFO_DEALLOCATE:
            self._status(BAD_HANDLE if self._fifos.pop(number, None) is None else 0)
        elif command == Graph.DEALLOCATE and len(data) == 84:
            self._status(BAD_HANDLE if self._graphs.pop(number, None) is None else 0)
        elif command == Graph.ALLOCATION_VERIFY and len(data) == 84:
            self._status(0 if number in self._graphs else BAD_HANDLE)
        elif command == Graph.TRIGGER and len(data) == 84:
            into, out = struct.unpack_from("<II", data, 72)
            self._trigger(number, into, out, now_s)
        elif command == Graph.TIMING and number in self._graphs:
            stages = self._graphs[number][0].stages
            each_ms = self._latency_s * 1000 / (stages + 2)
            self._link.write(commands.GRAPH_MONITOR, struct.pack(f"<{stages + 2}f", *[each_ms] * (stages + 2)))
            self._status(0)
        elif command == Graph.DEBUG and number in self._graphs:
            self._link.write(commands.GRAPH_MONITOR, bytes(120))
            self._status(0)
        else:
            self._link.violated(f"graph command {command} of {len(data)} bytes for graph {number}")
            self._status(UNSUPPORTED)

    def _status(self, status: int) -> None:
        self._link.write(commands.GRAPH_MONITOR, commands.STATUS.pack(status))

    def _blob(self, name: str, data: bytes) -> None:
        upload, self._upload = self._upload, None
        if upload is None or name != f"graphBuffer{upload[0]}":
            self._link.violated(f"{len(data)} bytes for {name} unasked")
            return
        number, whole = upload
        if not whole:
            good = len(data) == commands.VERIFY_BYTES and struct.unpack_from("<4I", data, 52)[::2] == (MAGIC, VERSION[0])
            self._status(0 if good else INTERNAL)
            return
        try:
            blob = Blob.parse(data)
            run = self._source(blob)
        except BlobError as error:
            self._link.violated(f"a blob the firmware cannot use: {error}")
            self._status(INTERNAL)
            return
        self._graphs[number] = blob, run
        for size in (blob.inputs_size, blob.outputs_size):
            self._link.write(name, commands.TENSOR.pack(1, 1, 1, size, size))
        self._link.write(name, struct.pack("<I", blob.stages))
        self._status(0)

    def _trigger(self, number: int, into: int, out: int, now_s: float) -> None:
        graph, fifo = self._graphs.get(number), self._fifos.get(into)
        if graph is None or not fifo or out not in self._fifos:
            self._link.violated(f"a trigger of graph {number}, FIFO {into} to {out}, without a tensor")
            self._status(BAD_HANDLE)
            return
        blob, run = graph
        tensor, stream = fifo.popleft()
        if len(tensor) != blob.inputs_size:
            self._link.violated(f"a tensor of {len(tensor)} bytes, expected {blob.inputs_size}")
            self._status(INTERNAL)
            return
        self._status(0)
        slow = float(self._faults["slow"].get("factor", 10)) if "slow" in self._faults else 1.0
        begin_s = max(now_s, self._free_s)
        work_s = self._latency_s * slow
        self._warmth.works(work_s)
        # a throttled stick pauses after its work
        self._free_s = begin_s + work_s + REST_S[self._warmth.level]
        late_s = float(self._faults["late"].get("for_s", 5.0)) if "late" in self._faults else 0.0
        self._jobs.append(_Job(begin_s + work_s + late_s, run(tensor), out, (stream, len(tensor))))

    def _finish(self, job: _Job) -> None:
        output = job.answer()
        self._inferences += 1
        short = self._faults.pop("short", None)
        if short is not None:
            output = output[: -int(short.get("bytes", 4))]
        wrong = self._faults.get("wrong")
        if wrong is not None:
            output = bytes(len(output))
            wrong["times"] = wrong.get("times", 1) - 1
            if wrong["times"] <= 0:
                del self._faults["wrong"]
        for result in self._results(output):
            self._link.write(f"FIFO{job.fifo}", result, number=77 if self._faults.pop("stray", None) is not None else None)
        if self._consume:
            self._link.release(*job.tensor)

    def _results(self, output: bytes) -> list[bytes]:
        """What the host gets for one inference: its output, unless a fault says otherwise."""
        if self._hits("lost"):
            return []
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return [output, kept]
        if self._faults.pop("swap", None) is not None:
            self._kept = output
            return []
        return [output, output] if self._hits("double") else [output]

    def _hits(self, kind: str) -> bool:
        """Whether this fault hits the present result; it then ends."""
        fault = self._faults.get(kind)
        if fault is None:
            return False
        fault["after"] = fault.get("after", 0.0) - 1
        if fault["after"] >= 0:
            return False
        del self._faults[kind]
        return True
