"""The USB descriptors of a Myriad X, in its ROM and running, and of the root hubs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ncs_cluster.usb_ids import MYRIAD_X

HIGH, SUPER = 3, 4
"""libusb's speeds."""


@dataclass(frozen=True)
class Descriptors:
    """A device's descriptors."""

    device: bytes
    config: bytes
    strings: tuple[str, ...] = ()
    """String 1 first."""
    speed: int = HIGH

    @property
    def packet(self) -> int:
        """Bytes of a full bulk packet; a shorter one ends a transfer."""
        return 1024 if self.speed == SUPER else 512

    @property
    def vendor(self) -> int:
        return int(struct.unpack_from("<H", self.device, 8)[0])

    @property
    def product(self) -> int:
        return int(struct.unpack_from("<H", self.device, 10)[0])

    @property
    def release(self) -> int:
        """bcdUSB"""
        return int(struct.unpack_from("<H", self.device, 2)[0])

    def string(self, index: int) -> bytes | None:
        """The raw string descriptor; index 0 lists the languages."""
        if index == 0:
            return b"\x04\x03\x09\x04"
        if index > len(self.strings):
            return None
        text = self.strings[index - 1].encode("utf-16-le")[:252]
        return bytes([len(text) + 2, 3]) + text


def _device(release: int, klass: int, vendor: int, product: int, strings: tuple[int, int, int], packet0: int) -> bytes:
    return struct.pack("<BBHBBBBHHHBBBB", 18, 1, release, klass, 0, 0, packet0, vendor, product, 1, *strings, 1)


def _config(pairs: int, speed: int, milliamperes: int, klass: int) -> bytes:
    packet, unit = (1024, 8) if speed == SUPER else (512, 2)
    companion = bytes([6, 0x30, 15, 0, 0, 0]) if speed == SUPER else b""
    endpoints = b"".join(
        struct.pack("<BBBBHB", 7, 5, address, 2, packet, 0) + companion for n in range(1, pairs + 1) for address in (n, n | 0x80)
    )
    interface = struct.pack("<BBBBBBBBB", 9, 4, 0, 0, 2 * pairs, klass, 0xFF, 0xFF, 0)
    size = 9 + len(interface) + len(endpoints)
    return struct.pack("<BBHBBBBB", 9, 2, size, 1, 1, 0, 0x80, milliamperes // unit) + interface + endpoints


def rom() -> Descriptors:
    """The boot ROM: takes firmware, always USB 2, the same serial number on every stick."""
    return Descriptors(
        _device(0x200, 0, MYRIAD_X.vendor, MYRIAD_X.boot_rom, (1, 2, 3), 64),
        _config(1, HIGH, 500, 0xFF),
        ("Movidius Ltd.", "Movidius MyriadX", "03e72485"),
    )


def run(speed: int, serial: str) -> Descriptors:
    """The running firmware: three bulk pairs, of which hosts use the first."""
    release, packet0, milliamperes = (0x300, 9, 896) if speed == SUPER else (0x200, 64, 500)
    return Descriptors(
        _device(release, 0, MYRIAD_X.vendor, MYRIAD_X.booted, (1, 2, 3), packet0),
        _config(3, speed, milliamperes, 0xFF),
        ("Intel Corporation", "VSC Loopback Device", serial),
        speed,
    )


HUB_PORTS = 7


def hub(speed: int) -> Descriptors:
    """A hub between a root hub and a stick."""
    release = 0x300 if speed == SUPER else 0x200
    return Descriptors(_device(release, 9, 0x2109, 0x0817, (1, 2, 0), 64), b"", ("VIA Labs, Inc.", "USB Hub"), speed)


def hub_class(switching: int, speed: int) -> bytes:
    """The class descriptor: seven ports, 100 ms until the power is good."""
    head = struct.pack("<BBBHBB", 12 if speed == SUPER else 9, 0x2A if speed == SUPER else 0x29, HUB_PORTS, switching, 50, 0)
    return head + (bytes(5) if speed == SUPER else b"\0\xff")


def root_hub(speed: int) -> Descriptors:
    release, product = (0x300, 3) if speed == SUPER else (0x200, 2)
    strings = ("Linux", "xHCI Host Controller", "emulated")
    return Descriptors(_device(release, 9, 0x1D6B, product, (1, 2, 3), 64), b"", strings, speed)
