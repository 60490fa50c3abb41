"""The Python 3.9 and the firmware of these tests are there and are the right ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.python39 import Runtime

ASK = """
import cv2, msgspec, numpy, ncs_cluster.processes.worker, ncs_cluster.decoders.ssd, ncs_cluster.ipc.pool
from openvino.inference_engine import IECore
core = IECore()
print(core.get_versions("CPU")["CPU"].build_number, core.available_devices)
"""


def test_the_vendors_last_openvino_for_sticks_runs_beside_this_package(oracle_python: Runtime) -> None:
    ended = subprocess.run([oracle_python.python, "-c", ASK], env=oracle_python.env, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("2021.4.2-"), ended.stdout
    assert "'CPU'" in ended.stdout


def test_the_firmware_is_the_one_file_of_that_wheel(firmware: Path) -> None:
    assert firmware.stat().st_size == 2_298_632
