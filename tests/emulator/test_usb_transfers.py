"""Transfers on the emulated bus end as USB has them end: whole, short, too long, too late, cancelled, or with the device."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from ncs_cluster.emulator.emulator import Emulator
from tests.conftest import ROOT
from tests.emulator.conftest import running
from tests.emulator.libusb import Handle, Transfer, Usb, UsbError, Watcher, handle_events, patched

LEAVES_A_WORD = """
import sys, time
from tests.emulator.libusb import Usb
usb = Usb(*sys.argv[1:])
stick = usb.open(usb.one())
stick.write(b"left behind")
print(1, flush=True)
time.sleep(99)
"""


def test_a_transfer_too_long_for_the_read_is_an_overflow_and_its_packet_lost(stick: Handle) -> None:
    stick.write(b"a" * 100)
    stick.write(b"b" * 84)
    with pytest.raises(UsbError, match="OVERFLOW"):
        stick.read(84)
    assert stick.read(84) == b"b" * 84


def test_a_read_of_whole_packets_leaves_the_rest_for_the_next(stick: Handle) -> None:
    stick.write(bytes(1024) + b"tail")
    assert stick.read(1024) == bytes(1024)
    assert stick.read(84) == b"tail"


def test_a_transfer_of_whole_packets_does_not_end_a_longer_read(stick: Handle) -> None:
    stick.write(bytes(2048))
    stick.write(b"tail")
    assert stick.read(4096) == bytes(2048) + b"tail"


def test_what_the_chip_sends_arrives_in_pieces_or_joined_on_request(bus: Emulator, usb: Usb, stick: Handle) -> None:
    bus.fault("1-1.2", "pace", split=1024)
    stick.write(bytes(3000))
    assert stick.read(3000) == bytes(3000), "legal: only the last piece is shorter than a packet"
    bus.fault("1-1.2", "pace", split=1000)
    stick.write(bytes(3000))
    assert [len(stick.read(3000)) for _ in range(3)] == [1000] * 3
    bus.fault("1-1.2", "pace", merge=True, in_s=0.1)
    stick.write(b"one")
    assert stick.read(84) == b"one"


def test_a_read_times_out_and_takes_nothing_with_it(stick: Handle) -> None:
    with pytest.raises(UsbError, match="TIMEOUT"):
        stick.read(84, timeout_ms=20)
    stick.write(b"late")
    assert stick.read(84) == b"late"


def test_a_chip_that_takes_nothing_makes_writes_wait(bus: Emulator, stick: Handle) -> None:
    bus.fault("1-1.2", "pace", refuse_out=True)
    with pytest.raises(UsbError, match="TIMEOUT"):
        stick.write(b"never", timeout_ms=20)
    waits = Transfer(stick, 1, b"then").submit()
    bus.fault("1-1.2", "pace")
    assert waits.wait() == ("completed", 4)
    assert stick.read(84) == b"then"
    waits.free()


def test_transfers_are_slowed_down_in_order(bus: Emulator, stick: Handle) -> None:
    bus.fault("1-1.2", "pace", out_s=0.1, in_s=0.1, bytes_per_s=1e6)
    sent = [Transfer(stick, 1, bytes([n]) * 100).submit() for n in range(5)]
    assert [stick.read(100)[0] for _ in range(5)] == list(range(5))
    assert all(transfer.wait() == ("completed", 100) for transfer in sent)
    for transfer in sent:
        transfer.free()


def test_a_cancelled_read_ends_so_and_loses_no_data(stick: Handle) -> None:
    read = Transfer(stick, 0x81, 84).submit()
    read.cancel()
    assert read.wait() == ("cancelled", b"")
    with pytest.raises(UsbError, match="NOT_FOUND"):
        read.cancel()
    stick.write(b"for the next")
    assert stick.read(84) == b"for the next"
    read.free()


def test_a_submitted_transfer_cannot_be_submitted_again_until_its_end(stick: Handle) -> None:
    read = Transfer(stick, 0x81, 84).submit()
    with pytest.raises(UsbError, match="BUSY"):
        read.submit()
    stick.write(b"1")
    assert read.wait() == ("completed", b"1")
    stick.write(b"2")
    read.ended = None
    assert read.submit().wait() == ("completed", b"2")
    read.free()


def test_a_partly_filled_read_keeps_what_came_when_it_times_out(stick: Handle) -> None:
    stick.write(bytes(1024))
    read = Transfer(stick, 0x81, 4096, timeout_ms=50).submit()
    assert read.wait() == ("timed out", bytes(1024))
    read.free()


def test_reads_and_writes_wait_in_threads_of_their_own(stick: Handle) -> None:
    """As the vendor's plugin does it: without time-outs, one thread for each direction."""
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.extend(stick.read(270_000, timeout_ms=0) for _ in range(50)))
    reader.start()
    for n in range(50):
        stick.write(bytes([n]) * (269_000 + n), timeout_ms=0)
    reader.join(60)
    assert [(data[0], len(data)) for data in heard] == [(n, 269_000 + n) for n in range(50)]


@pytest.mark.parametrize("loss", ["pulled", "crash"])
def test_who_waits_for_a_stick_hears_at_once_that_it_has_gone(start_emulator: Callable[..., Emulator], loss: str) -> None:
    emulator = start_emulator(chip="ncs_cluster.emulator.loopback:Loopback", time_scale=20)
    emulator.add()
    usb = Usb(emulator.libusb, emulator.socket)
    stick = running(emulator, usb, "1-1.2")
    errors: list[str] = []

    def wait() -> None:
        try:
            stick.read(84, timeout_ms=0)
        except UsbError as error:
            errors.append(error.name)

    reader = threading.Thread(target=wait)
    reader.start()
    asynchronous = Transfer(stick, 0x81, 84).submit()
    if loss == "pulled":
        emulator.pull()
    else:
        emulator.process.kill()
    assert asynchronous.wait() == ("no device", b"")
    reader.join(60)
    assert errors == ["LIBUSB_ERROR_NO_DEVICE"]
    assert usb.sticks() == []
    asynchronous.free()
    stick.close()
    usb.exit()


def test_an_interface_belongs_to_one_process_and_is_free_when_that_is_killed(bus: Emulator, usb: Usb) -> None:
    bus.add()
    running(bus, usb, "1-1.2").close()
    child = subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_WORD, str(bus.libusb), str(bus.socket)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"1\n"
    assert bus.state()["claimed_by"] == [child.pid]
    mine = usb.open(usb.one(), claim=False)
    with pytest.raises(UsbError, match="BUSY"):
        mine.claim()
    with pytest.raises(UsbError, match="BUSY"):
        mine.configure(1)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    while bus.state()["claimed_by"]:
        pass
    mine.claim()
    assert bus.state()["state"] == "run", "the chip knows nothing of processes"
    assert mine.read(84) == b"left behind"


def test_without_a_claim_nothing_is_transferred(usb: Usb, bus: Emulator) -> None:
    bus.add()
    rom = usb.open(usb.one(), claim=False)
    with pytest.raises(UsbError, match="_IO"):
        rom.write(patched())
    assert bus.state()["state"] == "rom"


def test_a_stick_without_the_udev_rule_may_be_listed_but_not_opened(bus: Emulator, usb: Usb) -> None:
    bus.add(access=False)
    with pytest.raises(UsbError, match="ACCESS"):
        usb.open(usb.one())


def test_a_port_reset_cancels_and_keeps_the_firmware_or_ends_it(bus: Emulator, usb: Usb, stick: Handle) -> None:
    read = Transfer(stick, 0x81, 84).submit()
    stick.reset()
    assert read.wait() == ("cancelled", b"")
    read.free()
    bus.add("1-3", port_reset="rom")
    other = running(bus, usb, "1-3")
    with pytest.raises(UsbError, match="NOT_FOUND"):
        other.reset()
    bus.await_state("1-3", "rom")


@pytest.mark.parametrize("error", ["io", "access", "busy", "no_mem", "no_device", "timeout", "pipe", "overflow"])
def test_calls_fail_on_request_as_often_as_asked(bus: Emulator, usb: Usb, stick: Handle, error: str) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        ("get_device_list", usb.sticks),
        ("open", lambda: usb.open(usb.one(), claim=False).close()),
        ("claim_interface", stick.claim),
        ("set_configuration", lambda: stick.configure(0)),
        ("transfer", lambda: stick.write(b"x", timeout_ms=20)),
        ("submit_transfer", lambda: Transfer(stick, 1, b"x").submit()),
    ]
    for call, make in calls:
        bus.fault(None if call == "get_device_list" else "1-1.2", "libusb", call=call, error=error, times=2)
        for _ in range(2):
            with pytest.raises(UsbError) as caught:
                make()
            assert caught.value.name == f"LIBUSB_ERROR_{error.upper()}"
    stick.write(b"well")
    assert stick.read(84) == b"well"


def test_transfers_under_way_hold_no_more_memory_than_the_kernel_gives(bus: Emulator, stick: Handle) -> None:
    bus.fault(None, "memory", bytes=10_000)
    first, second = Transfer(stick, 0x81, 6000), Transfer(stick, 0x81, 6000)
    first.submit()
    for submit in (second.submit, lambda: stick.write(bytes(6000))):
        with pytest.raises(UsbError, match="NO_MEM"):
            submit()
    stick.write(b"makes room")
    assert first.wait() == ("completed", b"makes room")
    second.submit().cancel()
    assert second.wait()[0] == "cancelled"
    first.free()
    second.free()


def test_a_write_ends_short_on_request(bus: Emulator, stick: Handle) -> None:
    bus.fault("1-1.2", "libusb", call="transfer", error="short", bytes=10, endpoint=1, after=1)
    assert [stick.write(bytes(84)) for _ in range(3)] == [84, 10, 84]
    assert [len(stick.read(84)) for _ in range(3)] == [84, 10, 84]


@pytest.mark.parametrize(("error", "status"), [("io", "error"), ("no_mem", "error"), ("pipe", "stall"), ("no_device", "no device")])
def test_an_asynchronous_transfer_ends_badly_on_request(bus: Emulator, stick: Handle, error: str, status: str) -> None:
    bus.fault("1-1.2", "libusb", call="transfer", error=error)
    transfer = Transfer(stick, 1, b"x").submit()
    assert transfer.wait() == (status, 0)
    transfer.free()


def test_sticks_that_come_and_go_are_told_while_events_are_handled(bus: Emulator, usb: Usb) -> None:
    bus.add("1-1")
    watcher = Watcher(usb)
    assert watcher.heard == [("came", "2485")]
    running(bus, usb, "1-1")
    assert len(watcher.heard) == 1, "nobody handles events"
    assert watcher.hear(3)[1:] == [("left", "2485"), ("came", "f63b")]
    bus.pull("1-1")
    assert watcher.hear(4)[3:] == [("left", "f63b")]
    handle_events(usb, 0.0)
    assert len(watcher.heard) == 4


def test_everything_is_written_down_on_request(start_emulator: Callable[..., Emulator]) -> None:
    emulator = start_emulator(chip="ncs_cluster.emulator.loopback:Loopback", time_scale=20, trace=True)
    emulator.add()
    usb = Usb(emulator.libusb, emulator.socket)
    running(emulator, usb, "1-1.2").write(b"abc")
    usb.exit()
    calls = [line["call"] for line in emulator.trace if line["what"] == "call" and line["pid"] == os.getpid()]
    assert [call for call in calls if call in ("open", "claim_interface", "transfer", "close")] == [
        "open", "claim_interface", "transfer", "close", "open", "claim_interface", "transfer",
    ]  # fmt: skip
    assert any(line["data"] == b"abc".hex() and line["endpoint"] == 1 for line in emulator.trace)
