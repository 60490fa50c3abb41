"""libusb's blocking calls by ctypes, for tests of the USB level: a program of its own, run as `python -c`, or loaded here."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncs_cluster.emulator.boot import CALL, MEMORY, START, WATCHDOG, artificial_firmware

SMALL = artificial_firmware(40_000)


def patched(firmware: bytes = SMALL, watchdog: bool = True) -> bytes:
    """As a host sends it."""
    at = firmware.rindex(CALL)
    stored = WATCHDOG + bytes([watchdog])
    return firmware[:at] + MEMORY + b"\0" + firmware[at : -len(START)] + stored + START


class UsbError(Exception):
    """A call failed; `name` is libusb's, such as LIBUSB_ERROR_BUSY."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Descriptor(ctypes.LittleEndianStructure):
    _pack_ = 1
    _fields_ = [
        (name, ctypes.c_uint16 if name in ("bcdUSB", "idVendor", "idProduct", "bcdDevice") else ctypes.c_uint8)
        for name in (
            "bLength",
            "bDescriptorType",
            "bcdUSB",
            "bDeviceClass",
            "bDeviceSubClass",
            "bDeviceProtocol",
            "bMaxPacketSize0",
            "idVendor",
            "idProduct",
            "bcdDevice",
            "iManufacturer",
            "iProduct",
            "iSerialNumber",
            "bNumConfigurations",
        )
    ]


@dataclass
class Found:
    """One entry of a list, with a reference of its own."""

    device: int
    name: str
    address: int
    product: str
    speed: int


class _Endpoint(ctypes.Structure):
    _fields_ = [("head", ctypes.c_uint8 * 4), ("packet", ctypes.c_uint16), ("tail", ctypes.c_uint8 * 3), ("extra", ctypes.c_void_p)]
    _fields_ += [("extra_length", ctypes.c_int)]


class _Setting(ctypes.Structure):
    _fields_ = [("head", ctypes.c_uint8 * 9), ("endpoints", ctypes.POINTER(_Endpoint)), ("extra", ctypes.c_void_p)]
    _fields_ += [("extra_length", ctypes.c_int)]


class _Interface(ctypes.Structure):
    _fields_ = [("settings", ctypes.POINTER(_Setting)), ("count", ctypes.c_int)]


class _Config(ctypes.Structure):
    _fields_ = [
        ("head", ctypes.c_uint8 * 2),
        ("size", ctypes.c_uint16),
        ("interface_count", ctypes.c_uint8),
        ("rest", ctypes.c_uint8 * 4),
    ]
    _fields_ += [("interfaces", ctypes.POINTER(_Interface)), ("extra", ctypes.c_void_p), ("extra_length", ctypes.c_int)]


class Usb:
    """A context of the library in `folder`, connected to `socket`."""

    def __init__(self, library: Path, socket: Path | str) -> None:
        self.lib = ctypes.CDLL(str(library))
        for call in (
            "open",
            "close",
            "exit",
            "unref_device",
            "get_bus_number",
            "get_device_address",
            "get_device_speed",
            "get_port_numbers",
            "get_device_descriptor",
            "claim_interface",
            "release_interface",
            "set_configuration",
        ):
            getattr(self.lib, f"libusb_{call}").argtypes = [ctypes.c_void_p] * (
                2 if call in ("get_device_descriptor", "open") else 1
            )
        self.lib.libusb_get_port_numbers.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        for call in ("claim_interface", "release_interface", "set_configuration"):
            getattr(self.lib, f"libusb_{call}").argtypes = [ctypes.c_void_p, ctypes.c_int]
        self.lib.libusb_get_device_list.restype = ctypes.c_ssize_t
        self.lib.libusb_get_device_list.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.lib.libusb_free_device_list.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self.lib.libusb_error_name.restype = ctypes.c_char_p
        self.lib.libusb_bulk_transfer.argtypes = [
            ctypes.c_void_p,
            ctypes.c_ubyte,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_uint,
        ]
        self.lib.libusb_get_string_descriptor_ascii.argtypes = [ctypes.c_void_p, ctypes.c_uint8, ctypes.c_char_p, ctypes.c_int]
        self.lib.libusb_reset_device.argtypes = [ctypes.c_void_p]
        self.context = ctypes.c_void_p()
        before = os.environ.get("NCS_EMULATOR_SOCKET")
        os.environ["NCS_EMULATOR_SOCKET"] = str(socket)
        try:
            self.check(self.lib.libusb_init(ctypes.byref(self.context)))
        finally:
            os.environ.pop("NCS_EMULATOR_SOCKET")
            if before is not None:
                os.environ["NCS_EMULATOR_SOCKET"] = before

    def check(self, code: int) -> int:
        if code < 0:
            raise UsbError(self.lib.libusb_error_name(code).decode())
        return code

    def exit(self) -> None:
        self.lib.libusb_exit(self.context)

    def sticks(self) -> list[Found]:
        """The sticks on the bus, without hubs."""
        devices = ctypes.POINTER(ctypes.c_void_p)()
        count = self.check(self.lib.libusb_get_device_list(self.context, ctypes.byref(devices)))
        found = []
        for device in devices[:count]:
            descriptor, ports = Descriptor(), ctypes.create_string_buffer(7)
            self.check(self.lib.libusb_get_device_descriptor(device, ctypes.byref(descriptor)))
            depth = self.check(self.lib.libusb_get_port_numbers(device, ports, 7))
            name = f"{self.lib.libusb_get_bus_number(device)}-{'.'.join(map(str, ports.raw[:depth]))}"
            if descriptor.idVendor == 0x03E7:
                address, speed = self.lib.libusb_get_device_address(device), self.lib.libusb_get_device_speed(device)
                found.append(Found(device, name, address, f"{descriptor.idProduct:04x}", speed))
            else:
                self.lib.libusb_unref_device(device)
        self.lib.libusb_free_device_list(devices, 0)
        return found

    def open(self, found: Found, claim: bool = True) -> Handle:
        handle = ctypes.c_void_p()
        self.check(self.lib.libusb_open(found.device, ctypes.byref(handle)))
        opened = Handle(self, handle)
        if claim:
            opened.claim()
        return opened

    def endpoints(self, found: Found) -> list[tuple[int, int, bytes]]:
        """(address, packet, what follows it) of all endpoints the configuration tells of."""
        listed, told = ctypes.POINTER(_Config)(), []
        get, free = self.lib.libusb_get_config_descriptor, self.lib.libusb_free_config_descriptor
        self.check(get(ctypes.c_void_p(found.device), ctypes.c_uint8(0), ctypes.byref(listed)))
        for interface in listed.contents.interfaces[: listed.contents.interface_count]:
            for setting in interface.settings[: interface.count]:
                for endpoint in setting.endpoints[: setting.head[4]]:
                    told.append((endpoint.head[2], endpoint.packet, ctypes.string_at(endpoint.extra, endpoint.extra_length)))
        free(listed)
        return told

    def one(self) -> Found:
        (found,) = self.sticks()
        return found


class Handle:
    """An open device."""

    def __init__(self, usb: Usb, handle: Any) -> None:
        self.usb, self.handle = usb, handle

    def claim(self) -> None:
        self.usb.check(self.usb.lib.libusb_claim_interface(self.handle, 0))

    def release(self) -> None:
        self.usb.check(self.usb.lib.libusb_release_interface(self.handle, 0))

    def configure(self, value: int) -> None:
        self.usb.check(self.usb.lib.libusb_set_configuration(self.handle, value))

    def reset(self) -> None:
        self.usb.check(self.usb.lib.libusb_reset_device(self.handle))

    def string(self, index: int) -> str:
        text = ctypes.create_string_buffer(64)
        self.usb.check(self.usb.lib.libusb_get_string_descriptor_ascii(self.handle, index, text, 64))
        return text.value.decode()

    def write(self, data: bytes, endpoint: int = 1, timeout_ms: int = 5000) -> int:
        """How many bytes went."""
        done = ctypes.c_int()
        self.usb.check(self.usb.lib.libusb_bulk_transfer(self.handle, endpoint, data, len(data), ctypes.byref(done), timeout_ms))
        return done.value

    def read(self, size: int, endpoint: int = 0x81, timeout_ms: int = 5000) -> bytes:
        done, data = ctypes.c_int(), ctypes.create_string_buffer(size)
        self.usb.check(self.usb.lib.libusb_bulk_transfer(self.handle, endpoint, data, size, ctypes.byref(done), timeout_ms))
        return data.raw[: done.value]

    def close(self) -> None:
        self.usb.lib.libusb_close(self.handle)


class _Raw(ctypes.Structure):
    _fields_ = [
        ("handle", ctypes.c_void_p),
        ("flags", ctypes.c_uint8),
        ("endpoint", ctypes.c_ubyte),
        ("type", ctypes.c_ubyte),
        ("timeout", ctypes.c_uint),
        ("status", ctypes.c_int),
        ("length", ctypes.c_int),
        ("actual_length", ctypes.c_int),
        ("callback", ctypes.c_void_p),
        ("user_data", ctypes.c_void_p),
        ("buffer", ctypes.c_void_p),
        ("packets", ctypes.c_int),
    ]


class _Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("microseconds", ctypes.c_long)]


STATUS = ("completed", "error", "timed out", "cancelled", "stall", "no device", "overflow")
_ENDED = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_HOTPLUG = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class Transfer:
    """An asynchronous one; `ended` is None until its callback has run, then (status, data or bytes done)."""

    def __init__(self, handle: Handle, endpoint: int, data: bytes | int, timeout_ms: int = 0) -> None:
        lib = self.lib = handle.usb.lib
        lib.libusb_alloc_transfer.restype = ctypes.POINTER(_Raw)
        self.usb, self.raw = handle.usb, lib.libusb_alloc_transfer(0)
        self.ended: tuple[str, bytes | int] | None = None
        size = data if isinstance(data, int) else len(data)
        self._data = ctypes.create_string_buffer(b"" if isinstance(data, int) else data, size + 1)
        self._callback = _ENDED(self._end)
        raw = self.raw.contents
        raw.handle, raw.endpoint, raw.type, raw.timeout = handle.handle.value, endpoint, 2, timeout_ms
        raw.length, raw.buffer = size, ctypes.addressof(self._data)
        raw.callback = ctypes.cast(self._callback, ctypes.c_void_p).value

    def _end(self, raw: int) -> None:
        here = self.raw.contents
        done = here.actual_length
        self.ended = STATUS[here.status], self._data.raw[:done] if here.endpoint & 0x80 else done

    def submit(self) -> Transfer:
        self.usb.check(self.lib.libusb_submit_transfer(self.raw))
        return self

    def cancel(self) -> None:
        self.usb.check(self.lib.libusb_cancel_transfer(self.raw))

    def free(self) -> None:
        self.lib.libusb_free_transfer(self.raw)

    def wait(self, timeout_s: float = 10) -> tuple[str, bytes | int]:
        """Handles events until it has ended. Raises TimeoutError."""
        until_s = time.monotonic() + timeout_s
        while self.ended is None:
            if time.monotonic() > until_s:
                raise TimeoutError
            handle_events(self.usb, 0.2)
        return self.ended


def handle_events(usb: Usb, timeout_s: float) -> None:
    timeout = _Time(int(timeout_s), int(timeout_s % 1 * 1e6))
    usb.lib.libusb_handle_events_timeout.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    usb.check(usb.lib.libusb_handle_events_timeout(usb.context, ctypes.byref(timeout)))


class Watcher:
    """A hot-plug callback: notes (event, product) in `heard`."""

    def __init__(self, usb: Usb, enumerate_present: bool = True) -> None:
        self.usb, self.heard = usb, list[tuple[str, str]]()
        self._callback = _HOTPLUG(self._hear)
        register = usb.lib.libusb_hotplug_register_callback
        register.argtypes = [ctypes.c_void_p, *[ctypes.c_int] * 5, _HOTPLUG, ctypes.c_void_p, ctypes.c_void_p]
        usb.check(register(usb.context, 3, int(enumerate_present), 0x03E7, -1, -1, self._callback, None, None))

    def _hear(self, context: int, device: int, event: int, user_data: int | None) -> int:
        descriptor = Descriptor()
        self.usb.lib.libusb_get_device_descriptor(device, ctypes.byref(descriptor))
        self.heard.append(("came" if event == 1 else "left", f"{descriptor.idProduct:04x}"))
        return 0

    def hear(self, count: int, timeout_s: float = 10) -> list[tuple[str, str]]:
        """What was heard, once it is so much. Raises TimeoutError."""
        until_s = time.monotonic() + timeout_s
        while len(self.heard) < count:
            if time.monotonic() > until_s:
                raise TimeoutError(str(self.heard))
            handle_events(self.usb, 0.2)
        return self.heard
