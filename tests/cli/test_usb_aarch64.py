"""The recorder on 64-bit ARM: compiled for it, before its libusb and before the emulated one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ncs_cluster.cli.usb import build, recording
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.xlink.transcript import Boot, Frame, Transcript
from tests.aarch64 import root
from tests.cli.usb_programs import ASYNC, LISTING
from tests.python39 import ROOT, Runtime

pytestmark = pytest.mark.slow

CLOSE = """
pipe.send(Header(10, FrameType.PING_REQ).encode())
pipe.ask(84)
while pipe.step() is None:
    context.wait(1.0)
pipe.close()
context.close()
"""


@pytest.fixture
def recorder(aarch64: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CC", root.CC)
    return build.compile_into(tmp_path)


def recorded(aarch64: Runtime, environ: dict[str, str], library: Path, recorder: Path, program: str, logs: Path) -> Transcript:
    logs.mkdir()
    environ = build.environment({**aarch64.env, **environ}, recorder, str(library), logs, 1 << 20)
    done = subprocess.run([aarch64.python, "-c", program], env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert not done.returncode, done.stderr
    return recording.transcript(sorted(logs.iterdir()), "program")


def test_it_passes_on_to_the_libusb_of_debian(aarch64: Runtime, recorder: Path, tmp_path: Path) -> None:
    (library,) = (ROOT / ".aarch64" / "root").resolve().glob("usr/lib/aarch64-linux-gnu/libusb-1.0.so.0")
    told = recorded(aarch64, {}, library, recorder, LISTING, tmp_path / "logs")
    assert told.header.libusb[0].startswith("1.0.")


def test_it_records_asynchronous_transfers(aarch64: Runtime, recorder: Path, arm_emulator: Emulator, tmp_path: Path) -> None:
    # what a test's stick sends back needs no model
    arm_emulator.add("1-1.2", graphs="echo", boot_s=0.05)
    program = ASYNC.partition("pipe.send")[0] + CLOSE
    told = recorded(aarch64, arm_emulator.env, arm_emulator.libusb, recorder, program, tmp_path / "logs")
    assert sum(isinstance(item, Boot) for item in told.items) == 1
    assert [item.type for item in told.items if isinstance(item, Frame)] == ["PING_REQ", "PING_RESP"]
