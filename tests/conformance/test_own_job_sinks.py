"""Our own formats of job results pass the checks that other packages' formats must pass."""

from __future__ import annotations

import csv
import json
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
