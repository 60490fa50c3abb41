"""Bus and chip together: what happens at a port because of what the chip's inside does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.xlink.frames import HEADER_SIZE
from tests.descriptors import open_descriptors
from tests.emulator.conftest import running
from tests.emulator.libusb import Transfer, Usb, patched


@pytest.fixture(scope="module")
def real_bus(start_emulators: Callable[..., Emulator]) -> Emulator:
    return start_emulators(time_scale=20)


@pytest.fixture
def chips(real_bus: Emulator) -> Iterator[tuple[Emulator, Usb]]:
    """An empty bus whose sticks speak XLink, and a libusb on it."""
    usb = Usb(real_bus.libusb, real_bus.socket)
    yield real_bus, usb
    usb.exit()
    real_bus.reset()


def test_a_stick_nobody_talks_to_resets_itself_if_its_watchdog_was_armed(chips: tuple[Emulator, Usb]) -> None:
    bus, usb = chips
    bus.add(watchdog_s=4.0)
    rom = usb.open(usb.one())
    rom.write(patched(watchdog=True))
    rom.close()
    until_s = time.monotonic() + 60
    while not bus.state()["resets"] and time.monotonic() < until_s:
        pass
    assert bus.await_state("1-1.2", "rom")["resets"] == 1
    running(bus, usb, "1-1.2")
    with pytest.raises(TimeoutError):
        bus.await_state("1-1.2", "rom", timeout_s=0.6)


def test_bytes_without_sense_end_no_bus(chips: tuple[Emulator, Usb]) -> None:
    bus, usb = chips
    bus.add()
    stick = running(bus, usb, "1-1.2")
    for size in (1, HEADER_SIZE, 1000, 100_000):
        stick.write(os.urandom(size))
    assert bus.state()["state"] in ("run", "leaving", "rom")


def test_boots_pulls_and_contexts_without_end_keep_nothing(chips: tuple[Emulator, Usb]) -> None:
    bus, _ = chips
    bus.add()

    def held() -> list[int]:
        mine = [open_descriptors(), len(os.listdir("/proc/self/task"))]
        return mine + [len(os.listdir(f"/proc/{bus.process.pid}/{what}")) for what in ("fd", "task")]

    before = held()
    for _ in range(25):
        usb = Usb(bus.libusb, bus.socket)
        stick = running(bus, usb, "1-1.2")
        read = Transfer(stick, 0x81, 84).submit()
        bus.pull()
        assert read.wait() == ("no device", b"")
        read.free()
        stick.close()
        usb.exit()
        bus.plug()
    until_s = time.monotonic() + 60
    while held() != before and time.monotonic() < until_s:
        bus.state()  # the bus hears of a client that has left when it next looks
    assert held() == before
