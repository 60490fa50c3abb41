"""Labels for YOLO's tools: which file each picture has, and what a line says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ncs_cluster.sinks import _final, yolo
from ncs_cluster.sinks.yolo import parse
from ncs_cluster.types import Detection, Outcome, Record
from tests.sinks.onejob import NAMES, film, job, record, whole

BOX = (0.125, 0.25, 0.5, 0.75)
LINE = b"3 0.3125 0.5 0.375 0.5 0.875\n"


def labelled(frame: int, item: str | None, *found: Detection, error: str | None = None) -> Record:
    return Record("job", frame, 1.7e9, item, "s", "g", 0.1, Outcome(list(found), error=error), (640, 480))


def cat(frame: int, item: str | None) -> Record:
    return labelled(frame, item, Detection("cat", 3, 0.875, BOX))


def labels(folder: Path, *records: Record) -> dict[str, bytes]:
    """The label files below labels/."""
    made = whole("yolo", folder, records)
    return {name.removeprefix("labels/"): text for name, text in made.items() if name.startswith("labels/")}


def failures(folder: Path) -> list[tuple[int, str]]:
    told = [json.loads(line) for line in (folder / "failures.jsonl").read_bytes().splitlines()]
    return [(each["frame"], each["error"]) for each in told]


def test_a_line_is_the_class_the_boxs_centre_and_size_and_the_confidence(tmp_path: Path) -> None:
    picture = labelled(0, "a.jpg", Detection("cat", 3, 0.875, BOX), Detection("dog", 0, 1 / 3, (0.0, 0.0, 1.0, 0.123456)))
    assert labels(tmp_path, picture) == {"a.txt": LINE + b"0 0.5 0.061728 1 0.123456 0.333333\n"}
    assert (tmp_path / "classes.txt").read_text() == "dog\nclass 1\nclass 2\ncat\n"


def test_the_label_of_a_picture_in_a_folder_is_in_a_folder_of_that_name(tmp_path: Path) -> None:
    assert labels(tmp_path, cat(0, "x/y/a.b.jpg"), cat(1, "x/a.jpg")) == {"x/y/a.b.txt": LINE, "x/a.txt": LINE}


def test_a_picture_without_detections_has_an_empty_file_and_one_that_failed_has_none(tmp_path: Path) -> None:
    assert labels(tmp_path, labelled(0, "a.jpg"), labelled(1, "b.jpg", error="torn")) == {"a.txt": b""}
    assert failures(tmp_path) == [(1, "torn")]


def test_frames_of_films_and_of_sources_without_names_have_their_number(tmp_path: Path) -> None:
    outcome = Outcome([Detection("cat", 3, 0.875, BOX)])
    made = labels(tmp_path, film("films/f.mp4", 0, 123, outcome), film("films/f.mp4", 1, 1_234_567, outcome), cat(2, None))
    assert made == {"films/f_000123.txt": LINE, "films/f_1234567.txt": LINE, "frame_000002.txt": LINE}


@pytest.mark.parametrize(
    "item", ["../a.jpg", "/etc/passwd", "x/../../a.jpg", "x//a.jpg", "./a.jpg", "..", "a/", "\0.jpg", "x" * 240 + ".jpg"]
)
def test_a_name_that_leads_elsewhere_is_a_failure_and_no_file(tmp_path: Path, item: str) -> None:
    folder = tmp_path / "in" / "it"
    folder.mkdir(parents=True)
    assert labels(folder, cat(0, item), cat(1, "b.jpg")) == {"b.txt": LINE}
    assert failures(folder) == [(0, "its name is no path below a folder, or too long; no label file is written")]
    assert [each.name for each in tmp_path.rglob("*") if each.is_file() and folder not in each.parents] == []


def test_pictures_whose_labels_would_have_one_name_each_keep_theirs(tmp_path: Path) -> None:
    made = labels(tmp_path, cat(0, "a.jpg"), labelled(1, "a.png"), cat(2, "a.jpg"), cat(3, "a.jpg"), cat(4, "a.txt/b.jpg"))
    assert made == {
        "a.txt": LINE,
        "a.png.txt": b"",
        "a.jpg.txt": LINE,
        "frame_000003.txt": LINE,
        "frame_000004.txt": LINE,
    }


def test_unusual_names_are_names_of_files(tmp_path: Path) -> None:
    made = labels(tmp_path, *[record(3 * number) for number in range(len(NAMES))])
    assert sorted(made) == sorted(os.path.splitext(str(record(3 * number).item))[0] + ".txt" for number in range(len(NAMES)))


def test_labels_of_an_earlier_job_are_replaced_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"picture")
    whole("yolo", tmp_path, [cat(0, "a.jpg"), cat(1, "b.jpg"), cat(2, "c.jpg")])
    (tmp_path / "labels" / "by-hand.txt").write_text("0 0.5 0.5 1 1\n")
    made = labels(tmp_path, labelled(0, "a.jpg"), labelled(1, "b.jpg", error="torn"), cat(2, "c.jpg"))
    assert made == {"a.txt": b"", "c.txt": LINE, "by-hand.txt": b"0 0.5 0.5 1 1\n"}
    assert (tmp_path / "images" / "a.jpg").read_bytes() == b"picture"


def test_a_link_among_the_labels_is_not_followed_out_of_them(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "set", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "labels").mkdir(parents=True)
    (folder / "labels" / "x").symlink_to(elsewhere)
    sink = job("yolo", folder)
    sink.open(0, None)
    sink.write(cat(0, "x/a.jpg"))
    with pytest.raises(OSError, match=r"leads out of .*; replace that link by a folder"):
        sink.finish()
    assert list(elsewhere.iterdir()) == []
    (folder / "labels" / "x").unlink()
    sink.finish()
    sink.close()
    assert (folder / "labels" / "x" / "a.txt").read_bytes() == LINE


def test_a_job_without_frames_has_no_label_and_no_class(tmp_path: Path) -> None:
    assert whole("yolo", tmp_path, []) == {"classes.txt": b"", "failures.jsonl": b""}


def test_a_label_of_several_lines_is_one_line_of_the_classes(tmp_path: Path) -> None:
    whole("yolo", tmp_path, [labelled(0, "a.jpg", Detection("two\nlines", 0, 0.5, BOX))])
    assert (tmp_path / "classes.txt").read_text() == "two\\nlines\n"


def test_all_labels_are_on_the_disk_before_one_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sync for all of them: one for each would take hours for a million on an SD card."""
    seen: list[tuple[str, bool]] = []

    def synced(folder: str) -> None:
        seen.append((os.path.basename(folder), (tmp_path / "labels" / "a.txt").exists()))
        _final.sync_file_system(folder)

    monkeypatch.setattr(yolo, "sync_file_system", synced)
    whole("yolo", tmp_path, [cat(0, "a.jpg")])
    assert seen == [(".labels.tmp", False), ("labels", True)]


def test_its_place_is_a_folder(tmp_path: Path) -> None:
    parsed = parse(str(tmp_path), Path)
    assert parsed == ({"path": str(tmp_path)}, str(tmp_path))


def test_it_has_no_shards(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shard_size must be 0: each picture has a file of its own"):
        job("yolo", tmp_path, shard_size=5)
