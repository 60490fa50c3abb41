"""A job on emulated sticks: one is pulled and comes back, one hangs; its records are those of sticks that nothing befell."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.sources._scene import Scene
from tests.conftest import ROOT
from tests.system.test_run import DONE_S, results, wait_for
from tests.tied import TIED

pytestmark = pytest.mark.slow

PICTURES, WIDTH, HEIGHT = 150, 320, 240
PORTS = ["1-1.1", "1-1.2"]
CHIP = {"graphs": [os.fspath(ROOT / "graphs/demo/demo.xml")], "latency_s": 0.06, "watchdog_s": 8.0, "boot_s": 0.2}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    scene, depth, colour = Scene(WIDTH, HEIGHT, 1), np.empty((HEIGHT, WIDTH), np.uint16), np.empty((HEIGHT, WIDTH, 3), np.uint8)
    for number in range(PICTURES):
        scene.draw(number, number / 5.0, colour, depth)
        cv2.imwrite(str(folder / f"{number}.png"), colour)
    return folder


@pytest.fixture
def bus(start_emulators: Callable[..., Emulator]) -> Emulator:
    return start_emulators()


def begin(bus: Emulator, tree: Path, out: Path) -> subprocess.Popen[str]:
    bus.reset()
    for port in PORTS:
        bus.add(port, **CHIP)
    out.mkdir()
    firmware = out.parent / f"{out.name}.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    words = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", "run", str(tree), "--out", str(out), "--graph", "demo"]
    words += ["--backend", "xlink", "--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}"]
    words += ["--state-dir", str(out / "state")]
    return subprocess.Popen(words, env={**os.environ, **bus.env}, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str], out: Path) -> list[dict[str, Any]]:
    _, said = process.communicate(timeout=DONE_S)
    assert process.returncode == 0, said + (out / "run.log").read_text()
    return results(out)


def until_it_is_open(port: str, out: Path) -> None:
    """What befalls a stick that still boots is another story. The results have their name at the end only."""
    log, until_s = out / "run.log", time.monotonic() + DONE_S
    while not log.exists() or f"ncs-{port}: is ready" not in log.read_text():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_a_job_with_a_pulled_and_a_hanging_stick_has_the_records_of_one_without(bus: Emulator, tree: Path, tmp_path: Path) -> None:
    reference = end(begin(bus, tree, tmp_path / "reference"), tmp_path / "reference")
    assert [record["frame"] for record in reference] == list(range(PICTURES))
    assert sum(record["detections"] != following["detections"] for record, following in pairwise(reference)) > 120
    out = tmp_path / "out"
    process = begin(bus, tree, out)
    until_it_is_open(PORTS[0], out)
    wait_for(out, 5)
    bus.pull(PORTS[0])
    # alone it leaves enough to do for what follows, however long it boots
    until_it_is_open(PORTS[1], out)
    wait_for(out, 40)
    bus.plug(PORTS[0])
    bus.fault(PORTS[1], "hang")
    assert end(process, out) == reference
    log = (out / "run.log").read_text()
    assert "unplugged" in log
    assert "resetting and reopening the stick" in log
