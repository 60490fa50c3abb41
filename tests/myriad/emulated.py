"""The emulated Myriad X, for tests of any room: one compiled library per session, one bus per test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.testing.myriad import build
from ncs_cluster.testing.myriad.emulator import Emulator
from tests.python39 import missing


@pytest.fixture(scope="session")
def emulated_libusb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libusb-1.0.so.0 with the emulator behind it, in a folder of its own."""
    if build.compiler() is None:
        missing("the emulated libusb needs a C compiler: install gcc, or set CC")
    return build.compile_library(tmp_path_factory.mktemp("libusb"))


@pytest.fixture
def start_emulator(emulated_libusb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Emulator]]:
    """Starts emulators with the options given; all end with the test."""
    started: list[Emulator] = []

    def start(**options: Any) -> Emulator:
        started.append(Emulator(tmp_path_factory.mktemp("bus"), emulated_libusb, **options))
        return started[-1]

    yield start
    for emulator in started:
        emulator.close()


@pytest.fixture
def emulator(start_emulator: Callable[..., Emulator]) -> Emulator:
    """A bus with no stick in it yet."""
    return start_emulator()
