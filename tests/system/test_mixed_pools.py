"""Two kinds of sticks in one daemon: emulated sticks by xlink and a worker on this CPU."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.testing.daemon import Status, read_results, results_so_far, running
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PORTS = ["1-1.1", "1-1.2"]
CHIP = {"graphs": [os.fspath(ROOT / "graphs/demo/demo.xml")], "latency_s": 0.02, "watchdog_s": 8.0, "boot_s": 0.2}
POOLS = """\
[pools.ncs]
backend = "xlink"

[pools.cpu]
backend = "openvino"
sticks = 1
options = {streams = 1, threads = 1}

[cameras.scene]
source = "synthetic"
every-frame = true
options = {frames = 1000000, width = 160, height = 120}
"""


def states(status: Status) -> list[tuple[str, str]]:
    return [(each["id"], each["state"]) for each in status["sticks"]]


def test_both_work_on_one_stream_and_a_stick_that_is_pulled_costs_no_frame(
    start_emulators: Callable[..., Emulator], tmp_path: Path
) -> None:
    bus = start_emulators()
    for port in PORTS:
        bus.add(port, **CHIP)
    firmware, results = tmp_path / "usb-ma2x8x.mvcmd", tmp_path / "found.jsonl"
    firmware.write_bytes(artificial_firmware(40_000))
    (tmp_path / "pools.toml").write_text(POOLS)
    argv = ["--config", str(tmp_path / "pools.toml"), "--results", str(results), "--no-web"]
    argv += ["--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path / "run")]
    argv += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}"]

    def by() -> Counter[str]:
        return Counter(str(record["stick"]) for record in results_so_far(results))

    with running(load(argv, {}), bus.env) as daemon:
        daemon.until(lambda status: by().keys() >= {"cpu-1", "ncs-1-1.1", "ncs-1-1.2"}, "has results of both kinds")
        bus.pull("1-1.1")
        before, others = by(), ("cpu-1", "ncs-1-1.2")
        daemon.until(lambda status: all(by()[name] > before[name] + 20 for name in others), "works on with the others")
        daemon.until(lambda status: ("ncs-1-1.1", "absent") in states(status), "says that the stick is away")
        assert daemon.stop() == 0
    records = read_results(results)
    assert [(record["camera"], record["frame"]) for record in records] == [("scene", number) for number in range(len(records))]
    assert [record for record in records if record.get("error")] == []
