"""USB ids of the accelerators that are matched on a bus. Runs on CPython 3.9."""

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


def text(number: int) -> str:
    """As the kernel and lsusb write an id: "03e7"."""
    return f"{number:04x}"
