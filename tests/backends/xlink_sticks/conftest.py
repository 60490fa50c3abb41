"""Emulated sticks driven by the backend xlink, and blobs whose outputs carry the number of their frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from tests.backends import numbered
from tests.backends.numbered import Driver, write_blobs
from tests.backends.xlink_sticks.steps import PORT, Drive


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with firmware of nothing, and blobs."""
    folder = tmp_path_factory.mktemp("xlink")
    (folder / "firmware").write_bytes(artificial_firmware(600_000))
    write_blobs(folder)
    return folder


@pytest.fixture
def bus(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    monkeypatch.setenv("NCS_EMULATOR_SOCKET", str(emulator.socket))
    return emulator


@pytest.fixture
def drive(files: Path, emulated_libusb: Path, bus: Emulator) -> Iterator[Drive]:
    """drive(port, graphs=1, **options): a stick to open, closed with the test."""
    drivers = []

    def make(port: str = PORT, graphs: int = 1, **options: Any) -> Driver:
        drivers.append(Driver(port, files / "firmware", emulated_libusb, numbered.graphs(files)[:graphs], **options))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.backend.close()
