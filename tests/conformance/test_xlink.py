"""Backend xlink passes the checks for backends, on an emulated stick."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.backends.base import Backend
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.specs import GraphSpec
from ncs_cluster.testing.conformance import BackendConformance
from tests.backends.numbered import QUICK, graphs, write_blobs

pytestmark = pytest.mark.slow


class TestXlink(BackendConformance):
    plugin = "xlink"
    port = "1-1.2"
    refused_options = ({"executors": 9}, {"chunk_kib": 0}, {"watchdog_s": -1.0})

    @pytest.fixture(autouse=True)
    def _plug_in(self, emulator: Emulator, emulated_libusb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in emulator.env.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "firmware").write_bytes(artificial_firmware(600_000))
        write_blobs(tmp_path)
        self.emulator, self.folder = emulator, tmp_path
        self.options = {"firmware": str(tmp_path / "firmware"), "libusb": str(emulated_libusb), **QUICK}
        emulator.add(self.port, boot_s=0.05, reset_s=0.05, latency_s=0.002)

    def graphs(self) -> list[GraphSpec]:
        return graphs(self.folder)[:1]

    def break_device(self, backend: Backend) -> None:
        self.emulator.pull(self.port)
