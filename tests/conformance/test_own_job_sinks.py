"""Our own formats of job results pass the checks that other packages' formats must pass."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

from ncs_cluster.testing.conformance import JobSinkConformance
from ncs_cluster.testing.conformance.job_sink import FRAMES, job_record

FRAME_OF = {str(job_record(frame).item): frame for frame in range(FRAMES)}


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


class TestJsonl(JobSinkConformance):
    plugin = "jsonl"
    options = {"job": True}
    refused_options = ({"shard_size": -1}, {"path": "relative"})

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        return [(each["frame"], "error" in each) for each in lines(folder / "results")]  # type: ignore[misc]


class TestCsv(JobSinkConformance):
    plugin = "csv"
    refused_options = ({"shard_size": -1}, {"path": "relative"})

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        with open(folder / "results", encoding="utf-8", newline="") as file:
            rows = [(int(row["frame"]), bool(row["error"])) for row in csv.DictReader(file, strict=True)]
        return list(dict.fromkeys(rows))


class TestCoco(JobSinkConformance):
    plugin = "coco"

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        told = json.loads((folder / "results_images.json").read_bytes())
        return [(each["id"], "error" in each) for each in told["images"]]


class TestYolo(JobSinkConformance):
    plugin = "yolo"
    refused_options = ({"shard_size": 1},)

    def spec(self, folder: Path) -> str:
        return str(folder)

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        """A folder has no order."""
        failed = {each["frame"] for each in lines(folder / "failures.jsonl")}
        labels = {str(path.relative_to(folder / "labels")) for path in (folder / "labels").rglob("*.txt")}
        good = {frame for item, frame in FRAME_OF.items() if os.path.splitext(item)[0] + ".txt" in labels}
        return sorted([*[(frame, False) for frame in good], *[(frame, True) for frame in failed]])  # type: ignore[list-item]


class TestMegaDetector(JobSinkConformance):
    plugin = "megadetector"
    options = {"frame_rate": 25.0}
    refused_options = ({"frame_rate": 0.0},)

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        told = json.loads((folder / "results").read_bytes())
        return [(FRAME_OF[each["file"]], "failure" in each) for each in told["images"]]
