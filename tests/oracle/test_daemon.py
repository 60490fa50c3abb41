"""The whole daemon on emulated sticks with the vendor's plugin: its workers run under the old interpreter, all else does not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.config import load
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.testing.daemon import Daemon, Status, read_results, running
from tests.conftest import ROOT
from tests.needs import need_libusb
from tests.python39 import Runtime

PORTS = ["1-1.1", "1-1.2"]
CHIP = {"graphs": [os.fspath(ROOT / "graphs/demo/demo.xml")], "latency_s": 0.05, "watchdog_s": 4.0}
CONFIG = """
[runtimes.old]
python = "{python}"
[myriad]
runtime = "old"
infer_timeout_s = 2
[discovery]
sysfs = "{sysfs}"
"""


class House:
    def __init__(self, daemon: Daemon, bus: Emulator, results: Path) -> None:
        self.daemon, self.bus, self.results = daemon, bus, results

    def until(self, port: str, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        return stick(self.daemon.until(lambda status: holds(stick(status, port)), what), port)

    def both_work(self) -> Status:
        return self.daemon.until(lambda status: len(status["clusters"]["active"]) == 2, "has both at work")


def stick(status: Status, port: str) -> dict[str, Any]:
    return next((each for each in status["sticks"] if each["port"] == port), {"state": None, "restarts": 0})


@pytest.fixture(scope="module")
def house(
    start_emulators: Callable[..., Emulator], oracle_python: Runtime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    # the settings are judged with the machine's own libusb, which the plugin is linked to
    need_libusb()
    folder = tmp_path_factory.mktemp("house")
    bus = start_emulators()
    for port in PORTS:
        bus.add(port, **CHIP)
    config = folder / "ncs-cluster.toml"
    config.write_text(CONFIG.format(python=oracle_python.python, sysfs=bus.sysfs))
    argv = ["--config", str(config), "--backend", "myriad", "--source", "synthetic", "--size", "320x240", "--fps", "10"]
    argv += ["--results", str(folder / "found.jsonl"), "--no-web"]
    argv += ["--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run")]
    with running(load(argv, {}), bus.env) as daemon:
        yield House(daemon, bus, folder / "found.jsonl")


def test_both_sticks_are_found_booted_and_work(house: House) -> None:
    status = house.both_work()
    for port in PORTS:
        assert stick(status, port)["id"] == f"ncs-{port}"
        assert stick(status, port)["temperature_c"] is not None
    house.daemon.until(lambda status: all(stick(status, port)["inferences"] > 5 for port in PORTS), "has results of both")


def test_a_stick_that_is_pulled_is_absent_and_works_again_when_it_is_back(house: House) -> None:
    house.bus.pull(PORTS[0])
    house.until(PORTS[0], lambda each: each["state"] == "absent", "knows that it is gone")
    house.bus.plug(PORTS[0])
    house.both_work()


@pytest.mark.parametrize("fault", ["hang", "silent"])
def test_a_stick_that_hangs_costs_its_process_and_not_the_other_stick(house: House, fault: str) -> None:
    """Where it answers nothing at all the plugin waits inside of a call, for ever."""
    before = [stick(house.both_work(), port) for port in PORTS]
    house.bus.fault(PORTS[0], fault)
    house.until(PORTS[0], lambda each: each["restarts"] > before[0]["restarts"], "has ended the worker")
    house.until(PORTS[1], lambda each: each["inferences"] > before[1]["inferences"] + 5, "works with the other")
    house.both_work()
    assert stick(house.daemon.status(), PORTS[1])["restarts"] == before[1]["restarts"]


def test_nothing_was_lost_or_turned_round_and_the_sticks_are_left_in_their_roms(house: House) -> None:
    counters = house.both_work()["counters"]
    assert (counters["frames_lost"], counters["frames_doubled"], counters["out_of_order"]) == (0, 0, 0)
    assert house.daemon.stop() == 0
    lines = read_results(house.results)
    assert {line["stick"] for line in lines} == {f"ncs-{port}" for port in PORTS}
    assert any(each["score"] > 0.8 for line in lines for each in line["detections"])
    for port in PORTS:
        assert house.bus.await_state(port, "rom")["claimed_by"] == []
