"""The USB level of the emulation: ports and devices, handles and claims, transfers and their ends. No I/O, time is an argument.

The server hands in the clients' calls and collects `answers` (client, id, op, a, b, data) and `changes` (device, came).
What USB promises and hosts rely on is kept exactly: an IN transfer ends when it is full or at a packet shorter than the
endpoint's, a packet that does not fit ends it with an overflow and is lost, an interface belongs to one handle, transfers
of a device that has gone end with "no device", and a client that dies loses its handles, claims and transfers.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from ncs_cluster.testing.myriad import descriptors, faults
from ncs_cluster.testing.myriad.boot import BootStream
from ncs_cluster.testing.myriad.loopback import Chip
from ncs_cluster.testing.myriad.port import PROFILE, Device, Handle, Port, Profile, Transfer, parse_name
from ncs_cluster.testing.myriad.wire import CALLS, Error, Op, Status

Call = Callable[[Handle, int, int, float], tuple[int, int]]
LEAVE_S = 0.02
"""From a chip's reset to its end on the bus, of the host's time: its last words are read meanwhile."""


class Bus:
    def __init__(
        self, chip_of: Callable[..., Chip], time_scale: float = 1.0, log: Callable[[str], None] = lambda line: None
    ) -> None:
        self.ports: dict[str, Port] = {}
        self.devices: dict[int, Device] = {}
        self.answers: list[tuple[Any, int, int, int, int, Any]] = []
        self.changes: list[tuple[Device, bool]] = []
        self.armed = faults.Armed()
        self._memory: int | None = None
        """Bytes that all transfers under way may hold together, as the kernel limits them; None: no limit."""
        self._chip_of, self._scale, self._log = chip_of, time_scale, log
        self._handles: dict[int, Handle] = {}
        self._flying: dict[tuple[Any, int], Transfer] = {}
        self._steps: list[tuple[float, int, Callable[[float], None]]] = []
        self._limits: list[tuple[float, int, Transfer]] = []
        self._ids = itertools.count(1)
        self._addresses: dict[int, int] = {}
        well: Call = lambda handle, a, b, now_s: (Error.SUCCESS, 0)  # noqa: E731
        self._calls: dict[int, Call] = {
            Op.ASK: lambda handle, length, b, now_s: (Error.NO_MEM if self._is_full(length) else Error.SUCCESS, 0),
            Op.CLOSE: self._close,
            Op.CLAIM: self._claim,
            Op.RELEASE: self._release,
            Op.DETACH: lambda handle, a, b, now_s: (Error.NOT_FOUND, 0),
            Op.SET_CONFIGURATION: self._set_configuration,
            Op.GET_CONFIGURATION: lambda handle, a, b, now_s: (Error.SUCCESS, handle.device.configuration),
            Op.RESET: self._reset,
            Op.CLEAR_HALT: well,
            Op.SET_ALTERNATE: lambda handle, a, b, now_s: (Error.SUCCESS if b == 0 else Error.NOT_FOUND, 0),
        }

    # time

    @property
    def due_s(self) -> float | None:
        due = [heap[0][0] for heap in (self._steps, self._limits) if heap]
        for port in self.ports.values():
            if port.chip is not None and (chip_s := port.chip.due_s) is not None:
                due.append(chip_s)
        return min(due, default=None)

    def tick(self, now_s: float) -> None:
        """What is due by now happens."""
        while self._steps and self._steps[0][0] <= now_s:
            heapq.heappop(self._steps)[2](now_s)
        while self._limits and self._limits[0][0] <= now_s:
            self._end(heapq.heappop(self._limits)[2], Status.TIMED_OUT)
        for port in list(self.ports.values()):
            chip = port.chip
            if chip is not None and (due_s := chip.due_s) is not None and due_s <= now_s:
                chip.tick(now_s)
                self._pump(port, now_s)

    def _at(self, due_s: float, step: Callable[[float], None]) -> None:
        heapq.heappush(self._steps, (due_s, next(self._ids), step))

    @property
    def asked(self) -> bool:
        """Whether a fault waits for a call that a library makes only if there is one."""
        return self.armed.asked or self._memory is not None or any(port.armed.asked for port in self.ports.values())

    # sticks

    def add(self, name: str, options: dict[str, Any], now_s: float) -> None:
        """A stick is put into a new port. Raises ValueError."""
        if name in self.ports:
            raise ValueError(f"port {name} has a stick: plug brings back one that was pulled")
        try:
            profile = Profile(**{key: value for key, value in options.items() if key in PROFILE})
            port = Port(name, profile, {key: value for key, value in options.items() if key not in PROFILE}, self._chip_of)
            port.new_chip(True)
        except TypeError as error:
            raise ValueError(str(error)) from error
        for root in {parse_name(name)[0], parse_name(port.run_name)[0]} - {device.bus for device in self.devices.values()}:
            speed = descriptors.SUPER if root != parse_name(name)[0] else descriptors.HIGH
            self._arrive(root, (), descriptors.root_hub(speed), None)
        self.ports[name] = port
        self.plug(name, now_s)

    def plug(self, name: str, now_s: float) -> None:
        port = self.port(name)
        if port.state == "absent":
            self._rom(port)

    def pull(self, name: str, now_s: float, again_s: float | None = None) -> None:
        """The stick leaves its port at once, in whatever it is doing."""
        port = self.port(name)
        port.counts["pulls"] += 1
        self._vanish(port, now_s)
        port.state = "absent"
        if again_s is not None:
            self._later(port, again_s, now_s, lambda now_s: self.plug(name, now_s))

    def clear(self, now_s: float) -> None:
        """All sticks are taken out and forgotten, with their faults."""
        for port in self.ports.values():
            self._vanish(port, now_s)
        self.changes += [(device, False) for device in self.devices.values()]
        self.devices.clear()
        self.ports.clear()
        self.armed.clear()
        self._memory = None

    def port(self, name: str) -> Port:
        """Raises ValueError."""
        try:
            return self.ports[name]
        except KeyError:
            raise ValueError(f"no stick was put into port {name}; there are {', '.join(self.ports) or 'none'}") from None

    def fault(self, name: str | None, kind: str, how: dict[str, Any], now_s: float) -> None:
        """Something goes wrong on command; what is not of this level is the chip's. Raises ValueError."""
        port = self.port(name) if name is not None else None
        fault = faults.make(kind, how)
        if kind == "clear":
            (port or self).armed.clear()
            if port is None:
                self._memory = None
            else:
                port.pulls.clear()
                port.boots.clear()
                self._set_pace(port, faults.Pace(), now_s)
                if port.chip is not None:
                    port.chip.fault(kind)
        elif isinstance(fault, faults.CallFault):
            (port or self).armed.add(fault)
        elif kind == "memory":
            self._memory = int(how.get("bytes", 16 << 20))
        elif port is None:
            raise ValueError(f"fault {kind} needs a port")
        elif isinstance(fault, faults.Pull):
            port.pulls.append(fault)
        elif isinstance(fault, faults.Pace):
            self._set_pace(port, fault, now_s)
        elif kind == "boot":
            port.boots.extend([str(how.get("result", "never"))] * int(how.get("times", 1)))
        elif kind == "flap":
            self._flap(port, int(how.get("times", 3)), float(how.get("up_s", 0.2)), float(how.get("down_s", 0.2)), now_s)
        elif port.chip is None:
            raise ValueError(f"port {port.name} is {port.state}: fault {kind!r} needs a running stick")
        else:
            try:
                port.chip.fault(kind, **how)
            except TypeError as error:
                raise ValueError(f"fault {kind}: {error}") from error
            self._pump(port, now_s)

    def _set_pace(self, port: Port, pace: faults.Pace, now_s: float) -> None:
        port.pace = pace
        device = port.device
        if device is not None and port.chip is not None and not pace.refuse_out:
            queue = device.waiting.pop(1, deque())
            for transfer in queue:
                if not transfer.ended:
                    self._out(transfer, port, device, now_s)

    def _flap(self, port: Port, times: int, up_s: float, down_s: float, now_s: float) -> None:
        """A loose plug: off and on again, a few times."""
        if times > 0 and port.state != "absent" and self.ports.get(port.name) is port:
            self.pull(port.name, now_s, down_s)
            self._at(now_s + down_s + up_s, lambda now_s: self._flap(port, times - 1, up_s, down_s, now_s))

    def _moment(self, port: Port, moment: str, now_s: float) -> bool:
        """True if the stick was pulled now."""
        for pull in port.pulls:
            if pull.on == moment:
                pull.after -= 1
                if pull.after < 0:
                    port.pulls.remove(pull)
                    self.pull(port.name, now_s, pull.again_s)
                    return True
        return False

    def _later(self, port: Port, after_s: float, now_s: float, step: Callable[[float], None]) -> None:
        life = port.life
        self._at(now_s + after_s, lambda now_s: step(now_s) if port.life == life else None)

    def _arrive(self, bus: int, chain: tuple[int, ...], what: descriptors.Descriptors, port: Port | None) -> Device:
        used = {device.address for device in self.devices.values() if device.bus == bus}
        address = self._addresses.get(bus, 0)
        while True:
            address = address % 127 + 1
            if address not in used:
                break
        self._addresses[bus] = address
        device = Device(next(self._ids), bus, address, chain, what, port)
        self.devices[device.id] = device
        self.changes.append((device, True))
        return device

    def _vanish(self, port: Port, now_s: float) -> None:
        device, port.device, port.chip = port.device, None, None
        port.life += 1
        if device is None:
            return
        device.present = False
        device.claims.clear()
        del self.devices[device.id]
        self.changes.append((device, False))
        for transfer in [t for t in self._flying.values() if t.handle.device is device]:
            self._end(transfer, Status.NO_DEVICE)

    def _rom(self, port: Port) -> None:
        port.life += 1
        port.state, port.stream = "rom", BootStream(port.profile.any_firmware)
        bus, chain = parse_name(port.name)
        port.device = self._arrive(bus, chain, port.descriptors(descriptors.rom()), port)

    def _start(self, port: Port, now_s: float) -> None:
        """The ROM has all of its firmware: it leaves the bus and something comes back, or not."""
        stream, wrong = port.stream, port.stream.fault()
        if wrong:
            self._log(f"{port.name}: firmware refused: {wrong}")
            port.stream = BootStream(port.profile.any_firmware)
            return
        result = port.boots.popleft() if port.boots else port.profile.boot
        self._vanish(port, now_s)
        port.state = "booting"
        port.counts["boots"] += 1
        if self._moment(port, "boot", now_s) or result == "never":
            return
        boot: Callable[[float], None] = lambda now_s: self._run(port, stream.watchdog, now_s)  # noqa: E731
        self._later(port, port.profile.boot_s, now_s, boot if result == "well" else lambda now_s: self._rom(port))

    def _run(self, port: Port, watchdog: bool, now_s: float) -> None:
        bus, chain = parse_name(port.run_name)
        port.state = "run"
        port.chip = port.new_chip(watchdog)
        port.chip.tick(now_s)
        port.device = self._arrive(bus, chain, port.descriptors(descriptors.run(port.speed(), port.serial())), port)
        self._moment(port, "run", now_s)

    def _leave(self, port: Port, now_s: float) -> None:
        """The firmware has ended itself."""

        def back(now_s: float) -> None:
            port.counts["resets"] += 1
            self._vanish(port, now_s)
            port.state = "booting"
            self._later(port, port.profile.reset_s, now_s, lambda now_s: self._rom(port))

        if port.state == "run":
            port.state = "leaving"
            self._later(port, LEAVE_S * self._scale, now_s, back)

    # calls

    def call(self, client: Any, id: int, op: int, endpoint: int, target: int, a: int, b: int, data: bytes, now_s: float) -> None:
        """Any call but SUBMIT."""
        if op == Op.CANCEL:
            transfer = self._flying.get((client, target))
            if transfer is not None:
                self._end(transfer, Status.CANCELLED)
        elif op == Op.LIST:
            fault = self.armed.take(CALLS[Op.LIST])
            self._answer(client, id, op, fault.code if fault else Error.SUCCESS, 0, b"" if fault else list(self.devices.values()))
        else:
            self._answer(client, id, op, *self._result(client, op, endpoint, target, a, b, now_s))

    def _result(self, client: Any, op: int, endpoint: int, target: int, a: int, b: int, now_s: float) -> tuple[int, int]:
        if op not in self._calls and op not in (Op.OPEN, Op.ASK):
            return Error.NOT_SUPPORTED, 0
        handle = self._handles.get(target) if op != Op.OPEN else None
        device = self.devices.get(target) if op == Op.OPEN else handle.device if handle else None
        fault = self._fault(device.port if device else None, CALLS[Op(op)], endpoint) if op != Op.CLOSE else None
        if fault is not None:
            return fault.code, 0
        if op == Op.OPEN:
            return self._open(client, device, now_s)
        if handle is None or handle.client is not client or not (handle.device.present or op == Op.CLOSE):
            return Error.NO_DEVICE, 0
        return self._calls[Op(op)](handle, a, b, now_s)

    def gone(self, client: Any, now_s: float) -> None:
        """The client has died or left: nobody releases what it had, it is simply free."""
        for handle in [handle for handle in self._handles.values() if handle.client is client]:
            self._close(handle, 0, 0, now_s)
        self.answers = [answer for answer in self.answers if answer[0] is not client]

    def _fault(self, port: Port | None, name: str, endpoint: int) -> faults.CallFault | None:
        return (port.armed.take(name, endpoint) if port else None) or self.armed.take(name, endpoint)

    def _answer(self, client: Any, id: int, op: int, a: int, b: int = 0, data: Any = b"") -> None:
        self.answers.append((client, id, op, int(a), b, data))

    def _open(self, client: Any, device: Device | None, now_s: float) -> tuple[int, int]:
        if device is None:
            return Error.NO_DEVICE, 0
        if device.port is None or not device.port.profile.access:
            return Error.ACCESS, 0
        handle = Handle(next(self._ids) & 0x7FFFFFFF, client, device)
        self._handles[handle.id] = handle
        self._moment(device.port, "open", now_s)
        return Error.SUCCESS, handle.id

    def _close(self, handle: Handle, a: int, b: int, now_s: float) -> tuple[int, int]:
        device = handle.device
        for transfer in [t for t in self._flying.values() if t.handle is handle]:
            self._end(transfer, Status.CANCELLED)
        self._let_go(handle)
        del self._handles[handle.id]
        if device.present and device.port is not None:
            self._moment(device.port, "close", now_s)
        return Error.SUCCESS, 0

    def _let_go(self, handle: Handle) -> None:
        device = handle.device
        for interface in [interface for interface, owner in device.claims.items() if owner is handle]:
            del device.claims[interface]

    def _claim(self, handle: Handle, interface: int, b: int, now_s: float) -> tuple[int, int]:
        device = handle.device
        if interface != 0 or device.configuration != 1:
            return Error.NOT_FOUND, 0
        if device.claims.setdefault(0, handle) is not handle:
            return Error.BUSY, 0
        if device.port is not None:
            self._moment(device.port, "claim", now_s)
        return Error.SUCCESS, 0

    def _release(self, handle: Handle, interface: int, b: int, now_s: float) -> tuple[int, int]:
        device = handle.device
        if device.claims.get(interface) is not handle:
            return Error.NOT_FOUND, 0
        self._let_go(handle)
        if device.port is not None and not self._moment(device.port, "release", now_s) and device.port.state == "rom":
            device.port.stream = BootStream(device.port.profile.any_firmware)
        return Error.SUCCESS, 0

    def _set_configuration(self, handle: Handle, value: int, b: int, now_s: float) -> tuple[int, int]:
        if handle.device.claims:
            return Error.BUSY, 0
        if value not in (-1, 0, 1):
            return Error.NOT_FOUND, 0
        handle.device.configuration = max(0, value)
        return Error.SUCCESS, 0

    def _reset(self, handle: Handle, a: int, b: int, now_s: float) -> tuple[int, int]:
        device, port = handle.device, handle.device.port
        for transfer in [t for t in self._flying.values() if t.handle.device is device]:
            self._end(transfer, Status.CANCELLED)
        if port is None:
            return Error.SUCCESS, 0
        if port.state == "run" and port.profile.port_reset == "rom":
            self._leave(port, now_s)
            return Error.NOT_FOUND, 0
        port.stream = BootStream(port.profile.any_firmware)
        return Error.SUCCESS, 0

    def is_open(self, handle: Handle) -> bool:
        return self._handles.get(handle.id) is handle

    # transfers

    def submit(
        self, client: Any, id: int, endpoint: int, target: int, length: int, timeout_ms: int, data: bytes, now_s: float
    ) -> None:
        handle = self._handles.get(target)
        device = handle.device if handle is not None and handle.client is client else None
        if handle is None or device is None or not device.present:
            self._answer(client, id, Op.SUBMIT, Status.NO_DEVICE)
            return
        port, transfer = device.port, Transfer(client, id, handle, endpoint, length, data)
        fault = self._fault(port, CALLS[Op.SUBMIT], endpoint)
        lost = fault is not None and fault.error == "timeout" and timeout_ms > 0
        if fault is not None and fault.error == "short":
            transfer.data, transfer.length = data[: fault.bytes], min(length, fault.bytes)
        elif fault is not None and not lost:
            self._answer(client, id, Op.SUBMIT, fault.status)
            return
        if endpoint in (0, 0x80):
            self._control(transfer)
        elif (wrong := self._wrong(transfer, length, len(data))) is not None:
            self._answer(client, id, Op.SUBMIT, wrong)
        else:
            assert port is not None
            self._flying[client, id] = transfer
            if not lost:
                self._begin(transfer, port, device, now_s)
            if timeout_ms > 0 and not transfer.ended:
                self._limit(transfer, now_s + timeout_ms / 1000 * self._scale)

    def _wrong(self, transfer: Transfer, length: int, size: int) -> int | None:
        device, endpoint = transfer.handle.device, transfer.endpoint
        if (transfer.client, transfer.id) in self._flying or length < 0 or not (endpoint & 0x80 or size == length):
            return Error.INVALID_PARAM
        if device.port is None or endpoint & 0x7F not in ((1,) if device.port.state == "rom" else (1, 2, 3)):
            return Error.NOT_FOUND
        if device.claims.get(0) is not transfer.handle:
            self._log(f"{device.port.name}: a transfer without a claim")
            return Status.ERROR
        return Error.NO_MEM if self._is_full(length) else None

    def _begin(self, transfer: Transfer, port: Port, device: Device, now_s: float) -> None:
        endpoint = transfer.endpoint
        if endpoint == 1 and port.state == "rom":
            self._firmware(transfer, port, now_s)
        elif endpoint == 1 and port.chip is not None and not port.pace.refuse_out:
            self._out(transfer, port, device, now_s)
        else:
            queue = device.waiting.setdefault(endpoint, deque())
            while queue and queue[0].ended:
                queue.popleft()
            queue.append(transfer)
            if endpoint == 0x81 and port.chip is not None and not self._moment(port, "in", now_s):
                self._in(device)

    def _is_full(self, length: int) -> bool:
        return self._memory is not None and sum(transfer.length for transfer in self._flying.values()) + length > self._memory

    def _limit(self, transfer: Transfer, due_s: float) -> None:
        heapq.heappush(self._limits, (due_s, next(self._ids), transfer))
        if len(self._limits) > 64 + 2 * len(self._flying):
            self._limits = [limit for limit in self._limits if not limit[2].ended]
            heapq.heapify(self._limits)

    def _end(self, transfer: Transfer, status: int) -> None:
        if not transfer.ended:
            transfer.ended, transfer.data = True, b""
            del self._flying[transfer.client, transfer.id]
            data = transfer.got[0] if len(transfer.got) == 1 else b"".join(transfer.got)
            self.answers.append((transfer.client, transfer.id, Op.SUBMIT, int(status), transfer.done, data))

    def _control(self, transfer: Transfer) -> None:
        """Only what devices are asked about themselves: descriptors."""
        setup, what = transfer.data[:8], transfer.handle.device.descriptors
        found: bytes | None = None
        if len(setup) == 8 and setup[:2] == b"\x80\x06":
            found = {1: what.device, 2: what.config, 3: what.string(setup[2])}.get(setup[3])
        if found is not None:
            found = found[: int.from_bytes(setup[6:8], "little")]
        status = Status.STALL if found is None else Status.COMPLETED
        self._answer(transfer.client, transfer.id, Op.SUBMIT, status, len(found or b""), found or b"")

    def _firmware(self, transfer: Transfer, port: Port, now_s: float) -> None:
        if self._moment(port, "firmware", now_s):
            return
        transfer.done = transfer.length
        complete = port.stream.feed(transfer.data)
        self._end(transfer, Status.COMPLETED)
        if complete:
            self._start(port, now_s)

    def _out(self, transfer: Transfer, port: Port, device: Device, now_s: float) -> None:
        pace = port.pace
        if not (pace.out_s or pace.bytes_per_s) and device.busy_until_s <= now_s:
            self._received(transfer, port, now_s)
            return
        cost_s = pace.out_s + (transfer.length / pace.bytes_per_s if pace.bytes_per_s else 0.0)
        device.busy_until_s = max(now_s, device.busy_until_s) + cost_s
        self._at(device.busy_until_s, lambda now_s: self._received(transfer, port, now_s))

    def _received(self, transfer: Transfer, port: Port, now_s: float) -> None:
        if transfer.ended or port.chip is None or self._moment(port, "out", now_s):
            return
        port.chip.receive(transfer.data, now_s)
        transfer.done = transfer.length
        self._end(transfer, Status.COMPLETED)
        self._pump(port, now_s)

    def _pump(self, port: Port, now_s: float) -> None:
        """What the chip has to say goes onto the wire."""
        chip, device, pace = port.chip, port.device, port.pace
        if chip is None or device is None:
            return
        sent = chip.take()
        if sent:
            if pace.merge:
                sent = [b"".join(sent)]
            if pace.split > 0:
                sent = [piece[at : at + pace.split] for piece in sent for at in range(0, max(1, len(piece)), pace.split)]
            if pace.in_s or pace.bytes_per_s or device.in_until_s > now_s:
                for piece in sent:
                    cost_s = pace.in_s + (len(piece) / pace.bytes_per_s if pace.bytes_per_s else 0.0)
                    device.in_until_s = max(now_s, device.in_until_s) + cost_s
                    self._at(device.in_until_s, lambda now_s, piece=piece: self._arrived(device, [piece]))  # type: ignore[misc]
            else:
                self._arrived(device, sent)
        if chip.left:
            self._leave(port, now_s)

    def _arrived(self, device: Device, pieces: list[bytes]) -> None:
        device.arrived.extend(pieces)
        self._in(device)

    def _in(self, device: Device) -> None:
        queue, arrived, packet = device.waiting.get(0x81), device.arrived, device.descriptors.packet
        while queue and arrived:
            transfer = queue[0]
            if transfer.ended:
                queue.popleft()
                continue
            piece = arrived[0]
            size, room = len(piece), transfer.length - transfer.done
            full = room // packet * packet
            if size <= room:
                arrived.popleft()
                transfer.got.append(piece)
                transfer.done += size
                if size % packet == 0 and size and transfer.done < transfer.length:
                    continue
                status = Status.COMPLETED
            else:
                transfer.got.append(piece[:full])
                transfer.done += full
                status = Status.COMPLETED if full == room else Status.OVERFLOW
                rest = piece[full:] if full == room else piece[full + packet :]
                arrived.popleft()
                if rest:
                    arrived.appendleft(rest)
            queue.popleft()
            self._end(transfer, status)
