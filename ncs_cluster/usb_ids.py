"""USB ids of the accelerators that are matched on a bus, and names of ports. Runs on CPython 3.9."""

from __future__ import annotations

from typing import NamedTuple


class UsbIds(NamedTuple):
    """One kind of accelerator: vendor and product ids."""

    vendor: int
    boot_rom: int
    """Product id while it waits for its firmware."""
    booted: int
    """Product id after its firmware has started."""


MYRIAD_X = UsbIds(0x03E7, 0x2485, 0xF63B)
"""Movidius Myriad X: the Intel Neural Compute Stick 2."""
FOREIGN = {
    (0x03E7, 0x2150): "a Neural Compute Stick of the first generation (03e7:2150), which cannot be driven: only a stick 2 can",
    (0x03E7, 0xF63C): "an OAK camera in its bootloader (03e7:f63c), no stick",
}
"""Devices that are taken for one of ours, and are not: vendor and product id."""
CAMERA_MAKER = "Luxonis"
"""The product name of a running OAK camera begins with it ("Luxonis Device"); its ids are a stick's. In its boot ROM a camera is
like a stick."""


def is_at(port: str, place: str) -> bool:
    """Whether a port ("1-1.2") is the one that a setting names: the port itself, or its chain ("1.2") on any bus."""
    return place in (port, port.partition("-")[2])


def text(number: int) -> str:
    """As the kernel and lsusb write an id: "03e7"."""
    return f"{number:04x}"
