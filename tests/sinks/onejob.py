"""Records of a job, and sinks that write them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ncs_cluster.plugins import load, made
from ncs_cluster.sinks import SINKS
from ncs_cluster.types import Classified, Detection, Outcome, Record
from tests.needs import need_module

FORMS = ("jsonl", "csv", "coco", "yolo", "megadetector", "parquet", "hdf5", "npy")
MODULES = {"hdf5": "h5py", "parquet": "pyarrow.parquet"}
"""What a form needs beside this package."""
VECTOR = 16
NAMES = (
    "a.jpg",
    "with space/b c.png",
    "ünïcode/猫.jpg",
    'quote"comma,.jpg',
    "line\nbreak.jpg",
    "not\\udcffutf8.jpg",
    "=1+1.jpg",
)


def job(kind: str, folder: Path, **options: Any) -> Any:
    """The sink of a job in `folder`."""
    need_form(kind)
    path = folder if kind == "yolo" else folder / f"results.{kind}"
    given = {"path": os.fspath(path), **({"job": True} if kind == "jsonl" else {}), **options}
    plugin = SINKS.get(kind)
    return load(plugin.driver)(made(plugin.options, given))


def need_form(kind: str) -> None:
    """Skips where the form's library is missing."""
    if kind in MODULES:
        need_module(MODULES[kind])


def item(frame: int) -> str:
    name = NAMES[frame % len(NAMES)]
    return name if frame < len(NAMES) else f"{frame // len(NAMES)}/{name}"


def vector(frame: int, length: int = VECTOR) -> bytes:
    return struct.pack(f"<{length}f", *[frame + place / 8 for place in range(length)])


def record(frame: int, features: bool = False, failed: bool = False, size: tuple[int, int] | None = (640, 480)) -> Record:
    """Detections, nothing, classes in turn, or a vector; unusual names."""
    box = (0.125, 0.25, 0.5, 0.75)
    if failed:
        outcome = Outcome(error=f'frame {frame}: "three", sticks\ndied')
    elif features:
        outcome = Outcome(features=vector(frame))
    else:
        kinds = [
            Outcome([Detection("cat", 3, 0.875, box), Detection('do"g', 7, 0.5, (0.0, 0.0, 1.0, 1.0), 1.2345)]),
            Outcome(),
            Outcome(classes=[Classified("dark", 0, 0.75), Classified("bright", 1, 0.25)]),
        ]
        outcome = kinds[frame % 3]
    return Record("job", frame, 1.7e9 + frame, item(frame), "sim-1", "demo", None if failed else 0.05, outcome, size)


def film(name: str, frame: int, item_frame: int, outcome: Outcome, fps: float | None = None) -> Record:
    return Record("job", frame, 1.7e9, name, "sim-1", "demo", 0.05, outcome, (640, 480), item_frame, fps)


def takes_features(kind: str) -> bool:
    return kind in ("hdf5", "npy", "parquet")


def whole(kind: str, folder: Path, records: Sequence[Record], **options: Any) -> dict[str, bytes]:
    """The files of an uninterrupted job."""
    folder.mkdir(parents=True, exist_ok=True)
    sink = job(kind, folder, **options)
    sink.open(0, None)
    for each in records:
        sink.write(each)
    sink.finish()
    sink.close()
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    return {os.fspath(path.relative_to(folder)): path.read_bytes() for path in walk(folder)}


def walk(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file())
