"""The emulated stick before the vendor's own plugin: it is taken for a stick in all that a program can ask of one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.emulator.emulator import Emulator
from tests.oracle import nets
from tests.oracle.plugin import Plugin, PluginError, plugin
from tests.python39 import Runtime

PORTS = ["1-1.1", "1-1.2", "1-2", "1-3"]
NAMES = ["1.1.1-ma2480", "1.1.2-ma2480", "1.2-ma2480", "1.3-ma2480"]
EXACT = {"ENFORCE_BF16": "NO"}
"""2021.4 calculates in bf16 on a CPU that can, unless it is told not to."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nets.two_outputs(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def bus(start_emulators: Callable[..., Emulator], model: Path) -> Emulator:
    emulator = start_emulators()
    for port in PORTS:
        emulator.add(port, graphs=[os.fspath(model)], latency_s=0.005, boot_s=0.1, watchdog_s=8)
    return emulator


@pytest.fixture(scope="module")
def vendor(bus: Emulator, oracle_python: Runtime, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    """With the graph on the first stick ("g") and on this CPU ("cpu")."""
    with plugin(oracle_python, bus.env, tmp_path_factory.mktemp("plugin")) as vendor:
        assert {f"MYRIAD.{name}" for name in NAMES} <= set(vendor.do("devices")), "found by bus and ports"
        vendor.do("load", net="g", device=f"MYRIAD.{NAMES[0]}", model=model)
        vendor.do("load", net="cpu", device="CPU", model=model, requests=1, config=EXACT)
        yield vendor


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    return {nets.INPUT: np.random.default_rng(1).integers(0, 256, (12, 3, nets.HEIGHT, nets.WIDTH), dtype=np.uint8)}


def test_its_answers_are_those_of_this_cpu_one_by_one_and_four_at_once(vendor: Plugin, rows: dict[str, Any]) -> None:
    expected = vendor.infer("cpu", rows, depth=1)
    for depth in (1, 4):
        found = vendor.infer("g", rows, depth=depth)
        for name in (nets.SCORE, nets.PLACE):
            assert np.abs(found[name] - expected[name]).max() < 1e-5


def test_its_temperature_is_the_sticks(vendor: Plugin, bus: Emulator) -> None:
    assert vendor.do("thermal", net="g")["c"] == pytest.approx(bus.state(PORTS[0])["chip"]["die_c"], abs=0.5)
    bus.fault(PORTS[0], "temperature", celsius=71.5)
    assert vendor.do("thermal", net="g")["c"] == 71.5
    bus.fault(PORTS[0], "clear")


def test_a_blob_that_was_exported_gives_the_same_when_it_is_imported(vendor: Plugin, rows: dict[str, Any], tmp_path: Path) -> None:
    blob = tmp_path / "g.blob"
    assert vendor.do("export", net="g", path=blob) == blob.stat().st_size
    vendor.do("load", net="again", device=f"MYRIAD.{NAMES[1]}", blob=blob)
    expected, found = vendor.infer("g", rows), vendor.infer("again", rows)
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)


def test_two_graphs_lie_on_one_stick_and_their_answers_are_told_apart(
    vendor: Plugin, bus: Emulator, model: Path, rows: dict[str, Any]
) -> None:
    vendor.do("load", net="second", device=f"MYRIAD.{NAMES[0]}", model=model)
    assert bus.state(PORTS[0])["chip"]["graphs"] == 2
    dark = {nets.INPUT: np.zeros_like(rows[nets.INPUT])}
    one, other = vendor.infer("g", rows), vendor.infer("second", dark)
    assert np.abs(one[nets.PLACE] - other[nets.PLACE]).max() > 0.01
    vendor.do("unload", net="second")


def test_it_has_broken_no_rule_the_chip_knows(vendor: Plugin, bus: Emulator) -> None:
    for port in PORTS[:2]:
        assert bus.state(port)["chip"]["violations"] == []


def test_a_pulled_stick_fails_its_inference_at_once_and_prints_what_real_ones_print(
    vendor: Plugin, bus: Emulator, model: Path, rows: dict[str, Any]
) -> None:
    vendor.do("load", net="pulled", device=f"MYRIAD.{NAMES[2]}", model=model)
    bus.fault(PORTS[2], "hang")
    vendor.ask("pulled", rows)
    time.sleep(0.3)
    bus.pull(PORTS[2])
    with pytest.raises(PluginError, match="GENERAL_ERROR"):
        vendor.answers()
    assert "XLink" in vendor.printed.read_text(errors="replace")


def test_a_killed_programs_stick_is_seen_by_nobody_until_its_watchdog_resets_it(vendor: Plugin, bus: Emulator) -> None:
    vendor.process.kill()
    vendor.process.wait()
    assert bus.state(PORTS[0])["state"] == "run"
    bus.await_state(PORTS[0], "rom")
