"""What a worker imports can be imported on 64-bit ARM, and the protocol's own tests hold there."""

from __future__ import annotations

import subprocess

import pytest

from tests.python39 import ROOT, Runtime

pytestmark = pytest.mark.slow

ROOMS = ["xlink", "backends", "decoders", "ipc"]
SEARCHES = ("any_order", "faults", "and_stick", "compare", "pairing")
"""Ends of the names of files that search for minutes in qemu; they run on this machine's own processor alone."""
IMPORT_ALL = """
import importlib, platform, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(platform.machine(), *(vendor for vendor in ("openvino", "cv2", "numpy") if vendor in sys.modules))
"""


def test_what_a_worker_imports_needs_no_vendor_library(aarch64: Runtime) -> None:
    """Not openvino, which is not even installed; OpenCV and numpy only when a frame is looked at."""
    modules = ["ncs_cluster.processes.worker"]
    for room in ROOMS:
        modules += [f"ncs_cluster.{room}.{path.stem}" for path in (ROOT / "ncs_cluster" / room).glob("[a-z_]*.py")]
    done = subprocess.run(
        [aarch64.python, "-c", IMPORT_ALL, *modules], env=aarch64.env, capture_output=True, text=True, timeout=120, check=False
    )
    assert not done.returncode, done.stderr
    assert done.stdout.split()[0] == "aarch64"
    assert "openvino" not in done.stdout


def test_the_tests_of_the_protocol_hold(aarch64: Runtime) -> None:
    """All but those that read the vendor's firmware and those that search, with a tenth of the examples."""
    command = [
        aarch64.python,
        "-m",
        "pytest",
        "-q",
        *("-p", "no:cacheprovider", "-p", "tests.hypothesis_profiles", "--rootdir", str(ROOT), "--noconftest"),
        *("-k", "not real_file", "--assert=plain", "--hypothesis-profile=few"),
    ]
    files = [str(path) for path in sorted((ROOT / "tests/xlink").glob("test_*.py")) if not path.stem.endswith(SEARCHES)]
    done = subprocess.run([*command, *files], env=aarch64.env, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert not done.returncode, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
