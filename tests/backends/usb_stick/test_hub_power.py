"""A stick that answers nothing, and the hub that switches the power of its port off and on."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from ncs_cluster.backends import _hub_power
from ncs_cluster.backends._libusb import Context
from ncs_cluster.backends._usb_pipe import Pipe
from ncs_cluster.backends._usb_stick import UsbStick
from ncs_cluster.emulator.boot import START
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.errors import StickError
from tests.backends.usb_stick.steps import CHUNK, FIRMWARE, GOODBYE, PORT, echoed


def mute(bus: Emulator, port: str = PORT, **profile: object) -> None:
    """A stick whose firmware takes no byte, and whose watchdog is off."""
    bus.add(port, **profile)
    context = Context(os.fspath(bus.libusb))
    UsbStick(context, "before", port, None, CHUNK).boot(FIRMWARE[:-9] + b"\0" + START, GOODBYE, 5.0, 5.0).close()
    context.close()
    bus.fault(port, "pace", refuse_out=True)


def switched(context: Context, libusb: Path, **ports: str | None) -> Pipe:
    """Boot the stick, whose port may be switched off."""
    switch = partial(_hub_power.cycle, str(libusb))
    booted = ports.get("booted", "2-1.2")
    stick = UsbStick(context, "stick", PORT, booted, CHUNK, place=f"{PORT} (front-left)", switch=switch)
    return stick.boot(FIRMWARE, GOODBYE, 5.0, 0.2)


def test_the_port_of_a_stick_that_answers_nothing_is_switched_off_and_on(
    bus: Emulator, context: Context, emulated_libusb: Path
) -> None:
    bus.add("1-1.3", hub="single")
    mute(bus, hub="single")
    pipe = switched(context, emulated_libusb)
    assert echoed(context, pipe, b"hello") == b"hello"
    assert (bus.state(PORT)["cuts"], bus.state("1-1.3")["cuts"]) == (1, 0)
    pipe.close()


def test_a_hub_that_cannot_switch_single_ports_is_left_alone_and_the_stick_needs_a_hand(
    bus: Emulator, context: Context, emulated_libusb: Path
) -> None:
    bus.add("1-1.3", hub="ganged")
    mute(bus, hub="ganged")
    with pytest.raises(StickError) as error:
        switched(context, emulated_libusb)
    assert error.value.reason == "hang"
    assert error.value.detail == (
        "stick: no answer and no watchdog reset, and its port cannot be switched off: the hub at 1-1 does not switch single ports: "
        "it needs a hand: unplug the stick at port 1-1.2 (front-left) and plug it in again"
    )
    assert (bus.state(PORT)["cuts"], bus.state("1-1.3")["cuts"]) == (0, 0)


def test_both_ports_of_a_socket_are_off_at_once_and_a_socket_that_is_switched_by_half_is_left_alone(
    bus: Emulator, context: Context, emulated_libusb: Path
) -> None:
    """At USB 3 the other half would keep the stick powered."""
    mute(bus, run_port="2-2", hub="single")
    switched(context, emulated_libusb, booted="2-2").close()
    assert bus.state(PORT)["cuts"] == 1
    bus.fault(PORT, "pace", refuse_out=True)
    bus.add("3-1", run_port="2-3", hub="ganged")
    with pytest.raises(StickError, match="cannot be switched off: the root hub of bus 2 does not switch single ports:"):
        switched(context, emulated_libusb, booted="2-2")
    assert bus.state(PORT)["cuts"] == 1


def test_without_permission_for_the_hub_or_without_the_setting_nothing_is_switched(
    bus: Emulator, context: Context, emulated_libusb: Path
) -> None:
    mute(bus)
    with pytest.raises(StickError, match=r"there is no hub for port 1-1\.2: it needs a hand"):
        switched(context, emulated_libusb, booted=None)
    bus.reset()
    mute(bus, "1-2")
    stick = UsbStick(context, "stick", "1-2", None, CHUNK, switch=partial(_hub_power.cycle, str(emulated_libusb)))
    with pytest.raises(StickError, match=r"the root hub of bus 1: no permission to open it: it needs a hand"):
        stick.boot(FIRMWARE, GOODBYE, 5.0, 0.2)
    with pytest.raises(
        StickError, match=r"no answer and no watchdog reset: it needs a hand: unplug the stick at port 1-2 and plug"
    ):
        UsbStick(context, "stick", "1-2", None, CHUNK).boot(FIRMWARE, GOODBYE, 5.0, 0.2)


def test_a_stick_that_stays_mute_needs_a_hand(bus: Emulator, context: Context) -> None:
    mute(bus)
    asked = list[list[str]]()
    stick = UsbStick(context, "stick", PORT, "2-1.2", CHUNK, switch=asked.append)
    with pytest.raises(StickError) as error:
        stick.boot(FIRMWARE, GOODBYE, 5.0, 0.2)
    assert asked == [[PORT, "2-1.2"]]
    assert error.value.detail == (
        "stick: no answer and no watchdog reset, after its port was switched off and on: "
        "it needs a hand: unplug the stick at port 1-1.2 and plug it in again"
    )


def test_a_port_does_not_stay_off_when_its_worker_is_killed(bus: Emulator, emulated_libusb: Path) -> None:
    bus.add(PORT, hub="single")
    code = f"from ncs_cluster.backends import _hub_power; _hub_power.cycle({str(emulated_libusb)!r}, ['1-1.2', '2-1.2'])"
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **bus.env}) as worker:
        bus.await_state(PORT, "absent", 20.0)
        worker.kill()
    assert bus.await_state(PORT, "rom", 20.0)["cuts"] == 1
