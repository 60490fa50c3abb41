"""A stick's life on the emulated bus, seen through libusb's calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ncs_cluster.testing.myriad.emulator import Emulator
from tests.myriad.libusb import Usb, patched

LOOPBACK = "ncs_cluster.testing.myriad.loopback:Loopback"


@pytest.fixture
def emulator(start_emulator: Callable[..., Emulator]) -> Emulator:
    return start_emulator(chip=LOOPBACK, time_scale=20)


@pytest.fixture
def usb(emulator: Emulator) -> Iterator[Usb]:
    usb = Usb(emulator.library, emulator.socket)
    yield usb
    usb.exit()


def boot(emulator: Emulator, usb: Usb, port: str = "1-1.2") -> None:
    rom = next(found for found in usb.list() if found.name == port)
    handle = usb.open(rom)
    handle.write(patched())
    handle.close()
    emulator.await_state(port, "run")


def test_a_stick_is_booted_and_comes_back_as_another_device(emulator: Emulator, usb: Usb) -> None:
    emulator.add("1-1.2")
    rom = usb.one()
    assert (rom.name, rom.product, rom.speed) == ("1-1.2", "2485", 3)
    boot(emulator, usb)
    run = usb.one()
    assert (run.name, run.product, run.speed) == ("2-1.2", "f63b", 4)
    handle = usb.open(run)
    assert (handle.string(2), len(handle.string(3))) == ("VSC Loopback Device", 8)
    assert handle.write(b"PING" * 500) == 2000
    assert handle.read(84 + 2000) == b"PING" * 500
    handle.close()
