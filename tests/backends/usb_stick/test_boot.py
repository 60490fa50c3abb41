"""A stick over libusb, below its protocol: found, booted, given back, and the bytes both ways; the chip here only echoes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ncs_cluster.backends._libusb import NO_DEVICE, Context, UsbError
from ncs_cluster.backends._usb_stick import VENDOR, UsbStick
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.errors import StickError
from tests.backends.usb_stick.steps import CHUNK, FIRMWARE, GOODBYE, PORT, WAIT_S, boot, echoed, refused


def test_a_stick_boots_and_speaks(bus: Emulator, context: Context) -> None:
    bus.add(PORT)
    pipe = boot(context)
    for size in (1, 84, 512, 1024, 5600, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5):
        data = os.urandom(size)
        assert echoed(context, pipe, data) == data
    assert pipe.quiet
    pipe.close()


@pytest.mark.parametrize("run_port", ["1-1.2", "2-1.2", "2-2"], ids=["USB 2", "other bus", "Raspberry Pi 4"])
def test_it_is_found_again_wherever_it_comes_back(bus: Emulator, context: Context, run_port: str) -> None:
    bus.add(PORT, run_port=run_port)
    stick = UsbStick(context, "stick", PORT, None, CHUNK)
    pipe = stick.boot(FIRMWARE, GOODBYE, WAIT_S, WAIT_S)
    assert stick.booted_port == run_port
    pipe.close()
    # known now: what it left running there is found and sent away
    stick.boot(FIRMWARE, GOODBYE, WAIT_S, WAIT_S).close()
    assert bus.state(PORT)["boots"] == 2


def test_a_neighbour_that_boots_meanwhile_is_not_mistaken_for_it(bus: Emulator, context: Context, emulated_libusb: Path) -> None:
    bus.add("1-1.3", boot_s=0.5)
    bus.add(PORT, boot_s=4.0)
    other = Context(str(emulated_libusb))
    slow, fast = UsbStick(context, "slow", PORT, None, CHUNK), UsbStick(other, "fast", "1-1.3", None, CHUNK)
    neighbour = fast.boot(FIRMWARE, GOODBYE, WAIT_S, WAIT_S)
    pipe = slow.boot(FIRMWARE, GOODBYE, WAIT_S, WAIT_S)
    assert (slow.booted_port, fast.booted_port) == ("2-1.2", "2-1.3")
    pipe.close()
    neighbour.close()
    other.close()


def test_a_stick_that_shows_at_the_home_of_another_is_left_to_that_one(bus: Emulator, context: Context) -> None:
    """The learned port was another stick's: the core forgets it, and learns again in a boot of its own."""
    bus.add("1-1.2", run_port="2-2")
    boot(context, "1-1.2", "2-2").close()
    with pytest.raises(StickError) as error:
        UsbStick(context, "first", "1-1.1", "2-2", CHUNK).boot(FIRMWARE, GOODBYE, 2.0, 2.0)
    assert error.value.reason == "gone"
    assert (bus.state("1-1.2")["state"], bus.state("1-1.2")["boots"]) == ("rom", 1)


@pytest.mark.parametrize("back", ["2-1", None], ids=["return port known", "unknown"])
def test_a_boot_that_ends_in_the_boot_rom_is_told_at_once_and_no_neighbour_is_claimed(
    bus: Emulator, context: Context, emulated_libusb: Path, back: str | None
) -> None:
    """A Raspberry Pi 4, whose chains change. The neighbour has just booted, and nobody holds it yet."""
    bus.add("1-1.1", run_port="2-1", boot="rom", boot_s=10.0)
    bus.add("1-1.2", run_port="2-2", boot_s=0.2)
    other = Context(str(emulated_libusb))
    with ThreadPoolExecutor(1) as threads:
        booting = threads.submit(UsbStick(context, "stick", "1-1.1", back, CHUNK).boot, FIRMWARE, GOODBYE, 50.0, WAIT_S)
        bus.await_state("1-1.1", "booting")
        UsbStick(other, "neighbour", "1-1.2", "2-2", CHUNK).boot(FIRMWARE, GOODBYE, WAIT_S, WAIT_S).close()
        with pytest.raises(StickError, match="its boot failed: it is back in its boot ROM") as error:
            booting.result(timeout=60)
    assert error.value.reason == "open"
    assert bus.state("1-1.2")["claimed_by"] == []
    other.close()


def test_one_whose_place_is_unknown_takes_no_device_that_may_be_a_neighbours(
    bus: Emulator, context: Context, emulated_libusb: Path
) -> None:
    bus.add("1-1.1", run_port="2-1", boot_s=15.0)
    bus.add("1-1.2", run_port="2-2", boot_s=0.2)
    slow = UsbStick(context, "slow", "1-1.1", None, CHUNK)
    other = Context(str(emulated_libusb))
    with ThreadPoolExecutor(1) as threads:
        booting = threads.submit(slow.boot, FIRMWARE, GOODBYE, 50.0, WAIT_S)
        bus.await_state("1-1.1", "booting")
        UsbStick(other, "quick", "1-1.2", "2-2", CHUNK).boot(FIRMWARE, GOODBYE, WAIT_S, WAIT_S).close()
        bus.await_state("1-1.1", "run", 20.0)
        bus.pull("1-1.2")
        bus.plug("1-1.2")
        pipe = booting.result(timeout=60)
    assert slow.booted_port == "2-1"
    pipe.close()
    other.close()


@pytest.mark.parametrize("known", [True, False])
def test_a_neighbour_with_the_same_chain_on_another_bus_is_not_booted_in_its_place(
    bus: Emulator, context: Context, known: bool
) -> None:
    """As in a PC with two controllers."""
    bus.add("1-1", run_port="2-1", reset_s=3.0)
    bus.add("3-1", run_port="4-1")
    boot(context, "1-1").close()
    boot(context, "1-1", "2-1" if known else None).close()
    assert (bus.state("1-1")["boots"], bus.state("3-1")["boots"]) == (2, 0)


@pytest.mark.parametrize("places", [("1-1", "2-1", "3-1", "4-1"), ("1-1.1", "2-1", "1-1.2", "2-2")], ids=["same chain", "Pi 4"])
def test_one_whose_place_is_known_waits_for_that_and_takes_no_other(
    bus: Emulator, context: Context, emulated_libusb: Path, places: tuple[str, str, str, str]
) -> None:
    home, back, other_home, other_back = places
    bus.add(home, run_port=back, boot_s=8.0)
    bus.add(other_home, run_port=other_back, boot_s=0.2)
    slow = UsbStick(context, "slow", home, back, CHUNK)
    other = Context(str(emulated_libusb))
    with ThreadPoolExecutor(1) as threads:
        booting = threads.submit(slow.boot, FIRMWARE, GOODBYE, WAIT_S, WAIT_S)
        bus.await_state(home, "booting")
        # it runs, and nobody holds it
        UsbStick(other, "quick", other_home, other_back, CHUNK).boot(FIRMWARE, GOODBYE, WAIT_S, WAIT_S).close()
        pipe = booting.result()
    assert slow.booted_port == back
    pipe.close()
    other.close()


def test_what_another_process_left_running_is_sent_back_to_its_boot(bus: Emulator, context: Context) -> None:
    bus.add(PORT)
    boot(context).close()
    assert bus.state(PORT)["state"] == "run"
    pipe = boot(context)
    assert bus.state(PORT)["boots"] == 2
    assert echoed(context, pipe, b"hello") == b"hello"
    pipe.close()


def test_without_permission_it_says_what_to_install(bus: Emulator, context: Context) -> None:
    bus.add(PORT, access=False)
    error = refused(context)
    assert error.reason == "open"
    assert "99-ncs-cluster.rules" in error.detail


def test_a_stick_in_other_hands_says_so(bus: Emulator, context: Context, emulated_libusb: Path) -> None:
    bus.add(PORT)
    other = Context(str(emulated_libusb))
    holder = UsbStick(other, "holder", PORT, None, CHUNK).boot(FIRMWARE, GOODBYE, WAIT_S, WAIT_S)
    error = refused(context, timeout_s=0.5)
    assert error.reason == "open"
    assert "another program" in error.detail
    holder.close()
    other.close()


@pytest.mark.parametrize(
    ("call", "error"), [("open", "io"), ("claim_interface", "busy"), ("set_configuration", "io"), ("open", "no_mem")]
)
def test_an_error_while_opening_is_one_line_with_a_remedy(bus: Emulator, context: Context, call: str, error: str) -> None:
    bus.add(PORT)
    bus.fault(PORT, "libusb", call=call, error=error)
    told = refused(context)
    assert told.reason == "open"
    assert "\n" not in told.detail
    boot(context).close()


@pytest.mark.parametrize("error", ["io", "timeout", "pipe"])
def test_a_boot_that_breaks_off_is_told_and_may_be_tried_again(bus: Emulator, context: Context, error: str) -> None:
    bus.add(PORT)
    bus.fault(PORT, "libusb", call="transfer", error=error, after=1)
    assert refused(context).reason == "link"
    assert bus.state(PORT)["claimed_by"] == []


def test_a_short_write_goes_on_with_the_rest(bus: Emulator, context: Context) -> None:
    bus.add(PORT)
    bus.fault(PORT, "libusb", call="transfer", error="short", bytes=1000, after=1)
    boot(context).close()


def test_firmware_that_does_not_start_is_told_apart_from_a_stick_that_never_returns(bus: Emulator, context: Context) -> None:
    bus.add(PORT, boot="rom", any_firmware=True)
    bus.add("1-1.3", boot="never", any_firmware=True)
    assert "its boot failed" in refused(context).detail
    with pytest.raises(StickError, match="it did not come back after its boot") as error:
        boot(context, "1-1.3", timeout_s=1.0)
    assert error.value.reason == "gone"


@pytest.mark.parametrize("moment", ["open", "claim", "firmware", "boot", "run"])
def test_a_stick_pulled_at_any_moment_of_its_boot_ends_it(bus: Emulator, context: Context, moment: str) -> None:
    bus.add(PORT)
    bus.fault(PORT, "pull", on=moment)
    assert refused(context, timeout_s=1.0).reason in ("gone", "open")


def test_an_empty_port_is_no_stick(bus: Emulator, context: Context) -> None:
    assert refused(context, timeout_s=0.1).reason == "gone"


def test_a_device_that_has_left_since_it_was_listed_is_no_device(bus: Emulator, context: Context) -> None:
    """libusb has forgotten it by then: what was told of it must not be a pointer."""
    bus.add(PORT)
    (listed,) = context.devices(VENDOR)
    bus.pull(PORT)
    bus.plug(PORT)
    assert listed not in context.devices(VENDOR)
    with pytest.raises(UsbError) as error:
        context.open(listed)
    assert error.value.code == NO_DEVICE
