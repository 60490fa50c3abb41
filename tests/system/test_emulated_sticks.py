"""The whole daemon on emulated sticks: found, booted and driven over USB by backend xlink, with all that can happen to them."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.specs import Settings
from ncs_cluster.testing.daemon import Daemon, Status, read_results, results_so_far, running
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PORTS = [f"1-1.{number}" for number in (1, 2, 3, 4)]
HOT_C = 70.0


class House:
    """A daemon and the bus it works on."""

    def __init__(self, daemon: Daemon, bus: Emulator, results: Path) -> None:
        self.daemon, self.bus, self.results = daemon, bus, results

    def stick(self, port: str) -> dict[str, Any]:
        return stick(self.daemon.status(), port)

    def until(self, port: str, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        return stick(self.daemon.until(lambda status: stick(status, port) and holds(stick(status, port)), what), port)

    def resets_told(self, port: str) -> list[str]:
        """The reasons of all resets of this stick in the log."""
        told = re.compile(rf"worker ncs-{re.escape(port)}\b.*?: (.*): resetting and reopening the stick")
        return told.findall(self.daemon.log.read_text())

    def at_work(self) -> str:
        """The port of a stick of the active cluster, once there is one."""
        status = self.daemon.until(lambda status: len(status["clusters"]["active"]) == 2, "has two sticks at work")
        port: str = status["clusters"]["active"][0].removeprefix("ncs-")
        return port

    def well(self) -> Status:
        """Four sticks at hand, two of them at work, and results come."""
        self.daemon.well()
        return self.daemon.until(
            lambda status: status["daemon"]["state"] == "ok" and len(status["clusters"]["active"]) == 2, "has two sticks at work"
        )


def told(daemon: Daemon, state: str, reason: str) -> None:
    """Wait until this is the state and its one reason."""
    daemon.until(lambda status: (status["daemon"]["state"], status["daemon"]["reasons"]) == (state, [reason]), f"says: {reason}")


def stick(status: Status, port: str) -> dict[str, Any]:
    return next((each for each in status["sticks"] if each["port"] == port), {})


CHIP = {"graphs": [os.fspath(ROOT / "graphs/demo/demo.xml")], "latency_s": 0.05, "watchdog_s": 8.0}
"""It answers as the shipped demo graph does on this CPU."""
BLIND = {**CHIP, "graphs": "zero"}
"""It sees nothing, and costs nothing: where no test looks at what it finds."""


def started(bus: Emulator, folder: Path, *flags: str) -> AbstractContextManager[Daemon]:
    """A daemon as its flags make it, on this bus."""
    firmware = folder / "usb-ma2x8x.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    argv = ["--source", "synthetic", "--size", "320x240", "--fps", "5", "--results", str(folder / "found.jsonl"), "--no-web"]
    argv += ["--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run")]
    argv += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}"]
    # sticks that see nothing answer the known picture with zeros
    argv += ["--set", "xlink.check_s=0"]
    return running(load([*argv, *flags], {}), bus.env)


@pytest.fixture(scope="module")
def house(start_emulators: Callable[..., Emulator], tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    # as learned at an earlier start, when each booted alone
    (folder / "state").mkdir()
    (folder / "state/ports.json").write_text(json.dumps({"2-3": "1-1.3", "2-4": "1-1.4", "2-1.1": "1-1.1", "2-1.2": "1-1.2"}))
    bus = start_emulators()
    for port in PORTS[:2]:
        bus.add(port, **CHIP)
    for port in PORTS[2:]:
        # as on a Raspberry Pi 4, where the chain is another one after the boot
        bus.add(port, run_port=f"2-{port[-1]}", **BLIND)
    named = ["--set", 'discovery.names={"1.2"="rear"}']
    turns = [*named, "--cluster-size", "2", "--switch-temp", "65", "--switch-interval", "0"]
    with started(bus, folder, "--backend", "xlink", *turns) as daemon:
        yield House(daemon, bus, folder / "found.jsonl")


def test_four_sticks_are_found_booted_and_two_of_them_work(house: House) -> None:
    house.well()
    status = house.daemon.until(
        lambda status: all(each["temperature_c"] is not None and each["firmware"] for each in status["sticks"]),
        "has a temperature of each stick",
    )
    assert [each["port"] for each in status["sticks"]] == PORTS
    assert [each["name"] for each in status["sticks"]] == [None, "rear", None, None]
    assert "ncs-1-1.2 (rear): is ready" in house.daemon.log.read_text()
    for each in status["sticks"]:
        assert each["id"] == f"ncs-{each['port']}"
        assert each["throttle_level"] == 0


def test_ports_get_new_names_while_their_sticks_work_on(house: House) -> None:
    file = house.daemon.runtime_dir.with_suffix(".settings")
    old = msgspec.msgpack.decode(file.read_bytes(), type=Settings)
    (pool,) = old.pools
    assert pool.discovery is not None
    for names in ({"1.2": "back", "1-1.4": "front"}, pool.discovery.names):
        named = structs.replace(pool, discovery=structs.replace(pool.discovery, names=names))
        file.write_bytes(msgspec.msgpack.encode(structs.replace(old, pools=[named])))
        os.kill(house.daemon.pid, signal.SIGHUP)
        called = [names.get("1.2"), names.get("1-1.4")]
        house.daemon.until(
            lambda status, called=called: [stick(status, port)["name"] for port in ("1-1.2", "1-1.4")] == called, "has new names"
        )
    log = house.daemon.log.read_text()
    assert "new settings are applied: port 1-1.4: name none -> front; port 1.2: name rear -> back" in log
    assert "has new settings" not in log


def test_what_they_find_is_what_the_scene_holds(house: House) -> None:
    labels = set((ROOT / "graphs/demo/labels.txt").read_text().split())
    found = [each for line in results_so_far(house.results) for each in line["detections"]]
    assert {each["label"] for each in found} <= labels
    assert any(each["score"] > 0.8 for each in found)
    assert any(each["distance_m"] is not None for each in found)


def test_a_hot_cluster_rests_while_the_other_works(house: House) -> None:
    hot = house.at_work()
    house.bus.fault(hot, "temperature", celsius=HOT_C)
    status = house.daemon.until(
        lambda status: f"ncs-{hot}" not in status["clusters"]["active"] and len(status["clusters"]["active"]) == 2, "has switched"
    )
    assert stick(status, hot)["state"] in ("resting", "draining")
    assert "hot" in status["clusters"]["last_switch"]["reason"]
    house.bus.fault(hot, "clear")
    house.well()


def test_a_stick_that_hangs_is_reset_and_its_process_lives_on(house: House) -> None:
    """One reset for the hang, and further ones only where the machine was so busy that the stick was late again: each is told once,
    with that reason, and has the stick boot once more."""
    port = house.at_work()
    before, boots, told = house.stick(port), house.bus.state(port)["boots"], len(house.resets_told(port))
    house.bus.fault(port, "hang")
    house.until(port, lambda each: each["resets"] > before["resets"] and each["state"] != "starting", "was reset")

    def agree(each: dict[str, Any]) -> bool:
        more = each["resets"] - before["resets"]
        return more == len(house.resets_told(port)) - told == house.bus.state(port)["boots"] - boots

    after = house.until(port, agree, "has told each reset once")
    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])
    late = re.compile(r"no result in time: stick hangs|no result of graph demo for \d\.\d+ s")
    assert all(map(late.fullmatch, house.resets_told(port)[told:]))
    house.well()


def test_a_stick_that_is_pulled_is_absent_and_comes_back(house: House) -> None:
    port = house.at_work()
    house.bus.pull(port)
    house.until(port, lambda each: each["state"] == "absent", "is absent")
    assert len(house.daemon.until(lambda status: len(status["clusters"]["active"]) == 1, "works with one")["sticks"]) == 4
    house.bus.plug(port)
    house.until(port, lambda each: each["state"] in ("active", "standby"), "is back")
    house.well()


def test_a_stick_whose_worker_is_killed_is_taken_up_again(house: House) -> None:
    port = house.at_work()
    before = house.stick(port)
    os.kill(before["pid"], signal.SIGKILL)
    after = house.until(port, lambda each: each["restarts"] > before["restarts"] and each["pid"], "has a new worker")
    assert after["pid"] != before["pid"]
    house.until(port, lambda each: each["state"] in ("active", "standby"), "is taken up again")
    house.well()


def test_a_boot_that_fails_among_sticks_that_are_reset_leaves_each_worker_with_its_own_stick(house: House) -> None:
    house.well()
    house.bus.fault(PORTS[2], "boot", result="rom", times=1)
    for port in PORTS:
        house.bus.fault(port, "hang")
    before = {port: house.stick(port) for port in PORTS}
    house.daemon.until(
        lambda status: all(
            stick(status, port)["resets"] + stick(status, port)["restarts"] > before[port]["resets"] + before[port]["restarts"]
            and stick(status, port)["state"] in ("active", "standby")
            for port in PORTS[2:]
        ),
        "has its sticks back",
    )
    for port in PORTS[2:]:
        assert house.bus.state(port)["claimed_by"] == [house.stick(port)["pid"]]
    for port in PORTS:
        house.bus.fault(port, "clear")
    house.well()


def test_a_stick_that_is_added_joins_the_ring(house: House) -> None:
    house.bus.add("1-1.5", **BLIND)
    house.until("1-1.5", lambda each: each["state"] in ("active", "standby"), "has joined")
    assert "ncs-1-1.5" in [each for cluster in house.well()["clusters"]["ring"] for each in cluster]


def test_nothing_was_lost_doubled_or_turned_round_and_the_sticks_are_left_as_they_were_found(house: House) -> None:
    counters = house.well()["counters"]
    assert (counters["frames_lost"], counters["frames_doubled"], counters["out_of_order"]) == (0, 0, 0)
    assert house.daemon.stop() == 0
    frames = [line["frame"] for line in read_results(house.results)]
    assert frames == sorted(set(frames))
    for port in [*PORTS, "1-1.5"]:
        assert house.bus.await_state(port, "rom")["claimed_by"] == []


def test_a_daemon_that_finds_no_stick_waits_for_one(start_emulator: Callable[..., Emulator], tmp_path: Path) -> None:
    bus = start_emulator()
    with started(bus, tmp_path, "--backend", "xlink", "--cluster-size", "2") as daemon:
        daemon.until(lambda status: status["cameras"][0]["state"] == "running", "has its camera")
        told(daemon, "down", "no stick is plugged in")
        bus.add("1-1.1", **BLIND)
        daemon.until(lambda status: status["clusters"]["active"] == ["ncs-1-1.1"], "works")
        told(daemon, "degraded", "cluster size is 1 instead of 2: 1 stick present")
        daemon.until(lambda status: stick(status, "1-1.1")["inferences"] > 10, "finds things")
        bus.add("1-1.2", **BLIND, initial_c=72.0, ambient_c=72.0)
        status = daemon.until(
            lambda status: (
                stick(status, "1-1.2").get("state") == "resting" and (stick(status, "1-1.2")["throttle_level"] or 0) >= 1
            ),
            "sees the other one is hot",
        )
        assert stick(status, "1-1.2")["inferences"] == 0


def test_each_frame_goes_through_every_graph_and_their_results_are_told_apart(
    start_emulator: Callable[..., Emulator], tmp_path: Path
) -> None:
    """The same graph under two names: two blobs on the stick, and of each frame two results that say the same."""
    bus = start_emulator()
    bus.add("1-1.1", **{**CHIP, "latency_s": 0.02})
    again = f"graphs.again.path={ROOT / 'graphs/demo'}"
    with started(bus, tmp_path, "--backend", "xlink", "--graph", "demo", "--graph", "again", "--set", again) as daemon:
        daemon.until(lambda status: status["cameras"][0]["results"] > 40, "finds things")
        assert bus.state("1-1.1")["chip"]["graphs"] == 2
        assert daemon.stop() == 0
    found: dict[int, dict[str, Any]] = {}
    for line in read_results(tmp_path / "found.jsonl"):
        found.setdefault(line["frame"], {})[line["graph"]] = line["detections"]
    both = [each for each in found.values() if len(each) == 2]
    assert len(both) > 10
    assert all(each["demo"] == each["again"] for each in both)
    assert any(each["demo"] for each in both)


def test_sticks_that_are_plugged_in_are_taken_without_asking(start_emulator: Callable[..., Emulator], tmp_path: Path) -> None:
    """`--backend auto`, with sticks and firmware. One was left booted by a daemon that was killed."""
    bus = start_emulator()
    for port in PORTS[:2]:
        bus.add(port, **BLIND)
    with started(bus, tmp_path) as daemon:
        daemon.well()
        daemon.process.kill()
        daemon.process.wait()
    with started(bus, tmp_path) as daemon:
        assert [each["backend"] for each in daemon.well()["sticks"]] == ["xlink", "xlink"]
        assert [each["id"] for each in daemon.status()["sticks"]] == ["ncs-1-1.1", "ncs-1-1.2"]


@pytest.mark.parametrize("hub", ["single", "ganged"])
def test_a_stick_that_answers_nothing_gets_its_power_back_or_needs_a_hand(
    start_emulator: Callable[..., Emulator], tmp_path: Path, hub: str
) -> None:
    """No reset helps: its firmware takes no byte, and its watchdog is off."""
    bus = start_emulator()
    bus.add("1-1.2", hub=hub, **{**BLIND, "watchdog_s": 1e9})
    settings = ["--set", "xlink.power_cycle=true", "--set", "xlink.watchdog_s=0.5", "--set", 'discovery.names={"1.2"="rear"}']
    with started(bus, tmp_path, "--backend", "xlink", *settings) as daemon:
        daemon.until(lambda status: stick(status, "1-1.2").get("inferences", 0) > 5, "finds things")
        bus.fault("1-1.2", "silent")
        bus.fault("1-1.2", "pace", refuse_out=True)
        if hub == "single":
            daemon.until(lambda _: bus.state("1-1.2")["cuts"] == 1, "has switched its port off")
            before = stick(daemon.status(), "1-1.2")["inferences"]
            daemon.until(lambda status: stick(status, "1-1.2")["inferences"] > before + 5, "finds things again")
        else:
            told = "it needs a hand: unplug the stick at port 1-1.2 (rear) and plug it in again"
            daemon.until(lambda status: any(told in reason for reason in status["daemon"]["reasons"]), "asks for a hand")
            assert bus.state("1-1.2")["cuts"] == 0


def test_a_port_that_was_learned_wrong_is_learned_again(start_emulator: Callable[..., Emulator], tmp_path: Path) -> None:
    """Two sticks of a Raspberry Pi 4 that were exchanged, or moved to another hub, while no daemon ran."""
    bus = start_emulator()
    for number in (1, 2):
        bus.add(f"1-1.{number}", run_port=f"2-{number}", **BLIND)
    (tmp_path / "state").mkdir()
    learned = tmp_path / "state/ports.json"
    learned.write_text(json.dumps({"2-2": "1-1.1", "2-7": "1-1.2"}))
    with started(bus, tmp_path, "--backend", "xlink", "--set", "xlink.boot_timeout_s=3") as daemon:
        daemon.until(
            lambda status: (
                json.loads(learned.read_text()) == {"2-1": "1-1.1", "2-2": "1-1.2"}
                and all(stick(status, port).get("state") == "active" for port in PORTS[:2])
                and all(bus.state(port)["claimed_by"] == [stick(status, port)["pid"]] for port in PORTS[:2])
            ),
            "has learned where its sticks return, and drives each by its own worker",
        )
