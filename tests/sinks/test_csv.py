"""The table of a job: what a reader of RFC 4180 gets of each record."""

from __future__ import annotations

import csv
from pathlib import Path

from ncs_cluster.types import Classified, Detection, Outcome, Record
from tests.sinks.onejob import NAMES, film, job, record, whole

HEAD = b"frame,item,item_frame,width,height,rank,label,label_id,score,x1,y1,x2,y2,distance_m,error\r\n"


def table(folder: Path, *records: Record) -> list[dict[str, str]]:
    whole("csv", folder, records)
    with open(folder / "results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def given(**fields: str) -> dict[str, str]:
    return {**dict.fromkeys(HEAD.decode().strip().split(","), ""), **fields}


def test_each_detection_is_a_row_with_its_rank(tmp_path: Path) -> None:
    found = [
        Detection("cat", 3, 0.87654, (0.123456, 0.25, 0.5, 0.75)),
        Detection("dog", 0, 1.0, (0.0, 0.0, 1.0, 1.0), distance_m=1.23456),
    ]
    frame = {"frame": "0", "item": "a.jpg", "width": "640", "height": "480"}
    assert table(tmp_path, Record("job", 0, 1.7e9, "a.jpg", "s", "g", 0.1, Outcome(found), (640, 480))) == [
        given(**frame, rank="1", label="cat", label_id="3", score="0.8765", x1="0.12346", y1="0.25", x2="0.5", y2="0.75"),
        given(
            **frame, rank="2", label="dog", label_id="0", score="1.0", x1="0.0", y1="0.0", x2="1.0", y2="1.0", distance_m="1.235"
        ),
    ]


def test_each_class_is_a_row_without_a_box(tmp_path: Path) -> None:
    outcome = Outcome(classes=[Classified("dark", 0, 0.75), Classified("bright", 1, 0.25)])
    assert table(tmp_path, film("f.mp4", 0, 7, outcome)) == [
        given(
            frame="0", item="f.mp4", item_frame="7", width="640", height="480", rank="1", label="dark", label_id="0", score="0.75"
        ),
        given(
            frame="0", item="f.mp4", item_frame="7", width="640", height="480", rank="2", label="bright", label_id="1", score="0.25"
        ),
    ]


def test_a_frame_without_detections_and_one_that_failed_have_one_row_each(tmp_path: Path) -> None:
    nothing = Record("job", 0, 1.7e9, None, "s", "g", 0.1, Outcome())
    failed = Record("job", 1, 1.7e9, "b.jpg", None, "g", None, Outcome(error="cannot be read"))
    assert table(tmp_path, nothing, failed) == [given(frame="0"), given(frame="1", item="b.jpg", error="cannot be read")]


def test_unusual_names_come_back_as_they_were(tmp_path: Path) -> None:
    rows = table(tmp_path, *[record(3 * number + 1) for number in range(len(NAMES))])
    assert [row["item"] for row in rows] == [str(record(3 * number + 1).item) for number in range(len(NAMES))]


def test_a_name_that_is_not_utf_8_is_written_as_escapes(tmp_path: Path) -> None:
    (row,) = table(tmp_path, Record("job", 0, 1.7e9, "a\udcff.jpg", "s", "g", 0.1, Outcome()))
    assert row["item"] == "a\\udcff.jpg"


def test_the_text_of_the_file(tmp_path: Path) -> None:
    made = whole("csv", tmp_path, [Record("job", 0, 1.7e9, 'a,"b"\nc', "s", "g", 0.1, Outcome(error="torn"))])
    assert made["results.csv"] == HEAD + b'0,"a,""b""\nc",,,,,,,,,,,,,torn\r\n'


def test_a_job_without_frames_has_a_table_without_rows(tmp_path: Path) -> None:
    assert whole("csv", tmp_path / "a", []) == {"results.csv": HEAD}
    assert whole("csv", tmp_path / "b", [], shard_size=5) == {"results-00000.csv": HEAD}


def test_a_shard_is_a_table_of_so_many_frames(tmp_path: Path) -> None:
    made = whole("csv", tmp_path / "shards", [record(frame) for frame in range(5)], shard_size=2)
    one = whole("csv", tmp_path / "one", [record(frame) for frame in range(5)])["results.csv"]
    assert sorted(made) == ["results-00000.csv", "results-00001.csv", "results-00002.csv"]
    assert HEAD + b"".join(made[name].removeprefix(HEAD) for name in sorted(made)) == one


def test_a_whole_part_becomes_the_table_without_being_copied(tmp_path: Path) -> None:
    sink = job("csv", tmp_path)
    sink.open(0, None)
    sink.write(record(0))
    (part,) = (tmp_path / ".parts" / "results.csv").glob("*.csv")
    number = part.stat().st_ino
    sink.finish()
    assert (tmp_path / "results.csv").stat().st_ino == number
    sink.close()


def test_a_table_whose_job_may_be_retried_shares_no_file_with_its_parts(tmp_path: Path) -> None:
    sink = job("csv", tmp_path)
    sink.open(0, None)
    sink.write(record(0))
    sink.write(record(1, failed=True))
    sink.finish()
    with open(tmp_path / "results.csv", "r+b") as edited:
        edited.truncate(3)
    sink.write(record(1))
    sink.finish()
    sink.close()
    assert (tmp_path / "results.csv").read_bytes() == whole("csv", tmp_path / "b", [record(0), record(1)])["results.csv"]
