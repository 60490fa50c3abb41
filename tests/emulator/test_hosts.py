"""Our own host before what a stick may do and must not: it works on, or says that the link is lost, and never mixes results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.errors import StickError
from tests.backends import numbered
from tests.backends.numbered import Driver, write_blobs

PORT = "1-1.2"
QUICK = {"boot_s": 0.05, "reset_s": 0.05, "latency_s": 0.002, "watchdog_s": 1.5}
Drive = Callable[[], Driver]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "firmware").write_bytes(artificial_firmware(600_000))
    write_blobs(folder)
    return folder


@pytest.fixture
def drive(files: Path, emulator: Emulator, emulated_libusb: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drive]:
    monkeypatch.setenv("NCS_EMULATOR_SOCKET", str(emulator.socket))
    drivers: list[Driver] = []

    def make() -> Driver:
        drivers.append(Driver(PORT, files / "firmware", emulated_libusb, numbered.graphs(files), infer_timeout_s=1.0))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.backend.close()


@pytest.mark.parametrize("chip", [{"own_ends": True}, {"release_first": True}, {"release": "received"}], ids=str)
def test_a_stick_may_open_its_own_ends_and_give_credit_early_or_late(
    emulator: Emulator, drive: Drive, chip: dict[str, Any]
) -> None:
    emulator.add(PORT, **QUICK, **chip)
    driver = drive()
    driver.open()
    driver.run(60)
    assert driver.mixed == 0
    assert emulator.state(PORT)["chip"]["violations"] == []


@pytest.mark.parametrize(("kind", "how"), [("slow", {"factor": 10}), ("pace", {"split": 700})], ids=["slow", "split"])
def test_what_only_takes_longer_is_lived_with(emulator: Emulator, drive: Drive, kind: str, how: dict[str, Any]) -> None:
    emulator.add(PORT, **QUICK)
    driver = drive()
    driver.open()
    emulator.fault(PORT, kind, **how)
    driver.run(40)
    assert driver.mixed == 0


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("late", {"for_s": 2}),
        ("credit", {}),
        ("refuse", {}),
        ("short", {}),
        ("stray", {}),
        ("status", {"code": 10}),
        ("garbage", {"data": "00" * 200}),
        ("pace", {"merge": True}),
        ("pace", {"refuse_out": True}),
        ("libusb", {"call": "transfer", "error": "no_mem", "after": 5}),
        ("libusb", {"call": "transfer", "error": "access", "after": 5}),
        ("libusb", {"call": "submit_transfer", "error": "busy", "after": 5}),
    ],
    ids=lambda value: value if isinstance(value, str) else value.get("error", ""),
)
def test_what_must_not_happen_costs_the_link_and_the_next_life_is_well(
    emulator: Emulator, drive: Drive, kind: str, how: dict[str, Any]
) -> None:
    emulator.add(PORT, **QUICK)
    driver = drive()
    driver.open()
    driver.run(10)
    emulator.fault(PORT, kind, **how)
    with pytest.raises(StickError) as told:
        driver.run(40)
    assert told.value.reason in ("hang", "link")
    assert "\n" not in told.value.detail
    emulator.fault(PORT, "clear")
    driver.reopen()
    driver.run(40)
    assert driver.mixed == 0


def test_a_loose_plug_is_a_stick_that_is_gone_and_comes_back(emulator: Emulator, drive: Drive) -> None:
    emulator.add(PORT, **QUICK)
    first = drive()
    first.open()
    emulator.fault(PORT, "flap", times=3, up_s=0.05, down_s=0.05)
    with pytest.raises(StickError) as told:
        first.run(100_000)
    assert told.value.reason == "gone"
    first.backend.close()
    while emulator.state(PORT)["pulls"] < 3:
        pass
    emulator.await_state(PORT, "rom")
    second = drive()
    second.open()
    second.run(20)
    assert second.mixed == 0
