"""A stick's life on the emulated bus, seen through libusb's calls: from its ROM to running and back, and out of the port."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from ncs_cluster.emulator.emulator import Emulator
from tests.emulator.conftest import running
from tests.emulator.libusb import SMALL, Handle, Usb, UsbError, patched


def test_a_stick_is_booted_and_comes_back_as_another_device(bus: Emulator, usb: Usb) -> None:
    bus.add("1-1.2")
    rom = usb.one()
    assert (rom.name, rom.product, rom.speed) == ("1-1.2", "2485", 3)
    handle = running(bus, usb, "1-1.2")
    run = usb.one()
    assert (run.name, run.product, run.speed) == ("2-1.2", "f63b", 4)
    assert (handle.string(2), len(handle.string(3))) == ("VSC Loopback Device", 8)
    assert handle.write(b"PING" * 500) == 2000
    assert handle.read(84 + 2000) == b"PING" * 500


@pytest.mark.parametrize(
    ("port", "run_port", "name", "speed"),
    [("1-1.2", None, "2-1.2", 4), ("1-1.2", "2-2", "2-2", 4), ("1-1", "1-1", "1-1", 3), ("3-2.4.1", None, "4-2.4.1", 4)],
    ids=["other bus, same ports", "other ports too, as on a Raspberry Pi 4", "USB 2 only", "behind two hubs"],
)
def test_a_booted_stick_appears_where_its_host_puts_it(
    bus: Emulator, usb: Usb, port: str, run_port: str | None, name: str, speed: int
) -> None:
    bus.add(port, run_port=run_port)
    running(bus, usb, port)
    assert (usb.one().name, usb.one().speed) == (name, speed)


def test_firmware_without_the_hosts_two_stores_does_not_boot(bus: Emulator, usb: Usb) -> None:
    bus.add()
    rom = usb.open(usb.one())
    for firmware in (SMALL, patched()[4:], patched().replace(b"\x98\x00\x0c\x20\x70", bytes(5))):
        rom.write(firmware)
        rom.release()
        rom.claim()
        assert bus.state()["state"] == "rom"
    assert "the type of memory is not stored" in bus.log
    rom.write(patched())
    bus.await_state("1-1.2", "run")


def test_a_rom_shows_for_as_long_as_its_firmware_takes(bus: Emulator, usb: Usb) -> None:
    bus.add(firmware_s=1000.0)
    usb.open(usb.one()).write(patched())
    assert (usb.one().product, bus.state()["state"], bus.state()["boots"]) == ("2485", "rom", 0)
    bus.reset()
    bus.add(firmware_s=0.1)
    running(bus, usb, "1-1.2")
    assert usb.one().product == "f63b"


def test_any_firmware_boots_a_stick_that_is_told_so(bus: Emulator, usb: Usb) -> None:
    bus.add(any_firmware=True)
    usb.open(usb.one()).write(b"anything\xa4")
    bus.await_state("1-1.2", "run")


def test_both_lives_tell_of_their_endpoints(bus: Emulator, usb: Usb) -> None:
    bus.add()
    assert usb.endpoints(usb.one()) == [(0x01, 512, b""), (0x81, 512, b"")]
    running(bus, usb, "1-1.2")
    companion = bytes([6, 0x30, 15, 0, 0, 0])
    assert usb.endpoints(usb.one()) == [(address, 1024, companion) for address in (1, 0x81, 2, 0x82, 3, 0x83)]
    bus.add("1-4", config="09020900010101" + "8032")
    assert usb.endpoints(next(found for found in usb.sticks() if found.name == "1-4")) == []


def test_firmware_may_come_in_pieces(bus: Emulator, usb: Usb) -> None:
    bus.add()
    rom, firmware = usb.open(usb.one()), patched()
    for at in range(0, len(firmware), 1000):
        rom.write(firmware[at : at + 1000])
    bus.await_state("1-1.2", "run")


def test_each_time_on_the_bus_the_address_is_another(bus: Emulator, usb: Usb, stick: Handle) -> None:
    seen = {("2-1.2", usb.one().address)}
    for _ in range(3):
        bus.pull()
        bus.plug()
        seen.add(("1-1.2", usb.one().address))
    assert len(seen) == 4


def test_a_reset_chip_says_its_last_and_comes_back_in_its_rom(bus: Emulator, usb: Usb, stick: Handle) -> None:
    stick.write(b"RESET")
    assert stick.read(84) == b"RESET"
    assert bus.await_state("1-1.2", "rom")["resets"] == 1
    with pytest.raises(UsbError, match="NO_DEVICE"):
        stick.write(b"more")
    assert usb.one().product == "2485"


def test_a_pulled_stick_is_gone_at_once_for_every_call(bus: Emulator, usb: Usb, stick: Handle) -> None:
    gone = usb.one()
    bus.pull()
    assert usb.sticks() == []
    for call in (stick.claim, stick.release, lambda: stick.write(b"x"), lambda: stick.read(8), lambda: usb.open(gone)):
        with pytest.raises(UsbError, match="NO_DEVICE"):
            call()
    stick.close()
    bus.plug()
    assert usb.one().product == "2485"


@pytest.mark.parametrize(("result", "state"), [("never", "booting"), ("rom", "rom")])
def test_a_boot_may_end_badly_and_the_next_well(bus: Emulator, usb: Usb, result: str, state: str) -> None:
    bus.add()
    bus.fault("1-1.2", "boot", result=result)
    usb.open(usb.one()).write(patched())
    if state == "rom":
        bus.await_state("1-1.2", "rom")
        assert bus.state()["boots"] == 1
    else:
        assert usb.sticks() == []
        bus.pull()
        bus.plug()
    running(bus, usb, "1-1.2")


@pytest.mark.parametrize("moment", ["open", "claim", "firmware", "boot", "run", "release", "close"])
def test_a_stick_is_pulled_at_any_moment_of_its_boot_and_boots_after_it(bus: Emulator, usb: Usb, moment: str) -> None:
    bus.add()
    bus.fault("1-1.2", "pull", on=moment, again_s=0.5)
    with suppress(UsbError):
        rom = usb.open(usb.one())
        if moment in ("release", "close"):
            getattr(rom, moment)()
        else:
            rom.write(patched())
    bus.await_state("1-1.2", "rom")
    assert bus.state()["pulls"] == 1
    running(bus, usb, "1-1.2")


def test_a_loose_plug_comes_and_goes(bus: Emulator, usb: Usb, stick: Handle) -> None:
    bus.fault("1-1.2", "flap", times=3, up_s=0.4, down_s=0.4)
    while bus.state()["pulls"] < 3:
        pass
    bus.await_state("1-1.2", "rom")
    running(bus, usb, "1-1.2").write(b"well")


def test_the_kernels_view_is_in_step_and_never_half(bus: Emulator, usb: Usb) -> None:
    devices = Path(bus.sysfs / "bus/usb/devices")
    bus.add("1-1.2", serial="ABC")

    def read(name: str, what: str) -> str:
        return (devices / name / what).read_text().strip()

    shown = [read("1-1.2", what) for what in ("idVendor", "idProduct", "busnum", "devpath", "speed")]
    assert shown == ["03e7", "2485", "1", "1.2", "480"]
    assert read("1-1.2", "devnum") == str(usb.one().address)
    running(bus, usb, "1-1.2")
    assert not (devices / "1-1.2").exists()
    assert [read("2-1.2", what) for what in ("idProduct", "serial", "speed", "version")] == ["f63b", "ABC", "5000", "3.00"]
    bus.pull()
    assert sorted(path.name for path in devices.iterdir()) == ["usb1", "usb2"]


def test_wrong_commands_are_answered_with_the_reason(bus: Emulator) -> None:
    bus.add()
    for command in (
        lambda: bus.add("1-1.2"),
        lambda: bus.add("here"),
        lambda: bus.pull("1-9"),
        lambda: bus.fault("1-1.2", "libusb", call="opne", error="io"),
        lambda: bus.fault("1-1.2", "libusb", call="open", error="tired"),
        lambda: bus.fault("1-1.2", "pull", on="sunday"),
        lambda: bus.fault("1-1.2", "hang"),
        lambda: bus.fault(None, "flap"),
        lambda: bus.command("dance"),
    ):
        with pytest.raises(ValueError, match=r"\w+Error: .+"):
            command()
    assert bus.state()["state"] == "rom"
