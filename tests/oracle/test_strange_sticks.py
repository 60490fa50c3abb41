"""The vendor's plugin before sticks that are not all alike: what it lives with, ours must; what it cannot, it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.emulator.emulator import Emulator
from tests.oracle import nets
from tests.oracle.plugin import PluginError, plugin
from tests.python39 import Runtime

PORT, DEVICE = "1-1.2", "MYRIAD.1.1.2-ma2480"
QUICK: dict[str, Any] = {"latency_s": 0.002, "boot_s": 0.1, "watchdog_s": 3}
HASTY = {"MYRIAD_DEVICE_CONNECT_TIMEOUT": "2"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nets.two_outputs(tmp_path_factory.mktemp("model"))


def test_its_own_ends_credit_at_any_time_and_cut_transfers_change_no_answer(
    emulator: Emulator, oracle_python: Runtime, model: Path, tmp_path: Path
) -> None:
    emulator.add("1-1.1", graphs=[os.fspath(model)], **QUICK)
    emulator.add(PORT, graphs=[os.fspath(model)], own_ends=True, release_first=True, release="received", **QUICK)
    rows = {nets.INPUT: np.random.default_rng(2).integers(0, 256, (12, 3, nets.HEIGHT, nets.WIDTH), dtype=np.uint8)}
    with plugin(oracle_python, emulator.env, tmp_path / "plugin") as vendor:
        vendor.do("load", net="plain", device="MYRIAD.1.1.1-ma2480", model=model)
        vendor.do("load", net="strange", device=DEVICE, model=model)
        emulator.fault(PORT, "pace", split=1024, out_s=0.0005, in_s=0.0005)
        expected, found = vendor.infer("plain", rows), vendor.infer("strange", rows)
        assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)
    assert emulator.state(PORT)["chip"]["violations"] == []


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("boot", {"result": "never", "times": 2}),
        ("pull", {"on": "firmware"}),
        ("pull", {"on": "boot"}),
        ("libusb", {"call": "transfer", "error": "io", "times": 3, "after": 1}),
        ("libusb", {"call": "claim_interface", "error": "busy", "times": 99}),
    ],
    ids=str,
)
def test_a_boot_that_fails_is_an_error_of_the_plugin_and_the_next_one_works(
    emulator: Emulator, oracle_python: Runtime, model: Path, tmp_path: Path, kind: str, how: dict[str, Any]
) -> None:
    emulator.add(PORT, graphs=[os.fspath(model)], **QUICK)
    emulator.fault(PORT, kind, **how)
    with plugin(oracle_python, emulator.env, tmp_path / "plugin") as vendor, pytest.raises(PluginError):
        vendor.do("load", net="g", device=DEVICE, model=model, config=HASTY)
    emulator.fault(PORT, "clear")
    emulator.pull(PORT)
    emulator.plug(PORT)
    with plugin(oracle_python, emulator.env, tmp_path / "next") as vendor:
        vendor.do("load", net="g", device=DEVICE, model=model, config=HASTY)
    assert emulator.state(PORT)["state"] == "run"
