"""Parquet tables, read back by pyarrow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.errors import ConfigError
from ncs_cluster.sinks import parquet
from ncs_cluster.types import Classified, Detection, Outcome, Record
from tests.needs import need_module
from tests.sinks.onejob import NAMES, film, item, job, record, vector, whole

pq = need_module("pyarrow.parquet")

COLUMNS = [
    "frame",
    "item",
    "item_frame",
    "width",
    "height",
    "rank",
    "label",
    "label_id",
    "score",
    "x1",
    "y1",
    "x2",
    "y2",
    "distance_m",
    "error",
]


def made(folder: Path, *records: Record, **options: Any) -> Any:
    whole("parquet", folder, records, **options)
    return pq.read_table(folder / "results.parquet")


def given(**fields: Any) -> dict[str, Any]:
    return {**dict.fromkeys(COLUMNS), **fields}


def test_each_detection_and_class_is_a_row_and_so_is_a_frame_with_neither(tmp_path: Path) -> None:
    found = Outcome([Detection("cat", 3, 0.875, (0.125, 0.25, 0.5, 0.75)), Detection("dog", 2**40, 0.5, (0.0, 0.0, 1.0, 1.0), 1.5)])
    table = made(
        tmp_path,
        Record("job", 0, 1.7e9, "a.jpg", "s", "g", 0.1, found, (640, 480)),
        film("f.mp4", 1, 7, Outcome(classes=[Classified("dark", 0, 0.75)])),
        Record("job", 2, 1.7e9, None, "s", "g", 0.1, Outcome()),
        Record("job", 3, 1.7e9, "b.jpg", None, "g", None, Outcome(error="torn")),
    )
    picture = {"frame": 0, "item": "a.jpg", "width": 640, "height": 480}
    assert table.column_names == COLUMNS
    assert table.to_pylist() == [
        given(**picture, rank=1, label="cat", label_id=3, score=0.875, x1=0.125, y1=0.25, x2=0.5, y2=0.75),
        given(**picture, rank=2, label="dog", label_id=2**40, score=0.5, x1=0.0, y1=0.0, x2=1.0, y2=1.0, distance_m=1.5),
        given(frame=1, item="f.mp4", item_frame=7, width=640, height=480, rank=1, label="dark", label_id=0, score=0.75),
        given(frame=2),
        given(frame=3, item="b.jpg", error="torn"),
    ]


def test_vectors_are_a_column_of_lists_of_one_length(tmp_path: Path) -> None:
    table = made(tmp_path, *[record(frame, features=True, failed=frame == 1) for frame in range(4)])
    assert [each and np.array(each, "<f4").tobytes() for each in table["features"].to_pylist()] == [
        vector(0), None, vector(2), vector(3)
    ]  # fmt: skip
    assert str(table.schema.field("features").type) == "list<element: float>"
    assert [bool(error) for error in table["error"].to_pylist()] == [False, True, False, False]


def test_row_groups_are_of_limited_size_and_hold_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 10)
    table = made(tmp_path, *[record(frame) for frame in range(60)])
    assert pq.ParquetFile(tmp_path / "results.parquet").metadata.num_row_groups == 10
    # two detections, nothing, two classes in turn
    assert table["frame"].to_pylist() == [frame for frame in range(60) for _ in range((2, 1, 2)[frame % 3])]


def test_unusual_names_come_back_as_they_were(tmp_path: Path) -> None:
    table = made(tmp_path, *[record(3 * number + 1) for number in range(len(NAMES))])
    assert table["item"].to_pylist() == [item(3 * number + 1) for number in range(len(NAMES))]


@pytest.mark.parametrize("compression", parquet.COMPRESSIONS)
def test_it_is_compressed_as_asked(tmp_path: Path, compression: str) -> None:
    made(tmp_path, record(0), compression=compression)
    used = pq.ParquetFile(tmp_path / "results.parquet").metadata.row_group(0).column(0).compression
    assert used == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())


def test_a_job_without_frames_is_a_table_without_rows(tmp_path: Path) -> None:
    table = made(tmp_path)
    assert (table.num_rows, table.column_names) == (0, COLUMNS)


def test_without_pyarrow_it_is_refused_before_the_job_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = job("parquet", tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"^format parquet needs pyarrow \(.*\): pip install 'ncs-cluster\[parquet\]'$"):
        sink.open(0, None)


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^compression must be one of zstd, snappy, gzip, none$"):
        job("parquet", tmp_path, compression="zip")
