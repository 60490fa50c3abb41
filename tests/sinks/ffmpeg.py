"""What FFmpeg's own programs say of a film: a decoder and a demuxer that are not those under test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.needs import need_program


def make(*arguments: str | Path) -> None:
    program = need_program("ffmpeg", "ffmpeg")
    subprocess.run([program, "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True, timeout=120)


def frames(path: Path) -> NDArray[np.uint8]:
    """All frames, BGR [frames, height, width, 3]."""
    program = need_program("ffmpeg", "ffmpeg")
    width, height = shown(path, "v", "stream", "width,height")[0].split(",")[:2]
    to = ["-sws_flags", "accurate_rnd+full_chroma_int", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    words = [program, "-v", "error", "-nostdin", "-i", str(path), *to]
    raw = subprocess.run(words, check=True, capture_output=True, timeout=120).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, int(height), int(width), 3)


def shown(path: Path, stream: str, section: str, entries: str, *more: str) -> list[str]:
    """The entries of each frame, packet or stream, one line each."""
    program = need_program("ffprobe", "ffmpeg")
    words = [program, "-v", "error", *more, "-select_streams", stream, "-show_entries", f"{section}={entries}", "-of", "csv=p=0"]
    out = subprocess.run([*words, str(path)], check=True, capture_output=True, text=True, timeout=120).stdout
    return [line.strip(",") for line in out.splitlines() if line.strip(",")]


def times(path: Path) -> list[float]:
    """Seconds at which each frame is shown, from the first one's."""
    found = [float(line.split(",")[0]) for line in shown(path, "v", "frame", "pts_time")]
    return [each - found[0] for each in found]


def sounds(path: Path, stream: str = "a") -> list[str]:
    """A checksum of each packet of a stream."""
    return shown(path, stream, "packet", "data_hash", "-show_data_hash", "md5")
