"""Where a Python library is installed and a shared library it loads is not, the shared library and its package are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncs_cluster.sources._shared_libraries import missing_shared_library

LOADER = "libusb-1.0.so.0: cannot open shared object file: No such file or directory"
PROGRAM = """
import sys
from ncs_cluster.plugins import load
from ncs_cluster.errors import SourceError
from ncs_cluster.sources import SOURCES
plugin = SOURCES.get(sys.argv[1])
try:
    load(plugin.driver)(load(plugin.options)(**({"path": "a.mp4"} if sys.argv[1] == "video" else {}))).open()
except SourceError as error:
    print(error.permanent, error)
"""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (LOADER, "libusb-1.0.so.0 is missing: apt install libusb-1.0-0"),
        ("libGL.so.1: cannot open shared object file: No such file", "libGL.so.1 is missing: apt install libgl1"),
        ("libnew.so.7: cannot open shared object file: No such", "libnew.so.7 is missing: install the package that holds it"),
        ("No module named 'cv2'", None),
        ("/x/libusb-1.0.so.0: undefined symbol: libusb_open", None),
    ],
)
def test_the_loaders_words_become_a_package(said: str, told: str | None) -> None:
    assert missing_shared_library(ImportError(said)) == told


@pytest.mark.parametrize(
    ("source", "module", "line"),
    [
        ("realsense", "pyrealsense2", "pyrealsense2 cannot be loaded: libusb-1.0.so.0 is missing: apt install libusb-1.0-0"),
        (
            "video",
            "cv2",
            "OpenCV cannot be imported: libusb-1.0.so.0 is missing: apt install libusb-1.0-0, "
            "or pip install opencv-python-headless",
        ),
    ],
)
def test_a_source_whose_library_cannot_be_loaded_names_what_is_missing(source: str, module: str, line: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(f"raise ImportError({LOADER!r})")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    command = [sys.executable, "-c", PROGRAM, source]
    said = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said == f"True {line}\n"
