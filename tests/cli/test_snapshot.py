"""`ncsctl snapshot`, against a real page process whose camera draws."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from ncs_cluster.cli.ncsctl import main
from ncs_cluster.testing.control import some_camera
from ncs_cluster.testing.gateway import Site, site
from tests import forked

TOKEN = "a token / with ? odd & letters"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("run"), token=TOKEN, cameras=("front door", "yard")) as opened:
        opened.live()
        opened.control.page = f"{opened.url}/?token={quote(TOKEN, safe='')}"
        opened.control.status = replace(opened.control.status, cameras=[some_camera("front door"), some_camera("yard")])
        yield opened


def words(page: Site, *argv: str) -> list[str]:
    place = Path(page.control._socket.getsockname()).parent
    return ["ncsctl", "snapshot", "--runtime-dir", str(place), *argv]


def ncsctl(page: Site, *argv: str) -> CompletedProcess[str]:
    return forked.run(main, words(page, *argv))


def drawn(data: bytes) -> bool:
    """The picture that testing.control.PictureWriter draws: a bar on a plain background."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None or pixels.shape != (240, 320, 3):
        return False
    plain = np.abs(pixels.astype(int) - (120, 90, 40)).max(axis=2) < 12
    bar = np.abs(pixels.astype(int) - (60, 200, 250)).max(axis=2) < 24
    return bool(0.85 < plain.mean() < 0.97 and 0.03 < bar.mean() < 0.1)


def test_a_picture_is_written_as_jpeg_or_png_by_its_name_and_to_standard_output(page: Site, tmp_path: Path) -> None:
    jpeg, png = tmp_path / "a b.JPG", tmp_path / "b.png"
    for file in (jpeg, png):
        done = ncsctl(page, "front door", str(file))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert drawn(file.read_bytes())
    assert (jpeg.read_bytes()[:3], png.read_bytes()[:8]) == (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a b.JPG", "b.png"], "no other file is left"
    assert drawn(forked.run_bytes(main, words(page, "front door", "-")).stdout)


def test_a_file_that_is_there_is_replaced_only_where_that_is_wanted(page: Site, tmp_path: Path) -> None:
    file = tmp_path / "kept.jpg"
    file.write_text("mine")
    done = ncsctl(page, "yard", str(file))
    assert (done.returncode, file.read_text()) == (1, "mine")
    assert done.stderr == f"ncsctl: '{file}' is there already: choose another name, or --force\n"
    assert ncsctl(page, "yard", str(file), "--force").returncode == 0
    assert drawn(file.read_bytes())


@pytest.mark.parametrize(
    ("camera", "file", "said"),
    [
        ("roof", "a.jpg", "there is no camera 'roof': there are front door, yard"),
        ("../../etc", "a.jpg", "there is no camera '../../etc': there are front door, yard"),
        ("yard", "a.gif", "'a.gif' must end in .jpg, .jpeg or .png, or be - for standard output"),
        ("yard", "none/a.jpg", "'none' is not a folder: make it first"),
        ("yard", "/dev/null/a.png", "'/dev/null' is not a folder: make it first"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(page: Site, camera: str, file: str, said: str) -> None:
    done = ncsctl(page, camera, file)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"ncsctl: {said}\n")


def test_a_camera_that_draws_nothing_is_told_with_its_state(page: Site, tmp_path: Path) -> None:
    cameras = [replace(some_camera("cellar"), state="no-signal", detail="cable\nis out")]
    before, page.control.status = page.control.status, replace(page.control.status, cameras=cameras)
    try:
        until_s = time.monotonic() + 60
        while page.get("/api/status", Authorization=f"Bearer {TOKEN}").json["cameras"][0]["name"] != "cellar":
            assert time.monotonic() < until_s, "the page does not know the camera"
            time.sleep(0.05)
        done = ncsctl(page, "cellar", str(tmp_path / "a.jpg"))
    finally:
        page.control.status = before
    assert (done.returncode, os.listdir(tmp_path)) == (1, [])
    assert done.stderr.startswith("ncsctl: the page answers 503: no picture: the camera is no-signal (cable")
    assert done.stderr.count("\n") == 1
