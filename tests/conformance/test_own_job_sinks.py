"""Our own formats of job results pass the checks that other packages' formats must pass."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from ncs_cluster.sinks.records import read
from ncs_cluster.testing.conformance import JobSinkConformance
from ncs_cluster.testing.conformance.job_sink import FRAMES, job_record
from tests.needs import need_module

FRAME_OF = {str(job_record(frame).item): frame for frame in range(FRAMES)}


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


class TestJsonl(JobSinkConformance):
    plugin = "jsonl"
    options = {"job": True}
    refused_options = ({"shard_size": -1}, {"path": "relative"})

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        return [(each["frame"], "error" in each) for each in lines(folder / "results")]  # type: ignore[misc]


class TestRecords(JobSinkConformance):
    plugin = "records"
    refused_options = ({"path": "relative"},)

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        with open(folder / "results", "rb") as file:
            return [(each.frame, each.outcome.error is not None) for each in read(file)]


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


class TestParquet(JobSinkConformance):
    plugin = "parquet"
    refused_options = ({"compression": "zip"},)

    def made(self, folder: Path) -> Any:
        need_module("pyarrow")
        return super().made(folder)

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        table = need_module("pyarrow.parquet").read_table(folder / "results")
        rows = zip(table["frame"].to_pylist(), table["error"].to_pylist(), strict=True)
        return list(dict.fromkeys((frame, error is not None) for frame, error in rows))


class TestParquetOfFeatures(TestParquet):
    features = True


class TestHdf5(JobSinkConformance):
    plugin = "hdf5"
    features = True
    options = {"dtype": "float16", "attributes": {"model": "demo"}}
    refused_options = ({"dtype": "int8"}, {"attributes": {"": ""}})

    def made(self, folder: Path) -> Any:
        need_module("h5py")
        return super().made(folder)

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        with need_module("h5py").File(folder / "results", "r") as file:
            assert len(file["feats"]) == len(file["frames"])
            good, failed = list(file["frames"][:]), list(file["failures/frames"][:])
        assert good == sorted(good)
        return sorted([*[(int(frame), False) for frame in good], *[(int(frame), True) for frame in failed]])


class TestNpy(JobSinkConformance):
    plugin = "npy"
    features = True
    refused_options = ({"dtype": "int8"},)

    def read(self, folder: Path) -> list[tuple[int, bool]]:
        names, failures = lines(folder / "results.names.jsonl"), lines(folder / "results.failures.jsonl")
        kinds = [(names, False), (failures, True)]
        return sorted((int(str(each["frame"])), failed) for found, failed in kinds for each in found)
