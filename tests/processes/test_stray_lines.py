"""What libraries print by themselves, at the descriptors of a real process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncs_cluster.messages import Served
from ncs_cluster.processes.stray_lines import LONGEST, MOST, PER_S, Few
from ncs_cluster.testing.gateway import site
from tests.processes.gateway.api_site import DETECTOR, form

PROGRAM = """
import ctypes, logging, os, sys, threading
from ncs_cluster.processes import child, stray_lines
child.log_to_stderr("page", "info")
stray_lines.capture()
library = ctypes.CDLL(None)
library.dprintf(2, b"libpng error: " + b"x" * 300 + b"\\n")
for number in range(1000):
    library.dprintf(number % 2 + 1, b"libpng error: %d\\n", number)
library.dprintf(2, b"no end" * 100_000)
logging.getLogger("ncs_cluster").info("of our own")
print("a traceback", file=sys.stderr)
nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(nowhere, 1)
os.dup2(nowhere, 2)
for thread in threading.enumerate():
    if thread.name == "library lines":
        thread.join(60)
"""


def test_lines_of_libraries_are_few_and_those_of_our_own_are_all_there() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    said = [line.partition(": a library says: ")[2] for line in ended.stderr.splitlines() if "a library says" in line]
    assert said == [f"libpng error: {'x' * 300}"[:LONGEST], *(f"libpng error: {number}" for number in range(MOST - 1))]
    others = [line.partition(" ")[2] or line for line in ended.stderr.splitlines() if "a library says" not in line]
    assert sorted(others) == ["page: of our own", "traceback"]
    assert ended.stdout == ""


def test_few_lines_pass_in_a_minute_and_those_that_do_not_are_counted() -> None:
    few = Few()
    passed = [number for number in range(100) if few.passes(number / 100)]
    assert (passed, few.left_out) == (list(range(MOST)), 100 - MOST)
    assert few.passes(PER_S)


def test_broken_pictures_of_a_client_do_not_flood_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """libpng prints a line for each."""
    picture = np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)
    whole = cv2.imencode(".png", picture)[1].tobytes()
    content_type, body = form(whole[:2000] + bytes(50) + whole[2050:])
    with site(tmp_path, apis=["deepstack"]) as opened:
        opened.child.send(Served([DETECTOR], 1))
        for _ in range(20):
            answer = opened.request("POST", "/v1/vision/detection", body, Content_Type=content_type)
            assert (answer.status, answer.json["error"]) == (400, "invalid image file: it is corrupt")
    told = [line for line in capfd.readouterr().err.splitlines() if "libpng" in line]
    assert len(told) <= MOST
    assert all("gateway: a library says: libpng error" in line for line in told)
