"""Without OpenCV every source that needs it says so in one line, and says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys; sys.modules["cv2"] = None
from ncs_cluster.plugins import load
from ncs_cluster.errors import SourceError
from ncs_cluster.sources import SOURCES
plugin = SOURCES.get(sys.argv[1])
given = {"video": {"path": "a.mp4"}, "images": {"path": "a.jpg"}, "rtsp": {"url": "rtsp://127.0.0.1/"}}.get(sys.argv[1], {})
try:
    load(plugin.driver)(load(plugin.options)(**given)).open()
except SourceError as error:
    print(error.permanent, error)
"""


@pytest.mark.parametrize("source", ["video", "images", "v4l2", "rtsp", "realsense"])
def test_without_opencv_one_line_says_what_to_install(source: str) -> None:
    command = [sys.executable, "-c", PROGRAM, source]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    why = "import of cv2 halted; None in sys.modules"
    assert said == f"True OpenCV cannot be imported: {why}: pip install opencv-python-headless\n"


def test_opencv_does_not_talk_into_our_log(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 8 + b"\0\0\0\1" * 2 + b"IEND")
    program = (
        "import sys; from ncs_cluster.sources.images import Images, Options; from ncs_cluster.errors import SourceError\n"
        "from ncs_cluster.sources.video import Video, Options as Clip\n"
        "for source in (Images(Options(sys.argv[1])), Video(Clip(sys.argv[1]))):\n"
        "    try: source.open()\n"
        "    except SourceError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("\n") == 2
    assert "[" not in done.stderr
