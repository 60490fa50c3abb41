"""A bench on emulated sticks: each mode has the sticks it is said to have, and no other program's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import pytest

from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.messages.bench import BenchItem, Done, FromBench, OpenDevices, Pictures, Ready, Work
from ncs_cluster.messages.child import Stop
from ncs_cluster.processes.bench import picture_numbers
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.testing.children import running
from ncs_cluster.types import GraphName, StickId
from tests.api.images import scenes
from tests.conftest import ROOT
from tests.system.test_run_sticks import CHIP, PORTS
from tests.tied import TIED

pytestmark = pytest.mark.slow

DONE_S = 240.0
WATCHDOG_S = 5.0
UNSERVED_S = WATCHDOG_S + 1.0


def test_one_stick_and_both_work_by_themselves_and_in_a_cluster(start_emulators: Callable[..., Emulator], tmp_path: Path) -> None:
    bus = start_emulators()
    for port in PORTS:
        bus.add(port, **CHIP)
    firmware = tmp_path / "firmware.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    (tmp_path / "pictures").mkdir()
    for number, image in enumerate(scenes(4)):
        cv2.imwrite(os.fspath(tmp_path / f"pictures/{number}.png"), image)
    words = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", "bench", str(tmp_path / "pictures"), "--graph", "demo"]
    words += ["--backend", "xlink", "--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}"]
    words += ["--state-dir", str(tmp_path / "state"), "--mode", "processes,queue", "--counts", "8", "--repeats", "1"]
    words += ["--out", str(tmp_path / "out")]
    done = subprocess.run(words, env={**os.environ, **bus.env}, capture_output=True, text=True, timeout=DONE_S, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out/bench.json").read_text())["rows"]
    assert [(row["mode"], row["devices"], row["error"], row["differing"]) for row in rows] == [
        (mode, devices, None, []) for mode in ("processes", "queue") for devices in (1, 2)
    ]
    found = {}
    for path in (tmp_path / "out/results").iterdir():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert {line["stick"] for line in lines} == {f"ncs-{port}" for port in PORTS[: int(path.stem[-1])]}
        found[path.stem] = [line["detections"] for line in lines]
    assert len(found) == 4
    assert sum(map(bool, found["processes-1"])) >= 4
    assert all(each == found["processes-1"] for each in found.values())


def test_a_stick_is_served_while_its_program_waits_for_work(start_emulators: Callable[..., Emulator], tmp_path: Path) -> None:
    bus = start_emulators()
    bus.add(PORTS[0], **{**CHIP, "watchdog_s": WATCHDOG_S})
    firmware = tmp_path / "firmware.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    cv2.imwrite(os.fspath(tmp_path / "0.png"), scenes(1)[0])
    items = tmp_path / "items"
    items.write_bytes(msgspec.msgpack.encode([BenchItem("0.png", os.fspath(tmp_path / "0.png"), None)]))
    demo = ROOT / "graphs/demo"
    stick = StickSpec(StickId("s"), PORTS[0], "xlink", {"firmware": os.fspath(firmware)})
    graph = GraphSpec(GraphName("demo"), os.fspath(demo / "demo.xml"), "ssd", blob=os.fspath(demo / "demo.blob"))
    with running("ncs_cluster.processes.bench.plain", FromBench, env=bus.env) as child:
        child.send(OpenDevices(Pictures(os.fspath(items), (640, 480)), [stick], [graph], 1.0))
        child.expect(Ready)
        for times in (1, 2):
            time.sleep(UNSERVED_S)
            fd = picture_numbers.create(1)
            child.send(Work(os.fspath(tmp_path / "results"), None), fd)
            os.close(fd)
            child.expect(Done)
            assert len((tmp_path / "results").read_text().splitlines()) == times
        child.send(Stop())
        assert child.process.wait(60) == 0
