"""A bus whose sticks send back what they hear, twenty times as fast, and a libusb context on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ncs_cluster.emulator.emulator import Emulator
from tests.emulator.libusb import Handle, Usb, patched


@pytest.fixture(scope="module")
def one_bus(start_emulators: Callable[..., Emulator]) -> Emulator:
    return start_emulators(chip="ncs_cluster.emulator.loopback:Loopback", time_scale=20)


@pytest.fixture
def bus(one_bus: Emulator) -> Iterator[Emulator]:
    """Empty before each test; its sticks' chips are loopbacks."""
    yield one_bus
    one_bus.reset()


@pytest.fixture
def usb(bus: Emulator) -> Iterator[Usb]:
    usb = Usb(bus.libusb, bus.socket)
    yield usb
    usb.exit()


@pytest.fixture
def stick(bus: Emulator, usb: Usb) -> Handle:
    """A running stick at 1-1.2, opened and claimed."""
    bus.add("1-1.2")
    return running(bus, usb, "1-1.2")


def running(bus: Emulator, usb: Usb, port: str) -> Handle:
    """Boots the stick at a port; it is opened and claimed."""
    rom = usb.open(next(found for found in usb.sticks() if found.name == port))
    rom.write(patched(watchdog=False))
    rom.close()
    name = bus.await_state(port, "run")["name"]
    return usb.open(next(found for found in usb.sticks() if found.name == name))
