"""MegaDetector's output format, read as strictly as its page has it (https://lila.science/megadetector-output-format)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.types import Classified, Detection, Outcome, Record
from tests.sinks.onejob import NAMES, film, item, job, record, whole

BOX = (0.125, 0.25, 0.5, 0.75)


def read(text: bytes) -> dict[str, Any]:
    """The file, after every rule of its format."""
    told: dict[str, Any] = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert set(told) == {"info", "detection_categories", "images"}
    assert isinstance(told["info"]["format_version"], str)
    assert float(told["info"]["format_version"]) >= 1.4
    for category, name in told["detection_categories"].items():
        assert category == str(int(category))
        assert int(category) > 0, "0 stands for an empty picture"
        assert name.strip()
    for image in told["images"]:
        assert isinstance(image["file"], str)
        if image.get("failure") is not None:
            assert isinstance(image["failure"], str)
            assert image["failure"]
            assert image["detections"] is None
        for found in image["detections"] or []:
            assert found["category"] in told["detection_categories"]
            assert isinstance(found["conf"], float)
            assert 0 <= found["conf"] <= 1
            assert len(found["bbox"]) == 4
            assert all(isinstance(each, float) for each in found["bbox"])
            assert ("frame_rate" in image) == ("frame_number" in found)
        if "frame_rate" in image:
            assert image["frame_rate"] > 0
            assert all(isinstance(number, int) for number in image["frames_processed"])
            assert {found["frame_number"] for found in image["detections"] or []} <= set(image["frames_processed"])
    return told


def made(folder: Path, *records: Record, **options: Any) -> dict[str, Any]:
    return read(whole("megadetector", folder, records, **options)["results.megadetector"])


def test_boxes_are_left_top_width_height_in_shares_and_categories_count_from_one(tmp_path: Path) -> None:
    outcome = Outcome([Detection("animal", 0, 0.92649, BOX), Detection("person", 1, 1.0, (0.0, 0.0, 1.0, 1.0))])
    told = made(tmp_path, Record("job", 0, 1.7e9, "x/a.jpg", "s", "g", 0.1, outcome), detector="md_v5a.0.0.pt")
    assert told == {
        "info": {"format_version": "1.4", "detector": "md_v5a.0.0.pt"},
        "detection_categories": {"1": "animal", "2": "person"},
        "images": [
            {
                "file": "x/a.jpg",
                "detections": [
                    {"category": "1", "conf": 0.9265, "bbox": [0.125, 0.25, 0.375, 0.5]},
                    {"category": "2", "conf": 1.0, "bbox": [0.0, 0.0, 1.0, 1.0]},
                ],
            }
        ],
    }


def test_a_picture_without_detections_has_an_empty_list_and_one_that_failed_its_reason(tmp_path: Path) -> None:
    told = made(tmp_path, record(1), record(2, failed=True), Record("job", 3, 1.7e9, None, None, "g", None, Outcome(error="")))
    assert told["images"] == [
        {"file": item(1), "detections": []},
        {"file": item(2), "failure": 'frame 2: "three", sticks\ndied', "detections": None},
        {"file": "frame_000003", "failure": "failed", "detections": None},
    ]


def test_a_film_is_one_entry_with_the_numbers_of_its_frames(tmp_path: Path) -> None:
    found = Outcome([Detection("animal", 0, 0.5, BOX)])
    torn = Outcome(error="torn")
    told = made(
        tmp_path,
        film("f.mp4", 0, 0, found),
        film("f.mp4", 1, 10, torn),
        film("f.mp4", 2, 20, Outcome()),
        film("f.mp4", 3, 30, found),
        film("g.mp4", 4, 0, torn),
        film("g.mp4", 5, 10, torn),
        record(6, failed=True),
        film("h.mp4", 7, 0, Outcome()),
        frame_rate=25.0,
    )
    box = {"category": "1", "conf": 0.5, "bbox": [0.125, 0.25, 0.375, 0.5]}
    assert told["images"] == [
        {
            "file": "f.mp4",
            "frame_rate": 25.0,
            "detections": [{**box, "frame_number": 0}, {**box, "frame_number": 30}],
            "frames_processed": [0, 20, 30],
        },
        {"file": "g.mp4", "frame_rate": 25.0, "failure": "torn", "detections": None, "frames_processed": []},
        {"file": item(6), "failure": 'frame 6: "three", sticks\ndied', "detections": None},
        {"file": "h.mp4", "frame_rate": 25.0, "detections": [], "frames_processed": [0]},
    ]


def test_a_film_that_tells_its_rate_has_that_one_also_where_its_first_frame_failed(tmp_path: Path) -> None:
    torn, nothing = Outcome(error="torn"), Outcome()
    told = made(
        tmp_path,
        film("f.mp4", 0, 0, torn, 30000 / 1001),
        film("f.mp4", 1, 1, nothing, 30000 / 1001),
        film("g.mp4", 2, 0, nothing),
        film("h.mp4", 3, 0, nothing, 12.5),
        frame_rate=20.0,
    )
    assert [(each["file"], each["frame_rate"]) for each in told["images"]] == [
        ("f.mp4", 29.97003),
        ("g.mp4", 20.0),
        ("h.mp4", 12.5),
    ]


def test_classes_are_detections_of_the_whole_picture(tmp_path: Path) -> None:
    outcome = Outcome(classes=[Classified("fox", 4, 0.75), Classified("", 0, 0.25)])
    told = made(tmp_path, Record("job", 0, 1.7e9, "a.jpg", "s", "g", 0.1, outcome))
    assert told["detection_categories"] == {"1": "class 0", "5": "fox"}
    assert [(each["category"], each["bbox"]) for each in told["images"][0]["detections"]] == [
        ("5", [0.0, 0.0, 1.0, 1.0]),
        ("1", [0.0, 0.0, 1.0, 1.0]),
    ]


def test_unusual_names_come_back_as_they_were(tmp_path: Path) -> None:
    told = made(tmp_path, *[record(frame) for frame in range(len(NAMES))])
    assert [each["file"] for each in told["images"]] == list(NAMES)


def test_a_job_without_frames_is_a_file_without_images(tmp_path: Path) -> None:
    assert made(tmp_path) == {"info": {"format_version": "1.4"}, "detection_categories": {}, "images": []}


@pytest.mark.parametrize("frame_rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_frame_rate_that_cannot_be_is_refused(tmp_path: Path, frame_rate: float) -> None:
    with pytest.raises(ValueError, match=r"^frame_rate must be"):
        job("megadetector", tmp_path, frame_rate=frame_rate)
