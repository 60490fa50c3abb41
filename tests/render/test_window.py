"""The window: on a real X server where there is one to start, and one clear line where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Iterator

import cv2
import pytest

from tests.needs import missing, need_program

WATCH = """
import sys, time
import numpy as np
from ncs_cluster.render.window import Window
window = Window("ncs-cluster test")
picture, end = np.full((240, 320, 3), 90, np.uint8), time.monotonic() + 60
while window.show(picture):
    print("shown", flush=True)
    time.sleep(0.03)
    assert time.monotonic() < end
window.close()
window.close()
print("quit", flush=True)
"""
CLOSE = """
import cv2
import numpy as np
from ncs_cluster.render.window import Window
window, picture = Window("test"), np.zeros((240, 320, 3), np.uint8)
print(window.show(None), window.show(picture), window.show(None), end=" ")
cv2.destroyWindow("test")
cv2.waitKey(50)
print(window.show(picture))
"""
ASK = "from ncs_cluster.render.window import unavailable_reason; print(unavailable_reason())"
REFUSE = """
from ncs_cluster.errors import ConfigError
from ncs_cluster.render.window import Window
try: Window("test")
except ConfigError as error: print(error)
"""


def environment(display: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")}
    return {**kept, "DISPLAY": display} if display else kept


def said(program: str, display: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], env=environment(display), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


headless = "GUI:                           NONE" in cv2.getBuildInformation()


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    if headless:
        pytest.skip("this OpenCV is a headless build")
    need_program("Xvfb", "xvfb")
    need_program("xdotool", "xdotool")
    reader, writer = os.pipe()
    # without -noreset it starts anew when the last window has gone, and refuses whoever comes just then
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as told:
        number = told.readline().strip()
    if not number:
        server.wait()
        missing("Xvfb does not start here")
    yield f":{number}"
    server.terminate()
    server.wait()


def xdotool(display: str, *command: str) -> str:
    return subprocess.run(["xdotool", *command], env=environment(display), capture_output=True, text=True, check=True).stdout


@pytest.fixture
def watching(display: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", WATCH], env=environment(display), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for _ in range(5):
            assert process.stdout.readline() == "shown\n", f"ended with {process.wait()}"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ends(process: subprocess.Popen[str]) -> None:
    out, _ = process.communicate(timeout=60)
    assert out.endswith("quit\n")
    assert process.returncode == 0


def test_a_window_opens_where_there_is_a_display(display: str) -> None:
    assert said(ASK, display) == "None"


def test_q_in_the_window_quits(display: str, watching: subprocess.Popen[str]) -> None:
    window = xdotool(display, "search", "--sync", "--name", "ncs-cluster test").split()[0]
    xdotool(display, "windowfocus", "--sync", window)
    xdotool(display, "key", "a")
    time.sleep(0.3)
    assert watching.poll() is None, "other keys do nothing"
    xdotool(display, "key", "q")
    ends(watching)


def test_closing_the_window_quits(display: str) -> None:
    assert said(CLOSE, display) == "True True True False"


@pytest.mark.skipif(headless, reason="this OpenCV is a headless build")
def test_without_a_display_one_line_says_so() -> None:
    assert "no display (DISPLAY" in said(ASK, "")
    refusal = said(REFUSE, "")
    assert refusal.startswith("--window: no display (DISPLAY")
    assert "\n" not in refusal


@pytest.mark.skipif(headless, reason="this OpenCV is a headless build")
def test_a_display_that_does_not_answer_is_a_line_and_not_an_abort() -> None:
    assert "no window can be opened on display :987" in said(ASK, ":987")


@pytest.mark.skipif(not headless, reason="this OpenCV has windows")
def test_a_headless_build_says_what_to_install() -> None:
    assert "headless build: install opencv-python" in said(ASK, ":0")
