"""A stick is driven without OpenVINO by any interpreter on any processor, and gives the same bytes."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from tests.python39 import ROOT, Runtime
from tests.xlink.blobs import FP32, Entry, make

pytestmark = pytest.mark.slow


def infer(runtime: Runtime, emulator: Emulator, folder: Path) -> Any:
    """What infer_once.py tells. The emulated graph gives back what it was given, so the answer is the blue plane as it was sent."""
    blob, firmware = folder / "g.blob", folder / "usb-ma2x8x.mvcmd"
    blob.write_bytes(make([Entry("data", (1, 3, 8, 8))], [Entry("out", (1, 1, 2, 8), FP32)]))
    firmware.write_bytes(artificial_firmware(200_000))
    emulator.add("1-1.2", latency_s=0.01, boot_s=0.2)
    command = [runtime.python, str(ROOT / "tests/runtimes/infer_once.py"), str(blob), str(firmware)]
    environment = {**runtime.env, **emulator.env}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert not done.returncode, done.stderr + emulator.log
    told = json.loads(done.stdout)
    assert told["tag"] == 7
    assert told["bytes"] == bytes(range(0, 192, 3)).hex()
    assert told["shape"] == [1, 1, 2, 8]
    assert 20 < told["celsius"] < 40
    chip = emulator.state("1-1.2")["chip"]  # none once it is back in its ROM
    assert chip is None or chip["violations"] == []
    return told


def test_this_interpreter(emulator: Emulator, tmp_path: Path) -> None:
    told = infer(Runtime(sys.executable, {**os.environ, "PYTHONPATH": str(ROOT)}), emulator, tmp_path)
    assert told["machine"] == platform.machine()


def test_python_39(python39: Runtime, emulator: Emulator, tmp_path: Path) -> None:
    assert infer(python39, emulator, tmp_path)["python"] == [3, 9]


def test_64_bit_arm(aarch64: Runtime, arm_emulator: Emulator, tmp_path: Path) -> None:
    assert infer(aarch64, arm_emulator, tmp_path)["machine"] == "aarch64"
