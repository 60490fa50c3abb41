"""Drawn pictures of a job: the item's own pixels with its boxes, below one folder, whatever items are called."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ncs_cluster.processes.imagery import JobImagery
from ncs_cluster.render.picture import Overlay, draw
from ncs_cluster.sinks._safe_names import safe
from ncs_cluster.sinks.images import MARK, Images, Options
from ncs_cluster.types import Outcome
from tests.jobs.making import film, picture
from tests.sinks.drawn_job import job, records, seen


def images(folder: Path) -> Images:
    return Images(Options(str(folder / "out" / "images"), str(folder / "ledger.sqlite")), JobImagery())


def written(folder: Path, items: dict[str, int | None], outcomes: dict[int, Outcome] | None = None) -> list[str]:
    """Run a whole job; returns the names of the pictures."""
    job(folder, items, "images").close()
    (folder / "out").mkdir(exist_ok=True)
    sink = images(folder)
    sink.open(0, None)
    for record in records(items, outcomes):
        sink.write(record)
    sink.finish()
    sink.close()
    top = folder / "out" / "images"
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file() and path.name != MARK)


def differs(path: Path, expected: NDArray[np.uint8]) -> float:
    """Mean difference to a JPEG file, 0 to 255."""
    shown = cv2.imread(str(path))
    assert shown is not None
    assert shown.shape == expected.shape
    return float(np.abs(shown.astype(int) - expected).mean())


def drawn(pixels: NDArray[np.uint8], outcome: Outcome) -> NDArray[np.uint8]:
    copy = pixels.copy()
    draw(copy, {"g": outcome}, Overlay(has_depth=False))
    return copy


def test_each_picture_has_its_own_size_its_pixels_and_its_boxes(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (15, 20, 3), np.uint8)
    large = np.asarray(cv2.resize(pixels, (1600, 1200), interpolation=cv2.INTER_CUBIC), np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), large)
    picture(tmp_path / "sub" / "grey.jpg", 90, 320, 240)
    outcomes = {0: seen((0.1, 0.1, 0.4, 0.5)), 1: seen((0.5, 0.5, 0.9, 0.9))}
    assert written(tmp_path, {"large.png": None, "sub/grey.jpg": None}, outcomes) == ["large.png.jpg", "sub/grey.jpg"]
    out = tmp_path / "out" / "images"
    grey = np.full((240, 320, 3), 90, np.uint8)
    for name, pixels, own, other in (
        ("large.png.jpg", large, outcomes[0], outcomes[1]),
        ("sub/grey.jpg", grey, outcomes[1], outcomes[0]),
    ):
        assert differs(out / name, drawn(pixels, own)) < 1
        assert differs(out / name, drawn(pixels, own)) < 0.7 * differs(out / name, pixels)
        assert differs(out / name, drawn(pixels, own)) < 0.7 * differs(out / name, drawn(pixels, other))


def test_a_failed_item_has_no_picture(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 10)
    (tmp_path / "b.jpg").write_bytes(b"none")
    picture(tmp_path / "c.jpg", 30)
    failed = {1: Outcome(error="b.jpg: is corrupt"), 2: Outcome(error="three sticks have failed with it")}
    assert written(tmp_path, {"a.jpg": None, "b.jpg": None, "c.jpg": None}, failed) == ["a.jpg"]


def test_an_item_that_is_gone_meanwhile_or_links_out_of_its_folder_has_no_picture_and_the_job_goes_on(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = picture(tmp_path_factory.mktemp("other") / "secret.jpg", 200)
    (tmp_path / "link.jpg").symlink_to(secret)
    picture(tmp_path / "z.jpg", 30)
    assert written(tmp_path, {"gone.jpg": None, "link.jpg": None, "z.jpg": None}) == ["z.jpg"]


def test_frames_of_a_film_are_pictures_with_their_numbers_and_a_retried_one_is_drawn_again(tmp_path: Path) -> None:
    brightness = [40 * number for number in range(6)]
    film(tmp_path / "f.avi", brightness, 320, 240)
    items: dict[str, int | None] = {"f.avi": 6}
    failed = {2: Outcome(error="three sticks have failed with it")}
    names = [f"f.avi_{number:06d}.jpg" for number in range(6)]
    assert written(tmp_path, items, failed) == [name for name in names if "2" not in name]
    out = tmp_path / "out" / "images"
    again = images(tmp_path)
    again.open(0, b"1")
    again.write(list(records(items))[2])
    again.close()
    for number, name in enumerate(names):
        frame = np.full((240, 320, 3), brightness[number], np.uint8)
        assert differs(out / name, drawn(frame, seen())) < 3, name


def test_a_film_is_passed_in_steps_so_that_heartbeats_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "f.avi", [number % 250 for number in range(130)], 320, 240)
    items: dict[str, int | None] = {"f.avi": 130}
    job(tmp_path, items, "images").close()
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("ncs_cluster.sinks.images.SKIP_S", 0.0)
    sink = images(tmp_path)
    sink.open(0, None)
    record, waits = list(records(items))[120], 0
    while True:
        try:
            sink.write(record)
            break
        except BlockingIOError:
            waits += 1
    sink.close()
    assert waits == 2
    expected = drawn(np.full((240, 320, 3), 120, np.uint8), seen())
    assert differs(tmp_path / "out" / "images" / "f.avi_000120.jpg", expected) < 3


def test_a_folder_that_holds_other_files_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    picture(tmp_path / "out" / "images" / "a.jpg", 10)
    before = (tmp_path / "out" / "images" / "a.jpg").read_bytes()
    job(tmp_path, {"a.jpg": None}, "images").close()
    with pytest.raises(OSError, match="no output of this job"):
        images(tmp_path).open(0, None)
    assert os.listdir(tmp_path / "out" / "images") == ["a.jpg"]
    assert (tmp_path / "out" / "images" / "a.jpg").read_bytes() == before


def test_a_killed_write_leaves_no_half_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.jpg", 10)
    job(tmp_path, {"a.jpg": None}, "images").close()
    (tmp_path / "out").mkdir()
    sink = images(tmp_path)
    sink.open(0, None)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        sink.write(next(records({"a.jpg": None})))
    assert not (tmp_path / "out" / "images" / "a.jpg").exists()
    monkeypatch.undo()
    sink.write(next(records({"a.jpg": None})))
    assert sorted(os.listdir(tmp_path / "out" / "images")) == [MARK, "a.jpg"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", "a.jpg"),
        ("A.JPG", "A.JPG"),
        ("a.png", "a.png.jpg"),
        ("a.png.jpg", "a.png.jpg.jpg"),
        ("/srv/2024/a.jpg", "srv/2024/a.jpg"),
        ("holiday/ä b.jpg", "holiday/ä b.jpg"),
    ],
)
def test_names_and_subfolders_of_items_are_kept(name: str, expected: str) -> None:
    assert safe(name, ".jpg").split("-")[0].removesuffix(".jpg") == expected.removesuffix(".jpg")
    assert name.startswith("/") or safe(name, ".jpg") == expected


NAMES = st.lists(st.sampled_from(["a", "b.jpg", "b.png", "..", ".", "", ".h", "x:y", "l" * 300, "\n", "é"]), min_size=1, max_size=4)


@given(names=st.lists(NAMES.map("/".join), min_size=2, max_size=8, unique=True))
def test_no_name_leads_out_of_the_folder_hides_or_meets_another(names: list[str]) -> None:
    made = [safe(name, ".jpg") for name in names]
    for path in made:
        assert path.lower().endswith(".jpg")
        for part in path.split("/"):
            assert part
            assert not part.startswith(".")
            assert part.isprintable()
            assert len(os.fsencode(part)) <= 220
    meant = {tuple(part for part in name.split("/") if part not in ("", ".")) for name in names}
    assert len(set(made)) >= len(meant)
