"""The calls of libusb on the emulated bus: devices, handles and claims. No I/O, time is an argument.

The server passes the clients' calls in and collects `answers` and `changes`. An interface belongs to one handle, and a client that
dies loses its handles, claims and transfers, as with a kernel. Sticks come and go in `ports`, transfers end in `transfers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ncs_cluster.emulator.boot import BootStream
from ncs_cluster.emulator.loopback import Chip
from ncs_cluster.emulator.port import Device, Handle
from ncs_cluster.emulator.transfers import Transfers
from ncs_cluster.emulator.wire import CALLS, Error, Op, Status

Call = Callable[[Handle, int, int, float], tuple[int, int]]


class Bus(Transfers):
    """The bus of one server."""

    def __init__(
        self, chip_of: Callable[..., Chip], time_scale: float = 1.0, log: Callable[[str], None] = lambda line: None
    ) -> None:
        super().__init__(chip_of, time_scale, log)
        self._handles: dict[int, Handle] = {}
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

    @property
    def asked(self) -> bool:
        """True while a fault is armed for a call that the emulated libusb makes only then."""
        return self.armed.asked or self._memory is not None or any(port.armed.asked for port in self.ports.values())

    def call(self, client: Any, id: int, op: int, endpoint: int, target: int, a: int, b: int, data: bytes, now_s: float) -> None:
        """Any call but SUBMIT."""
        if op == Op.CANCEL:
            transfer = self._in_flight.get((client, target))
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
        """The client has exited: its handles and claims are free at once."""
        for handle in [handle for handle in self._handles.values() if handle.client is client]:
            self._close(handle, 0, 0, now_s)
        self.answers = [answer for answer in self.answers if answer[0] is not client]

    def _open(self, client: Any, device: Device | None, now_s: float) -> tuple[int, int]:
        if device is None:
            return Error.NO_DEVICE, 0
        if device.hub is None and (device.port is None or not device.port.profile.access):
            return Error.ACCESS, 0
        handle = Handle(next(self._ids) & 0x7FFFFFFF, client, device)
        self._handles[handle.id] = handle
        if device.port is not None:
            self._moment(device.port, "open", now_s)
        return Error.SUCCESS, handle.id

    def _close(self, handle: Handle, a: int, b: int, now_s: float) -> tuple[int, int]:
        device = handle.device
        self._end_all(handle, Status.CANCELLED)
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
        self._end_all(device, Status.CANCELLED)
        if port is None:
            return Error.SUCCESS, 0
        if port.state == "run" and port.profile.port_reset == "rom":
            self._leave(port, now_s)
            return Error.NOT_FOUND, 0
        port.stream = BootStream(port.profile.any_firmware)
        return Error.SUCCESS, 0

    def is_open(self, handle: Handle) -> bool:
        return self._handles.get(handle.id) is handle

    def submit(
        self, client: Any, id: int, endpoint: int, target: int, length: int, timeout_ms: int, data: bytes, now_s: float
    ) -> None:
        """Submit a transfer; the answer is sent at its end."""
        handle = self._handles.get(target)
        if handle is None or handle.client is not client or not handle.device.present:
            self._answer(client, id, Op.SUBMIT, Status.NO_DEVICE)
        else:
            self._submit(handle, id, endpoint, length, timeout_ms, data, now_s)
