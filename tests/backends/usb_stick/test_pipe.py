"""The bytes of a booted stick both ways: transfers that fail, are short, or find no memory; descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ncs_cluster.backends._libusb import Context
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.errors import StickError
from tests.backends.usb_stick.steps import PORT, boot, echoed, wait
from tests.descriptors import open_descriptors


def test_a_pull_ends_what_is_under_way_at_once(bus: Emulator, context: Context) -> None:
    bus.add(PORT)
    pipe = boot(context)
    pipe.ask(84)
    bus.pull(PORT)
    with pytest.raises(StickError) as error:
        wait(context, pipe)
    assert error.value.reason == "gone"
    pipe.close()


@pytest.mark.parametrize("error", ["io", "timeout", "pipe", "overflow"])
def test_a_transfer_that_fails_ends_the_link(bus: Emulator, context: Context, error: str) -> None:
    bus.add(PORT)
    pipe = boot(context)
    bus.fault(PORT, "libusb", call="transfer", error=error, endpoint=0x81)
    with pytest.raises(StickError) as told:
        echoed(context, pipe, b"hello")
    assert told.value.reason == "link"
    pipe.close()


def test_more_than_was_asked_for_ends_the_link(bus: Emulator, context: Context) -> None:
    bus.add(PORT)
    pipe = boot(context)
    pipe.send(bytes(100))
    pipe.ask(84)
    with pytest.raises(StickError, match="more than") as told:
        wait(context, pipe)
    assert told.value.reason == "link"
    pipe.close()


def test_where_the_kernel_has_little_memory_chunks_become_smaller(bus: Emulator, context: Context) -> None:
    bus.add(PORT)
    pipe = boot(context)
    bus.fault(PORT, "libusb", call="submit_transfer", error="no_mem", endpoint=1, times=2)
    data = os.urandom(300_000)
    assert echoed(context, pipe, data) == data
    pipe.close()


@pytest.mark.parametrize("endpoint", [1, 0x81])
def test_memory_that_others_hold_for_a_moment_is_waited_for(bus: Emulator, context: Context, endpoint: int) -> None:
    bus.add(PORT)
    pipe = boot(context)
    bus.fault(PORT, "libusb", call="submit_transfer", error="no_mem", endpoint=endpoint, times=12)
    assert echoed(context, pipe, b"eight bytes, or a few more") == b"eight bytes, or a few more"
    data = os.urandom(300_000)
    assert echoed(context, pipe, data) == data
    pipe.close()


def test_memory_that_never_comes_ends_the_link_in_one_line(bus: Emulator, context: Context) -> None:
    bus.add(PORT)
    pipe = boot(context)
    bus.fault(PORT, "libusb", call="submit_transfer", error="no_mem", endpoint=1, times=100_000)
    with pytest.raises(StickError, match="usbfs_memory_mb") as told:
        pipe.send(b"hello")
    assert told.value.reason == "link"
    pipe.close()


def test_closing_with_a_read_under_way_gives_the_stick_back(bus: Emulator, context: Context) -> None:
    bus.add(PORT)
    pipe = boot(context)
    pipe.ask(84)
    pipe.close()
    assert bus.state(PORT)["claimed_by"] == []


def test_a_transfer_that_does_not_come_back_in_time_is_left_behind_with_its_context(bus: Emulator, emulated_libusb: Path) -> None:
    """Closing its device or libusb would free what the kernel still writes into."""
    bus.add(PORT)
    kept = Context(str(emulated_libusb))
    pipe = boot(kept)
    pipe.ask(84)
    pipe.close(timeout_s=0.0)
    assert kept.stuck
    kept.close()
    assert bus.state(PORT)["claimed_by"] == [os.getpid()]


def test_descriptors_stay_few_over_many_boots(bus: Emulator, emulated_libusb: Path) -> None:
    bus.add(PORT, boot_s=0.01, reset_s=0.01)
    counts = []
    for _ in range(20):
        context = Context(str(emulated_libusb))
        boot(context).close()
        context.close()
        counts.append(open_descriptors())
    assert counts[-1] == counts[2]
