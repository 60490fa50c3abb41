"""Transfers on the emulated bus, from submission to end. Pure.

The rules of USB that hosts rely on are exact: an IN transfer ends when it is full or at a packet shorter than the endpoint's packet
size, a packet that does not fit ends it with an overflow and is lost, transfers of a disconnected device end with "no device".
"""

from __future__ import annotations

import heapq
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from ncs_cluster.emulator.descriptors import HUB_PORTS, hub_class
from ncs_cluster.emulator.faults import CallFault
from ncs_cluster.emulator.loopback import Chip
from ncs_cluster.emulator.port import HUBS, Device, Handle, Port, Transfer
from ncs_cluster.emulator.ports import Ports
from ncs_cluster.emulator.wire import CALLS, Error, Op, Status

PORT_POWER = 8


class Transfers(Ports):
    """The caller collects `answers` (client, id, op, a, b, data)."""

    def __init__(
        self, chip_of: Callable[..., Chip], time_scale: float = 1.0, log: Callable[[str], None] = lambda line: None
    ) -> None:
        super().__init__(chip_of, time_scale, log)
        self.answers: list[tuple[Any, int, int, int, int, Any]] = []
        self._in_flight: dict[tuple[Any, int], Transfer] = {}
        self._limits: list[tuple[float, int, Transfer]] = []

    @property
    def due_s(self) -> float | None:
        due_s = super().due_s
        if not self._limits:
            return due_s
        return self._limits[0][0] if due_s is None else min(due_s, self._limits[0][0])

    def tick(self, now_s: float) -> None:
        super().tick(now_s)
        while self._limits and self._limits[0][0] <= now_s:
            self._end(heapq.heappop(self._limits)[2], Status.TIMED_OUT)

    def _submit(self, handle: Handle, id: int, endpoint: int, length: int, timeout_ms: int, data: bytes, now_s: float) -> None:
        port, transfer = handle.device.port, Transfer(handle.client, id, handle, endpoint, length, data)
        fault = self._fault(port, CALLS[Op.SUBMIT], endpoint)
        lost = fault is not None and fault.error == "timeout" and timeout_ms > 0
        if fault is not None and fault.error == "short":
            transfer.data, transfer.length = data[: fault.bytes], min(length, fault.bytes)
        elif fault is not None and not lost:
            self._answer(handle.client, id, Op.SUBMIT, fault.status)
            return
        if endpoint in (0, 0x80):
            self._control(transfer, now_s)
        elif (wrong := self._wrong(transfer, length, len(data))) is not None:
            self._answer(handle.client, id, Op.SUBMIT, wrong)
        else:
            assert port is not None
            self._in_flight[handle.client, id] = transfer
            if not lost:
                self._begin(transfer, port, handle.device, now_s)
            if timeout_ms > 0 and not transfer.ended:
                self._limit(transfer, now_s + timeout_ms / 1000 * self._scale)

    def _fault(self, port: Port | None, name: str, endpoint: int) -> CallFault | None:
        return (port.armed.take(name, endpoint) if port else None) or self.armed.take(name, endpoint)

    def _answer(self, client: Any, id: int, op: int, a: int, b: int = 0, data: Any = b"") -> None:
        self.answers.append((client, id, op, int(a), b, data))

    def _gone(self, device: Device) -> None:
        self._end_all(device, Status.NO_DEVICE)

    def _end_all(self, of: Device | Handle, status: int) -> None:
        for transfer in [t for t in self._in_flight.values() if of is t.handle or of is t.handle.device]:
            self._end(transfer, status)

    def _taken_again(self, port: Port, now_s: float) -> None:
        device = port.device
        if device is not None and port.chip is not None:
            for transfer in device.waiting.pop(1, deque()):
                if not transfer.ended:
                    self._out(transfer, port, device, now_s)

    def _wrong(self, transfer: Transfer, length: int, size: int) -> int | None:
        device, endpoint = transfer.handle.device, transfer.endpoint
        if (transfer.client, transfer.id) in self._in_flight or length < 0 or not (endpoint & 0x80 or size == length):
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
        return self._memory is not None and sum(transfer.length for transfer in self._in_flight.values()) + length > self._memory

    def _limit(self, transfer: Transfer, due_s: float) -> None:
        heapq.heappush(self._limits, (due_s, next(self._ids), transfer))
        if len(self._limits) > 64 + 2 * len(self._in_flight):
            self._limits = [limit for limit in self._limits if not limit[2].ended]
            heapq.heapify(self._limits)

    def _end(self, transfer: Transfer, status: int) -> None:
        if not transfer.ended:
            transfer.ended, transfer.data = True, b""
            del self._in_flight[transfer.client, transfer.id]
            data = transfer.got[0] if len(transfer.got) == 1 else b"".join(transfer.got)
            self.answers.append((transfer.client, transfer.id, Op.SUBMIT, int(status), transfer.done, data))

    def _control(self, transfer: Transfer, now_s: float) -> None:
        """Control transfers: descriptors, and of a hub the power of its ports."""
        device = transfer.handle.device
        setup, what = transfer.data[:8], device.descriptors
        found: bytes | None = None
        if len(setup) == 8 and setup[:2] == b"\x80\x06":
            found = {1: what.device, 2: what.config, 3: what.string(setup[2])}.get(setup[3])
        elif len(setup) == 8 and device.hub is not None:
            found = self._hub_request(device, setup, now_s)
        if found is not None:
            found = found[: int.from_bytes(setup[6:8], "little")]
        status = Status.STALL if found is None else Status.COMPLETED
        self._answer(transfer.client, transfer.id, Op.SUBMIT, status, len(found or b""), found or b"")

    def _hub_request(self, hub: Device, setup: bytes, now_s: float) -> bytes | None:
        """The hub class's descriptor, and its feature PORT_POWER; None stalls."""
        kind, request, value, number, _ = struct.unpack("<BBHHH", setup)
        described = hub_class(HUBS[hub.hub or "none"], hub.descriptors.speed)
        if (kind, request, value >> 8) == (0xA0, 6, described[1]):
            return described
        if kind == 0x23 and request in (1, 3) and value == PORT_POWER and 1 <= number <= HUB_PORTS:
            self.power(hub, number, now_s, on=request == 3)
            return b""
        return None

    def _firmware(self, transfer: Transfer, port: Port, now_s: float) -> None:
        if self._moment(port, "firmware", now_s):
            return
        transfer.done = transfer.length
        if not len(port.stream):
            port.written_s = now_s + port.profile.firmware_s
        complete = port.stream.feed(transfer.data)
        self._end(transfer, Status.COMPLETED)
        if complete and now_s >= port.written_s:
            self._start(port, now_s)
        elif complete:
            self._later(port, port.written_s - now_s, now_s, lambda now_s: self._start(port, now_s))

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
        """Pass the chip's bytes to pending IN transfers."""
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
