"""Backend xlink on emulated sticks: frames that carry numbers, and everything a stick, a cable or a hand may do to them."""

from __future__ import annotations

import math
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.backends import xlink
from ncs_cluster.backends.xlink import Xlink
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import GraphName, StickId
from tests.backends.numbered import Driver, write_blobs
from tests.backends.xlink_sticks.steps import PORT, QUICK_STICK, Drive, lost
from tests.descriptors import open_descriptors

pytestmark = pytest.mark.slow

TRIES = 5
"""A machine that stands still for a moment costs one of them."""


def process(bus: Emulator, files: Path, libusb: Path, port: str, count: int) -> subprocess.Popen[str]:
    """A process that owns a stick, ready."""
    command = [sys.executable, "-m", "tests.backends.numbered", port, str(files / "firmware"), str(libusb), str(files), str(count)]
    started = subprocess.Popen(command, env={**os.environ, **bus.env}, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    return started


def test_every_result_is_its_own_frames(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK)
    driver = drive()
    device = driver.open()
    assert (device.has_sensor, device.max_in_flight, device.firmware) == (True, 4, "444c4454.2480")
    assert list(dict.fromkeys(driver.phases)) == ["opening", "compiling"]
    driver.run(300)
    assert driver.mixed == 0
    assert bus.state(PORT)["chip"]["violations"] == []


def test_two_graphs_of_other_layouts_are_told_apart(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK)
    driver = drive(graphs=2)
    driver.open()
    driver.run(300)
    assert driver.mixed == 0
    assert bus.state(PORT)["chip"]["violations"] == []


def test_a_closed_stick_is_back_in_its_boot_with_everything_given_back(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK)

    def closes() -> float:
        driver = drive(graphs=2)
        driver.open()
        driver.run(10)
        began_s = time.monotonic()
        driver.backend.close()
        took_s = time.monotonic() - began_s
        bus.await_state(PORT, "rom")
        return took_s

    assert any(closes() < 2 for _ in range(TRIES))


def test_temperature_and_throttle_level_come_by_themselves_and_absurd_ones_are_passed_on(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK, initial_c=72.0, heat_scale=0.01)
    driver = drive()
    driver.open()
    assert driver.backend.read_sensor().temperature_c == pytest.approx(72, abs=2)
    bus.fault(PORT, "temperature", celsius="nan")
    until_s = time.monotonic() + 60
    while not math.isnan(driver.backend.read_sensor().temperature_c or 0.0) and time.monotonic() < until_s:
        driver.turn(0.1)
    reading = driver.backend.read_sensor()
    assert math.isnan(reading.temperature_c or 0.0)
    assert reading.throttle_level == 1
    assert reading.age_s < 1


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "at work"])
def test_a_pulled_stick_is_gone_at_once_and_closing_it_takes_no_time(bus: Emulator, drive: Drive, busy: bool) -> None:
    bus.add(PORT, **{**QUICK_STICK, "latency_s": 0.1})

    def closes() -> float:
        driver = drive()
        driver.open()
        if busy:
            driver.fill()
        bus.pull(PORT)
        assert lost(driver).reason == "gone"
        began_s = time.monotonic()
        driver.backend.close()
        took_s = time.monotonic() - began_s
        bus.plug(PORT)
        return took_s

    assert any(closes() < 1 for _ in range(TRIES))


@pytest.mark.parametrize("moment", ["out", "in"])
def test_a_stick_pulled_in_the_middle_of_its_loading_is_gone(bus: Emulator, drive: Drive, moment: str) -> None:
    bus.add(PORT, **QUICK_STICK)
    bus.fault(PORT, "pull", on=moment, after=40)
    with pytest.raises(StickError) as error:
        drive().open()
    assert error.value.reason == "gone"


@pytest.mark.parametrize("moment", ["out", "in", "release", "close"])
def test_a_stick_pulled_while_it_is_closed_is_closed(bus: Emulator, drive: Drive, moment: str) -> None:
    bus.add(PORT, **QUICK_STICK)
    driver = drive()
    driver.open()
    bus.fault(PORT, "pull", on=moment, after=3 if moment in ("out", "in") else 0)
    driver.backend.close()


@pytest.mark.parametrize("fault", ["hang", "silent"])
def test_a_stick_that_hangs_is_reset_in_place_and_works_on(bus: Emulator, drive: Drive, fault: str) -> None:
    # longer than the host's patience, which ends first then
    bus.add(PORT, **QUICK_STICK, watchdog_s=8.0)
    driver = drive(infer_timeout_s=3.0)
    driver.open()
    driver.run(10)
    bus.fault(PORT, fault)
    error = lost(driver, fill=True)
    assert error.reason == "hang"
    assert "\n" not in error.detail
    driver.reopen()
    assert bus.state(PORT)["boots"] == 2
    driver.run(50)
    assert driver.mixed == 0


@pytest.mark.parametrize("fault", [{"kind": "garbage"}, {"kind": "status", "code": 9}], ids=["garbage", "refused"])
def test_nonsense_ends_the_link_and_the_stick_is_reset_in_place(bus: Emulator, drive: Drive, fault: dict[str, Any]) -> None:
    bus.add(PORT, **QUICK_STICK)
    driver = drive()
    driver.open()
    bus.fault(PORT, **fault)
    assert lost(driver, fill=True).reason == "link"
    driver.reopen()
    driver.run(20)
    assert driver.mixed == 0


@pytest.mark.parametrize("look_s", [xlink.LOOK_S, 0.0], ids=["ahead", "behind"])
def test_a_stick_that_never_stops_talking_works_on_and_hangs_like_any_other(
    bus: Emulator, drive: Drive, monkeypatch: pytest.MonkeyPatch, look_s: float
) -> None:
    """Also where the host never catches up with it: then it hears one message a turn."""
    monkeypatch.setattr(xlink, "LOOK_S", look_s)
    bus.add(PORT, **QUICK_STICK, watchdog_s=1.5)
    driver = drive(infer_timeout_s=1.0)
    driver.open()
    bus.fault(PORT, "chatter")
    driver.run(20)
    bus.fault(PORT, "hang")
    assert lost(driver, fill=True).reason == "hang"
    driver.reopen()
    driver.run(20)
    assert driver.mixed == 0


def test_a_stick_that_asks_without_end_and_takes_no_answer_is_reset(
    bus: Emulator, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a busy machine takes longer for 10,000 requests than the host waits for a reply
    monkeypatch.setattr(xlink, "MOST_WAITING", 500)
    bus.add(PORT, **QUICK_STICK, watchdog_s=60.0)
    driver = drive()
    driver.open()
    bus.fault(PORT, "pace", refuse_out=True)
    bus.fault(PORT, "chatter", pings=xlink.MOST_WAITING + 100)
    assert "reads no reply" in lost(driver).detail
    bus.fault(PORT, "pace", refuse_out=False)
    driver.reopen()
    driver.run(20)


@pytest.mark.parametrize("error", ["io", "timeout", "pipe", "overflow"])
@pytest.mark.parametrize("endpoint", [0x01, 0x81], ids=["out", "in"])
def test_a_transfer_that_fails_costs_the_link_and_no_result_is_mixed(
    bus: Emulator, drive: Drive, error: str, endpoint: int
) -> None:
    """A stick that has got half of a message takes our farewell for the other half: then its watchdog has the word."""
    bus.add(PORT, **QUICK_STICK, watchdog_s=1.5)
    driver = drive()
    driver.open()
    bus.fault(PORT, "libusb", call="transfer", error=error, endpoint=endpoint, after=25)
    with pytest.raises(StickError) as told:
        driver.run(100)
    assert told.value.reason == "link"
    driver.reopen()
    driver.run(100)
    assert driver.mixed == 0


def test_a_write_that_stops_halfway_is_finished_or_costs_the_link(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK, watchdog_s=1.5)
    driver = drive()
    driver.open()
    for after in range(4):
        bus.fault(PORT, "libusb", call="transfer", error="short", bytes=4, endpoint=1, after=after)
        try:
            driver.run(20)
        except StickError:
            driver.reopen()
            driver.run(20)
    assert driver.mixed == 0


def test_slow_and_cut_transfers_change_nothing_but_time(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK)
    driver = drive(graphs=2)
    driver.open()
    bus.fault(PORT, "pace", out_s=0.001, in_s=0.001, split=1024)
    driver.run(40)
    assert driver.mixed == 0


def test_a_graph_the_stick_refuses_is_named_and_may_be_tried_again(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK, graphs=[])
    with pytest.raises(StickError, match="graph planar") as error:
        drive().open()
    assert error.value.reason == "open", "its file was verified: another try may end well"


def test_a_blob_of_luxonis_converter_gives_the_same_outputs(
    bus: Emulator, emulated_libusb: Path, files: Path, tmp_path: Path
) -> None:
    """The emulated stick refuses a blob that is not of version 6, as a real one does."""
    bus.add(PORT, **QUICK_STICK)
    (loaded, _) = write_blobs(tmp_path)
    path = Path(loaded.blob or "")
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, 60, 2021, 4)
    path.write_bytes(data)
    driver = Driver(PORT, files / "firmware", emulated_libusb, [loaded])
    try:
        driver.open()
        driver.run(30)
        assert driver.mixed == 0, "outputs that are not those of their inputs"
        assert bus.state(PORT)["chip"]["violations"] == []
    finally:
        driver.backend.close()


def test_what_is_missing_is_named_with_its_remedy(files: Path, tmp_path: Path) -> None:
    def refused(graph: GraphSpec, **options: Any) -> StickError:
        with pytest.raises(StickError) as error:
            Xlink().open(StickSpec(StickId("1.2"), PORT, "xlink", options), [graph], lambda phase: None)
        return error.value

    loaded = write_blobs(tmp_path)[0]
    never = GraphSpec(GraphName("face"), "/face.xml", "ssd")
    damaged = tmp_path / "damaged.blob"
    damaged.write_bytes(Path(loaded.blob or "").read_bytes()[:200])
    assert refused(never).reason == "graph"
    assert "ncsctl graphs compile face" in refused(never).detail
    told = refused(GraphSpec(GraphName("face"), "/face.xml", "ssd", blob=str(damaged)))
    assert told.reason == "graph"
    assert str(damaged) in told.detail
    assert "ncsctl firmware install" in refused(loaded, firmware=str(tmp_path / "none")).detail
    (tmp_path / "odd").write_bytes(b"odd")
    assert "ncsctl firmware install" in refused(loaded, firmware=str(tmp_path / "odd")).detail
    assert "executors" in refused(loaded, executors=9).detail
    firmware = str(files / "firmware")
    assert "libusb-1.0-0" in refused(loaded, firmware=firmware, libusb="libusb-1.0.so.99").detail


def test_what_a_killed_process_left_is_sent_back_to_its_boot(
    bus: Emulator, drive: Drive, files: Path, emulated_libusb: Path
) -> None:
    """Where the kill cuts a transfer in two, the stick takes what follows for the rest: then its own watchdog resets it."""
    bus.add(PORT, **QUICK_STICK, watchdog_s=2.0)
    owner = process(bus, files, emulated_libusb, PORT, 1_000_000)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert bus.state(PORT)["state"] == "run"
    driver = drive()
    driver.open()
    driver.run(50)
    assert driver.mixed == 0


def test_four_sticks_in_four_processes_never_mix(bus: Emulator, files: Path, emulated_libusb: Path) -> None:
    ports = ["1-1.1", "1-1.2", "1-1.3", "1-1.4"]
    for port in ports:
        bus.add(port, **QUICK_STICK)
    owners = [process(bus, files, emulated_libusb, port, 150) for port in ports]
    said = [owner.communicate(timeout=60)[0] for owner in owners]
    counts = [re.fullmatch(r"ready\n(\d+) back, 0 mixed\n", words) for words in said]
    # as many as are in flight when it has its 150 may come back with the last one
    assert all(count and int(count[1]) >= 150 for count in counts), said


def test_a_host_that_decodes_for_long_keeps_its_stick_alive(bus: Emulator, drive: Drive) -> None:
    """50 ms of work between two looks, a watchdog of 4 s: the stick is never given up, by neither side."""
    bus.add(PORT, **QUICK_STICK, watchdog_s=4.0)
    driver = drive()
    driver.open()
    until_s = time.monotonic() + 6.5
    while time.monotonic() < until_s:
        driver.fill()
        for _ in driver.turn():
            time.sleep(0.05)
    assert bus.state(PORT)["boots"] == 1
    assert driver.mixed == 0
    assert driver.backend.read_sensor().age_s < 6


def test_descriptors_stay_few_over_many_lives(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **{**QUICK_STICK, "boot_s": 0.01, "reset_s": 0.01})
    counts = []
    for life in range(20):
        driver = drive()
        driver.open()
        driver.run(5)
        if life % 3 == 1:
            bus.fault(PORT, "garbage")
            assert lost(driver).reason == "link"
            driver.reopen()
        driver.backend.close()
        counts.append(open_descriptors())
    assert counts[-1] == counts[2]
