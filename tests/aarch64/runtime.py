"""A 64-bit ARM Python in qemu-user, with the emulated libusb compiled for it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator

import pytest

from ncs_cluster.emulator import build
from ncs_cluster.emulator.emulator import Emulator
from tests.aarch64 import root
from tests.needs import missing
from tests.python39 import ROOT, Runtime


@pytest.fixture(scope="session")
def aarch64(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """An interpreter that is ARM through and through, without openvino; it sees this package and these tests."""
    if (reason := root.lacking()) is not None:
        missing(reason)
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        python = root.make(ROOT / ".aarch64")
    except RuntimeError as error:
        missing(f"no ARM root can be made here: {error}")
    finally:
        os.close(lock)
    package = tmp_path_factory.mktemp("aarch64")
    for name in ("ncs_cluster", "tests"):
        (package / name).symlink_to(ROOT / name)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return Runtime(str(python), {**env, "PYTHONPATH": str(package)})


@pytest.fixture
def arm_emulator(aarch64: Runtime, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """A bus with no stick in it yet, for ARM processes."""
    monkeypatch.setenv("CC", root.CC)
    library = build.compile_library(tmp_path_factory.mktemp("arm-libusb"))
    with Emulator(tmp_path_factory.mktemp("bus"), library) as emulator:
        yield emulator
