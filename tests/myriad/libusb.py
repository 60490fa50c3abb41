"""libusb's blocking calls by ctypes, for tests of the USB level: a program of its own, run as `python -c`, or loaded here."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncs_cluster.testing.myriad.boot import CALL, MEMORY, START, WATCHDOG, artificial_firmware

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

    def list(self) -> list[Found]:
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

    def one(self) -> Found:
        (found,) = self.list()
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
