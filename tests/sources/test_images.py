"""Pictures and folders: every one counts, once and in order, and what cannot be shown says why and stops nothing."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncs_cluster.errors import SourceError
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.images import Images, Options
from tests.sources.made_pictures import UNKNOWN, all_of, bomb, only, picture, write


def test_a_folder_is_read_in_natural_order_with_its_subfolders_and_then_ends(tmp_path: Path) -> None:
    for name in ("10.png", "2.jpg", "1.BMP", "b/1.png", "a/3.webp", "x2y10.png", "x2y9.png"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    write(tmp_path / ".hidden.png")
    write(tmp_path / ".thumbs" / "1.png")
    source = Images(Options(str(tmp_path)))
    info = source.open()
    assert (info.finite, info.ordered, info.fps) == (True, True, None)
    assert "7 pictures" in info.description
    names = [captured.item for captured in all_of(source)]
    assert names == ["1.BMP", "2.jpg", "10.png", "a/3.webp", "b/1.png", "x2y9.png", "x2y10.png"]


def test_pixels_arrive_unchanged_and_a_small_picture_is_not_blown_up(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8)
    write(tmp_path / "a.png", pixels)
    captured, shown = only(tmp_path)
    assert (captured.width, captured.height) == (40, 30)
    assert (shown == pixels).all()


def test_a_single_file_has_a_slot_of_its_own_size(tmp_path: Path) -> None:
    info = Images(Options(str(write(tmp_path / "a.png")))).open()
    assert (info.width, info.height) == (40, 30)


@pytest.mark.parametrize(("size", "shown"), [((2000, 1000), (1280, 640)), ((500, 3000), (120, 720)), ((3000, 1), (1280, 1))])
def test_a_large_picture_is_scaled_down_to_fit_and_keeps_its_shape(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    write(tmp_path / "large.png", picture(*size, brightness=77))
    captured, pixels = only(tmp_path)
    assert (captured.width, captured.height) == shown
    assert (pixels == 77).all()


def test_what_cannot_be_shown_is_named_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    whole = {
        suffix: cv2.imencode(suffix, np.tile(np.arange(120, dtype=np.uint8), (90, 1)))[1].tobytes() for suffix in (".jpg", ".png")
    }
    (tmp_path / "1-empty.jpg").write_bytes(b"")
    (tmp_path / "2-text.png").write_text("not a picture")
    (tmp_path / "3-cut.jpg").write_bytes(whole[".jpg"][:-40])
    (tmp_path / "4-cut.png").write_bytes(whole[".png"][:-40])
    (tmp_path / "5-bomb.png").write_bytes(bomb())
    with (tmp_path / "6-fat.bmp").open("wb") as fat:
        fat.truncate(257 * 1024 * 1024)
    os.mkfifo(tmp_path / "7-pipe.jpg")
    damaged = bytearray(whole[".png"])
    damaged[45:60] = b"\xff" * 15
    (tmp_path / "8-damaged.png").write_bytes(damaged)
    write(tmp_path / "9-good.png")
    seen = all_of(Images(Options(str(tmp_path))))
    reasons = [
        UNKNOWN,
        UNKNOWN,
        "is truncated: its end is missing",
        "is truncated: its end is missing",
        "has 40000x40000 pixels, which take 4577 MB, more than 512",
        "has 257 MB, more than 256",
        "is no regular file",
        "is corrupt",
    ]
    assert [str(captured.error).split(": ", 1) for captured in seen[:-1]] == [
        [seen[n].item, reason] for n, reason in enumerate(reasons)
    ]
    assert (seen[-1].item, seen[-1].error) == ("9-good.png", None)


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    secret = write(tmp_path / "private" / "secret.png")
    folder = tmp_path / "shared"
    write(folder / "1.png")
    (folder / "2.png").symlink_to("1.png")
    (folder / "3.png").symlink_to(secret)
    (folder / "4.png").symlink_to(folder / "absent.png")
    (folder / "5").symlink_to(secret.parent)
    seen = {captured.item: captured.error for captured in all_of(Images(Options(str(folder))))}
    assert seen == {
        "1.png": None,
        "2.png": None,
        "3.png": "3.png: is a link out of the folder",
        "4.png": "4.png: cannot be read (No such file or directory)",
    }


def test_a_picture_that_vanished_is_recorded_and_passed_over(tmp_path: Path) -> None:
    source = Images(Options(str(tmp_path)))
    for name in ("1.png", "2.png", "3.png"):
        write(tmp_path / name)
    source.open()
    (tmp_path / "2.png").unlink()
    into = Planes(np.zeros((720, 1280, 3), np.uint8))
    errors = [captured.error for captured in (source.read(into), source.read(into), source.read(into)) if captured]
    assert errors == [None, "2.png: cannot be read (No such file or directory)", None]
    assert source.read(into) is None


def test_a_file_name_that_is_no_text_still_makes_a_record(tmp_path: Path) -> None:
    write(tmp_path / "ok.png").rename(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"bad\xff.png")))
    (captured,) = all_of(Images(Options(str(tmp_path))))
    assert captured.item is not None
    assert captured.item.encode("utf-8") == b"bad\\udcff.png"
    assert captured.error is None


def test_a_looping_folder_starts_again_unless_nothing_in_it_can_be_shown(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        write(tmp_path / name)
    source = Images(Options(str(tmp_path), loop=True))
    assert not source.open().finite
    into = Planes(np.zeros((720, 1280, 3), np.uint8))
    assert [(source.read(into) or pytest.fail("ended")).item for _ in range(5)] == ["1.png", "2.png", "1.png", "2.png", "1.png"]
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"")
    source.open()
    assert [(source.read(into) or pytest.fail("ended")).error is None for _ in range(2)] == [False, False]
    with pytest.raises(SourceError, match="none of the 2 pictures"):
        source.read(into)


def test_an_empty_or_missing_folder_and_a_broken_single_file_are_refused_for_good(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    for name, why in (("empty", "no picture"), ("absent", "No such file"), ("broken.jpg", "is corrupt or truncated")):
        with pytest.raises(SourceError, match=why) as refused:
            Images(Options(str(tmp_path / name))).open()
        assert refused.value.permanent
        assert "\n" not in refused.value.detail


def test_pictures_can_be_passed_over(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        write(tmp_path / name)
    source, into = Images(Options(str(tmp_path))), Planes(np.zeros((720, 1280, 3), np.uint8))
    source.open()
    source.skip(2)
    assert (source.read(into) or pytest.fail("ended")).item == "3.png"
    source.skip(2)
    assert source.read(into) is None
    source = Images(Options(str(tmp_path), loop=True))
    source.open()
    source.skip(3 * 1_000_000 + 1)
    assert (source.read(into) or pytest.fail("ended")).item == "2.png"


def test_a_closed_folder_says_so_and_opens_again(tmp_path: Path) -> None:
    write(tmp_path / "1.png")
    source = Images(Options(str(tmp_path)))
    source.open()
    source.close()
    source.close()
    with pytest.raises(SourceError, match="closed"):
        source.read(Planes(np.zeros((720, 1280, 3), np.uint8)))
    assert len(all_of(source)) == 1


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, -1), (100_000, 10)])
def test_a_size_that_makes_no_sense_is_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match=r"within 1\.\.8192"):
        Options("x", max_width=width, max_height=height)
