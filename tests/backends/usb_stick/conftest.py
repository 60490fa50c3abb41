"""A bus whose chips only echo, and libusb on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ncs_cluster.backends._libusb import Context
from ncs_cluster.emulator.emulator import Emulator


@pytest.fixture
def bus(start_emulator: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch) -> Emulator:
    emulator = start_emulator(chip="ncs_cluster.emulator.loopback:Loopback", time_scale=5.0)
    monkeypatch.setenv("NCS_EMULATOR_SOCKET", str(emulator.socket))
    return emulator


@pytest.fixture
def context(bus: Emulator, emulated_libusb: Path) -> Iterator[Context]:
    opened = Context(str(emulated_libusb))
    yield opened
    assert not opened.stuck
    opened.close()
