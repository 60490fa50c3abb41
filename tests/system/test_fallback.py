"""The fallback with real processes: emulated sticks by xlink, and OpenVINO on this CPU while none of them can work."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.cli.settings import checked
from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.errors import ConfigError
from ncs_cluster.testing.daemon import Daemon, Status, read_results, running
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PORTS = ["1-1.1", "1-1.2"]
CHIP = {"graphs": [os.fspath(ROOT / "graphs/demo/demo.xml")], "latency_s": 0.3, "watchdog_s": 8.0, "boot_s": 0.2}
COMPARED = 30
"""Results of the CPU after a switch back that are compared with those of the CPU alone, beside all before it."""
SCENE = """\
[cameras.scene]
source = "synthetic"
every-frame = true
options = {width = 160, height = 120, frames = FRAMES}

[openvino]
streams = 1
threads = 1
"""


def settings_of(folder: Path, frames: int, *flags: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    (folder / "scene.toml").write_text(SCENE.replace("FRAMES", str(frames)))
    places = ["--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run"), "--results", str(folder / "found.jsonl")]
    return ["--config", str(folder / "scene.toml"), "--no-web", *places, *flags]


class House:
    """The daemon, its sticks and its CPU."""

    def __init__(self, daemon: Daemon, bus: Emulator) -> None:
        self.daemon, self.bus = daemon, bus

    def served_by_the_cpu(self, why: str) -> Status:
        """It serves for this reason, and the daemon is degraded and ready."""

        def holds(status: Status) -> bool:
            known = status["fallback"]
            return bool(known["serving"]) and why in known["reason"] and known["fps"] > 0.0

        status = self.daemon.until(holds, f"is served by the CPU: {why}")
        assert (status["daemon"]["state"], status["daemon"]["ready"]) == ("degraded", True)
        assert status["daemon"]["reasons"][0] == status["fallback"]["reason"]
        assert "cpu-1" in status["clusters"]["active"]
        return status

    def handed_back(self) -> Status:
        """Sticks work, and the CPU has nothing in flight."""
        before = sum(each["inferences"] for each in self.daemon.status()["sticks"] if each["id"] != "cpu-1")

        def holds(status: Status) -> bool:
            (cpu,) = (each for each in status["sticks"] if each["id"] == "cpu-1")
            work = sum(each["inferences"] for each in status["sticks"] if each["id"] != "cpu-1")
            idle: bool = not status["fallback"]["serving"] and cpu["state"] == "standby" and not cpu["in_flight"]
            return idle and work > before + 5

        return self.daemon.until(holds, "has handed back")


def test_the_cpu_works_while_no_stick_can_and_no_frame_is_lost_doubled_or_turned_round(
    start_emulators: Callable[..., Emulator], tmp_path: Path
) -> None:
    bus, here = start_emulators(), tmp_path / "sticks"
    here.mkdir()
    firmware = here / "usb-ma2x8x.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    flags = ["--backend", "xlink", "--fallback", "openvino", "--switch-temp", "65"]
    flags += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}"]
    with running(load(settings_of(here, 1_000_000, *flags), {}), bus.env) as daemon:
        house = House(daemon, bus)
        house.served_by_the_cpu("none is plugged in")
        for port in PORTS:
            bus.add(port, **CHIP)
        house.handed_back()
        daemon.until(lambda status: status["clusters"]["active"] == ["ncs-1-1.1", "ncs-1-1.2"], "has both sticks")

        def keep_hot(status: Status) -> bool:
            # a reset, which a host that is busy enough may cause, cools an emulated stick
            for each in status["sticks"]:
                if each["temperature_c"] is not None and each["temperature_c"] < 70.0:
                    bus.fault(each["port"], "temperature", celsius=71.0)
            known = status["fallback"]
            return known["serving"] and all(f"{port} rests at 71 °C" in known["reason"] for port in PORTS)

        daemon.until(keep_hot, "is served by the CPU while the sticks rest")
        for port in PORTS:
            bus.fault(port, "clear")
        house.handed_back()

        bus.pull("1-1.2")
        daemon.until(lambda status: [each["state"] for each in status["sticks"]] == ["standby", "active", "absent"], "has one left")
        os.kill(daemon.child("worker ncs-1-1.1"), signal.SIGKILL)
        house.served_by_the_cpu("ncs-1-1.2 is absent")
        house.handed_back()

        bus.fault("1-1.1", "hang")
        house.served_by_the_cpu("ncs-1-1.1")
        house.handed_back()

        bus.pull("1-1.1")
        house.served_by_the_cpu("ncs-1-1.1 is absent, ncs-1-1.2 is absent")
        os.kill(daemon.child("worker cpu-1"), signal.SIGKILL)
        status = house.served_by_the_cpu("ncs-1-1.1 is absent, ncs-1-1.2 is absent")
        for port in PORTS:
            bus.plug(port)
        status = house.handed_back()
        assert status["fallback"]["takeovers"] >= 5
        assert "no stick can work: none is plugged in; the CPU serves" in daemon.story("clusters")
        counters = status["counters"]
        assert (counters["frames_lost"], counters["frames_doubled"], counters["out_of_order"]) == (0, 0, 0)
        assert daemon.stop() == 0
    records = read_results(here / "found.jsonl")
    assert [(record["camera"], record["frame"]) for record in records] == [("scene", number) for number in range(len(records))]
    assert [record for record in records if record.get("error")] == []
    assert {record["stick"] for record in records} == {"cpu-1", "ncs-1-1.1", "ncs-1-1.2"}
    by_sticks = next(number for number, record in enumerate(records) if record["stick"] != "cpu-1")
    again = [number for number, record in enumerate(records) if record["stick"] == "cpu-1" and number > by_sticks]
    assert len(again) > COMPARED, "too few of them are of after the first switch back"
    alone = of_the_cpu_alone(tmp_path / "cpu", again[COMPARED])
    both = [(mine, its) for mine, its in zip(records, alone, strict=False) if mine["stick"] == "cpu-1"]
    assert [found(mine) for mine, _ in both] == [found(its) for _, its in both]
    assert any(found(mine) for mine, _ in both)


def found(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Its detections. The scene forgets the truth about a frame that waited long, for a stick that hung."""
    return [{key: value for key, value in each.items() if key != "true_distance_m"} for each in record["detections"]]


def of_the_cpu_alone(folder: Path, frames: int) -> list[dict[str, Any]]:
    """What the same graph finds in the same frames without a stick."""
    with running(load(settings_of(folder, frames, "--backend", "openvino"), {})) as daemon:
        assert daemon.wait(120.0) == 0
    return read_results(folder / "found.jsonl")


def test_a_graph_that_the_cpu_cannot_run_is_refused_at_the_start_though_sticks_could(tmp_path: Path) -> None:
    graph, firmware = tmp_path / "shapes", tmp_path / "usb-ma2x8x.mvcmd"
    shutil.copytree(ROOT / "graphs/demo", graph)
    (tmp_path / "sys").mkdir()
    firmware.write_bytes(artificial_firmware(40_000))
    # the sticks take the blob alone, here one that was made elsewhere
    (graph / "demo.blob.json").unlink()
    (graph / "demo.bin").write_bytes(b"")
    flags = ["--backend", "xlink", "--graph", str(graph), "--set", f"discovery.sysfs={tmp_path}/sys"]
    argv = settings_of(tmp_path, 10, *flags, "--set", f"xlink.firmware={firmware}")
    assert checked("ncs-clusterd", argv).settings.fallback is None
    with pytest.raises(ConfigError) as caught:
        checked("ncs-clusterd", [*argv, "--fallback", "openvino"])
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("graph shapes: ")
    assert line.endswith("; --fallback needs a graph that the CPU can run, too: leave it out, or replace the graph")
