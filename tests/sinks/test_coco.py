"""COCO results, judged by pycocotools."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.sinks.coco import NO_SIZE
from ncs_cluster.types import Classified, Detection, Outcome, Record
from tests.needs import need_module
from tests.sinks.onejob import NAMES, film, record, whole

SIZE = (640, 480)


def made(folder: Path, *records: Record, **options: Any) -> tuple[Any, Any]:
    """The images file and the results file."""
    text = whole("coco", folder, records, **options)
    return json.loads(text["results_images.coco"] if "results_images.coco" in text else text["results_images.json"]), json.loads(
        text["results.coco"]
    )


def detected(frame: int, *found: Detection, size: tuple[int, int] | None = SIZE) -> Record:
    return Record("job", frame, 1.7e9, f"{frame}.jpg", "s", "g", 0.1, Outcome(list(found)), size)


def test_boxes_are_left_top_width_height_in_pixels_of_the_picture(tmp_path: Path) -> None:
    images, results = made(tmp_path, detected(0), detected(1, Detection("cat", 17, 0.912341, (0.1, 0.25, 0.6, 1.0))))
    assert results == [{"image_id": 1, "category_id": 17, "bbox": [64.0, 120.0, 320.0, 360.0], "score": 0.91234}]
    assert images["categories"] == [{"id": 17, "name": "cat"}]
    assert images["images"] == [{"id": frame, "file_name": f"{frame}.jpg", "width": 640, "height": 480} for frame in (0, 1)]


def test_pycocotools_finds_every_box_at_its_place(tmp_path: Path) -> None:
    """The truth is a COCO file made of the same boxes by hand: the average precision is 1, and 0 where a box is moved away."""
    coco, cocoeval = need_module("pycocotools.coco"), need_module("pycocotools.cocoeval")
    boxes = {0: [(17, (0.1, 0.2, 0.5, 0.9))], 1: [], 2: [(17, (0.0, 0.0, 1.0, 1.0)), (3, (0.25, 0.5, 0.75, 0.75))]}
    records = [
        detected(frame, *[Detection({17: "cat", 3: "car"}[label], label, 0.9, box) for label, box in found])
        for frame, found in boxes.items()
    ]
    whole("coco", tmp_path, records)
    ours = coco.COCO(str(tmp_path / "results_images.json"))
    results = ours.loadRes(str(tmp_path / "results.coco"))
    assert {frame: len(results.getAnnIds(imgIds=[frame])) for frame in boxes} == {0: 1, 1: 0, 2: 2}
    truth = json.loads((tmp_path / "results_images.json").read_text())
    assert [each["name"] for each in truth["categories"]] == ["car", "cat"]
    truth["annotations"] = [
        {
            "id": number,
            "image_id": frame,
            "category_id": label,
            "bbox": [x1 * 640, y1 * 480, (x2 - x1) * 640, (y2 - y1) * 480],
            "area": (x2 - x1) * 640 * (y2 - y1) * 480,
            "iscrowd": 0,
        }
        for number, (frame, label, (x1, y1, x2, y2)) in enumerate(
            [(frame, label, box) for frame, found in boxes.items() for label, box in found], 1
        )
    ]

    def precision() -> float:
        (tmp_path / "truth.json").write_text(json.dumps(truth))
        known = coco.COCO(str(tmp_path / "truth.json"))
        judged = cocoeval.COCOeval(known, known.loadRes(str(tmp_path / "results.coco")), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
        return float(judged.stats[0])

    assert precision() == pytest.approx(1.0)
    truth["annotations"][0]["bbox"] = [600, 400, 10, 10]
    assert precision() < 0.8


def test_a_frame_that_failed_is_an_image_with_its_error_and_has_no_result(tmp_path: Path) -> None:
    images, results = made(tmp_path, record(0, failed=True, size=None))
    assert results == []
    assert images["images"] == [
        {"id": 0, "file_name": "a.jpg", "width": None, "height": None, "error": 'frame 0: "three", sticks\ndied'}
    ]


def test_boxes_of_a_picture_without_a_size_are_a_failure_that_says_so(tmp_path: Path) -> None:
    images, results = made(tmp_path, detected(0, Detection("cat", 3, 0.5, (0.0, 0.0, 1.0, 1.0)), size=None))
    assert results == []
    assert images["images"][0]["error"] == NO_SIZE


def test_a_films_image_names_its_frame_and_rate_one_without_a_name_has_its_number_and_classes_have_no_results(
    tmp_path: Path,
) -> None:
    unnamed = Record("job", 1, 1.7e9, None, "s", "g", 0.1, Outcome(), SIZE)
    images, results = made(tmp_path, film("f.mp4", 0, 12, Outcome(classes=[Classified("dark", 0, 0.5)]), 30000 / 1001), unnamed)
    assert results == []
    assert images["images"] == [
        {"id": 0, "file_name": "f.mp4", "width": 640, "height": 480, "item_frame": 12, "item_fps": 29.97003},
        {"id": 1, "file_name": "frame_000001", "width": 640, "height": 480},
    ]


def test_unusual_names_and_figures_give_valid_json(tmp_path: Path) -> None:
    box = (0.0, 0.0, 1e300, math.nan)
    records = [record(3 * number + 1) for number in range(len(NAMES))]
    images, results = made(tmp_path, *records, detected(99, Detection('a "\n\x00', 2**40, math.inf, box)))
    assert [each["file_name"] for each in images["images"][:-1]] == [str(each.item) for each in records]
    assert results == [{"image_id": 99, "category_id": 2**40, "bbox": [0.0, 0.0, 6.4e302, 0.0], "score": 0.0}]
    assert images["categories"] == [{"id": 2**40, "name": 'a "\n\x00'}]


def test_a_job_without_frames_gives_empty_lists(tmp_path: Path) -> None:
    images, results = made(tmp_path)
    assert results == []
    assert (images["images"], images["annotations"], images["categories"]) == ([], [], [])
    assert need_module("pycocotools.coco").COCO(str(tmp_path / "results_images.json")).getImgIds() == []


def test_each_shard_has_its_own_images_and_all_categories(tmp_path: Path) -> None:
    records = [detected(frame, Detection(f"label {frame}", frame, 0.5, (0.0, 0.0, 1.0, 1.0))) for frame in range(3)]
    text = whole("coco", tmp_path, records, shard_size=2)
    assert sorted(text) == [f"results-0000{shard}{end}" for shard in (0, 1) for end in (".coco", "_images.json")]
    last = json.loads(text["results-00001_images.json"])
    assert [each["id"] for each in last["images"]] == [2]
    assert [each["id"] for each in last["categories"]] == [0, 1, 2]
    assert [each["image_id"] for each in json.loads(text["results-00001.coco"])] == [2]
