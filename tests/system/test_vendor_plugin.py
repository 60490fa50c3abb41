"""The whole daemon on emulated sticks, driven by the vendor's plugin in an interpreter of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ncs_cluster.config import load
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.testing.daemon import Status, read_results, running
from tests.conftest import ROOT
from tests.python39 import Runtime


def test_two_sticks_take_turns(start_emulator: Callable[..., Emulator], oracle_python: Runtime, tmp_path: Path) -> None:
    bus = start_emulator(time_scale=3.0)
    for port in ("1-1.1", "1-1.2"):
        bus.add(port, graphs=[os.fspath(ROOT / "graphs/demo/demo.xml")], latency_s=0.1)
    argv = ["--backend", "myriad", "--cluster-size", "1", "--switch-interval", "2", "--fps", "10", "--size", "320x240", "--no-web"]
    argv += ["--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path / "run"), "--results", str(tmp_path / "found")]
    argv += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", "myriad.runtime=old"]
    argv += ["--set", f"runtimes.old.python={oracle_python.python}"]
    with running(load(argv, {**os.environ, **bus.env}), bus.env) as daemon:

        def took_turns(status: Status) -> bool:
            worked = all(each["inferences"] > 3 and each["temperature_c"] is not None for each in status["sticks"])
            return bool(status["clusters"]["switches"] >= 2 and worked)

        status = daemon.until(took_turns, "takes turns")
        assert [each["id"] for each in status["sticks"]] == ["ncs-1-1.1", "ncs-1-1.2"]
        for each in status["sticks"]:
            assert each["throttle_level"] is None, "the plugin hides it"
        assert daemon.stop() == 0
    assert any(line["detections"] for line in read_results(tmp_path / "found"))
