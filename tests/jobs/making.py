"""Pictures and films of known content for jobs: the brightness of a picture is its number."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ncs_cluster.jobs.ledger import Ledger, Root

WIDTH, HEIGHT = 64, 48


def picture(path: Path, brightness: int, width: int = WIDTH, height: int = HEIGHT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), brightness, np.uint8))
    return path


def film(path: Path, brightness: list[int], width: int = WIDTH, height: int = HEIGHT, fps: float = 25) -> Path:
    """Motion JPEG: a frame does not depend on others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for each in brightness:
        writer.write(np.full((height, width, 3), each, np.uint8))
    writer.release()
    return path


def ledger(folder: Path, names: list[str], sinks: tuple[str, ...] = ("jsonl",)) -> Ledger:
    """A new ledger of the files of a folder."""
    made = Ledger(str(folder / "ledger.sqlite"), create=True)
    made.begin({"sources": ["x"]}, [Root(str(folder), "", confined=True)], ((0, name.encode()) for name in names), sinks)
    return made
