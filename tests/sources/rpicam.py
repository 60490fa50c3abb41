"""A stand-in for rpicam-vid: takes its documented command line and writes raw frames, or fails as it does.

Frame n has the colour COLOURS[n % len(COLOURS)] in its left half and grey in its right half.
"""

from __future__ import annotations

import sys
from pathlib import Path

COLOURS = ((200, 30, 40), (20, 180, 60), (50, 60, 220), (235, 235, 235))
"""RGB."""
GREY = (128, 128, 128)

PROGRAM = """#!{python}
import argparse, os, signal, sys, time
COLOURS, GREY, SAID, FRAMES, HANG, IGNORES = {colours!r}, {grey!r}, {said!r}, {frames!r}, {hang!r}, {ignores!r}
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("-n", "--nopreview", nargs="?", const=1)
parser.add_argument("--flush", nargs="?", const=1)
for name in ("--hflip", "--vflip"):
    parser.add_argument(name, nargs="?", const=1)
for name in ("--timeout", "--codec", "--output", "--camera", "--framerate", "--width", "--height", "--rotation",
             "--autofocus-mode", "--lens-position"):
    parser.add_argument(name)
given = parser.parse_args()
open({told!r}, "w").write(" ".join(sys.argv[1:]))
print("[0:00:01] [123] INFO Camera camera_manager.cpp:326 libcamera v0.5.1", file=sys.stderr)
if SAID:
    print(SAID, file=sys.stderr)
    sys.exit(255)
assert (given.codec, given.output, given.timeout) == ("yuv420", "-", "0")
if IGNORES:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
else:
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
width, height = int(given.width), int(given.height)

def planes(rgb):
    # ITU-T T.871 (JFIF), 7
    r, g, b = rgb
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return [round(y), round(128 + (b - y) / 1.772), round(128 + (r - y) / 1.402)]

def frame(number):
    left, right = planes(COLOURS[number % len(COLOURS)]), planes(GREY)
    parts = []
    for at, shrink in ((0, 1), (1, 2), (2, 2)):
        half = width // shrink // 2
        parts.append((bytes([left[at]]) * half + bytes([right[at]]) * half) * (height // shrink))
    return b"".join(parts)

number = 0
while FRAMES is None or number < FRAMES:
    sys.stdout.buffer.write(frame(number))
    sys.stdout.buffer.flush()
    number += 1
    time.sleep(1 / float(given.framerate))
if HANG:
    time.sleep(3600)
print("ERROR: *** the sensor has gone ***", file=sys.stderr)
sys.exit(255)
"""


class Rpicam:
    """The program in a folder, under its own name; `told` is the command line it has got."""

    def __init__(
        self, folder: Path, *, said: str = "", frames: int | None = None, hang: bool = False, ignores: bool = False
    ) -> None:
        """`said`: it ends at once with this line. `frames`: it ends after so many, or falls silent (`hang`). `ignores`: SIGINT."""
        self._told = folder / "told"
        self.path = folder / "rpicam-vid"
        text = PROGRAM.format(
            python=sys.executable,
            colours=COLOURS,
            grey=GREY,
            said=said,
            frames=frames,
            hang=hang,
            ignores=ignores,
            told=str(self._told),
        )
        self.path.write_text(text)
        self.path.chmod(0o755)

    @property
    def told(self) -> str:
        return self._told.read_text()
