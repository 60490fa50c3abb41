"""The vendor's last host software that drives a stick: OpenVINO 2021.4.2 from PyPI, in a venv of its own.

Its MYRIAD plugin is the oracle: what it sends over USB is right by definition, what it answers our outputs are compared with. The
stick's firmware is a data file of the same wheel.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests import python39
from tests.needs import missing
from tests.python39 import Runtime

NEEDS = ["openvino==2021.4.2", "numpy==1.19.5", "msgspec>=0.18,<0.21", "opencv-python-headless>=4.5,<5"]
FIRMWARE_SHA256 = "faf33388b88708177a358fcb4704eba04b1cf9e88d6a047f90c833d686140a2e"


@pytest.fixture(scope="session")
def oracle_python(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """A Python 3.9 with OpenVINO 2021.4.2 and what a worker needs; `env` is the whole environment of what runs there."""
    return python39.runtime(".venv-oracle", NEEDS, tmp_path_factory.mktemp("oracle"))


@pytest.fixture(scope="session")
def firmware(oracle_python: Runtime) -> Path:
    """The real usb-ma2x8x.mvcmd of 2021.4.2, 2,298,632 bytes."""
    venv = Path(oracle_python.python).parents[1]
    found = list(venv.glob("lib/python3.9/site-packages/openvino/libs/usb-ma2x8x.mvcmd"))
    if not found:
        missing(f"the wheel in {os.fspath(venv)} holds no firmware")
    assert hashlib.sha256(found[0].read_bytes()).hexdigest() == FIRMWARE_SHA256
    return found[0]
