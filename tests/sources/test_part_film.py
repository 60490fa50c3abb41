"""Films read in parts: put together they are the film, frame by frame, whatever the file is like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ncs_cluster.cli.run.divided_film import DividedFilm
from ncs_cluster.errors import SourceError
from ncs_cluster.fleet import film_part
from ncs_cluster.fleet.film_part import FROM_START, FilmPart
from ncs_cluster.jobs.ledger import Ledger, Root
from ncs_cluster.sources._film_times import parts
from ncs_cluster.sources._item_film import ItemFilm
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._part_film import PartFilm
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.job import Job, Options
from tests.jobs.making import HEIGHT, WIDTH, film, ledger
from tests.needs import need_program
from tests.sinks import ffmpeg

MOST = (640, 360)
MOVING = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=6")
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "3")
KINDS = {
    "open.mp4": (*H264, "-x264-params", "open-gop=1:keyint=30:b-pyramid=normal"),
    "refreshed.mkv": (*H264[:-2], "-x264-params", "intra-refresh=1:keyint=30"),
    "changing.mp4": ("-vf", "select='not(mod(n,7))+not(mod(n,3))+gt(n,100)'", "-fps_mode", "vfr", *H264),
    "cut.ts": H264,
    "late.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "30"),
    "interlaced.mpg": ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-bf", "2", "-g", "15"),
    "timeless.h264": H264,
}
"""What each is made with. A packet of late.avi has the time of the frame before; the times of timeless.h264 are all 0."""
Row = tuple[int, int, str] | str


def rows(read: ItemFilm) -> Iterator[Row]:
    into = Planes(np.zeros((MOST[1], MOST[0], 3), np.uint8))
    while (seen := read.next(into)) is not None:
        if isinstance(seen, str):
            yield seen
        else:
            pixels = into.colour.reshape(-1)[: seen.width * seen.height * 3]
            yield seen.width, seen.height, hashlib.sha256(pixels.tobytes()).hexdigest()
    read.close()


def in_parts(path: Path) -> tuple[list[Row], list[FilmPart]]:
    """The frames as the command that collects puts them together, and the parts that were read."""
    book = Ledger(":memory:", create=True)
    book.begin({}, [Root(str(path.parent), "", confined=True)], [(0, path.name.encode())], ["records"])
    cut = DividedFilm(book, 0, parts(str(path)))
    found, read = list[Row](), list[FilmPart]()
    while not cut.over:
        read.append(cut.part(cut.at.index))
        part = PartFilm(str(path), None, MOST, read[-1])
        its = list(rows(part))
        if cut.fits(part.edges):
            found += its
            cut.written(len(its), part.edges.end, over=part.edges.end is None)
    return found, read


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    need_opencv()
    monkeypatch.setattr(film_part, "LEAST", 25)


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "damaged"])
@pytest.mark.parametrize("name", KINDS)
def test_parts_of_a_film_are_the_film(tmp_path: Path, name: str, damaged: bool) -> None:
    need_program("ffmpeg", "ffmpeg")
    path = tmp_path / name
    ffmpeg.make(*MOVING, *KINDS[name], path)
    if damaged:
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 300] = b"\xff" * 300
        path.write_bytes(data[:-1000] if name.endswith((".ts", ".avi", ".mkv")) else data)
    found, read = in_parts(path)
    whole = list(rows(ItemFilm(str(path), None, MOST)))
    assert len(found) > 50
    assert len(read) > 3
    if name.startswith(("interlaced", "timeless")):
        assert len(read) <= FROM_START + 1
    if not damaged:
        assert found == whole
        return
    # what is made of damaged data depends on the timing of the decoder's threads
    assert [each[:2] if isinstance(each, tuple) else each for each in found] == [
        each[:2] if isinstance(each, tuple) else each for each in whole
    ]
    assert sum(one == other for one, other in zip(found, whole, strict=True)) > 0.8 * len(whole)


@pytest.mark.parametrize("name", ["bottle-detection.mp4", "one-by-one-person-detection.mp4"])
def test_parts_of_a_real_film_are_the_film(test_data: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film_part, "LEAST", 350)
    found, read = in_parts(test_data / "media" / name)
    assert found == list(rows(ItemFilm(str(test_data / "media" / name), None, MOST)))
    assert len(read) == len({part.begin_ms for part in read}) >= 3


def test_a_part_goes_on_from_any_of_its_frames_and_one_behind_the_end_has_none(tmp_path: Path) -> None:
    path = str(film(tmp_path / "f.avi", [number * 8 for number in range(30)]))
    whole = list(rows(ItemFilm(path, None, MOST)))
    for part in (FilmPart(12, 9, 480.0, 840.0), FilmPart(12, 9, behind=21)):
        for first in (0, 4, 9):
            read = PartFilm(path, None, MOST, part)
            assert read.go_to(first)
            assert list(rows(read)) == whole[12 + first : 21]
        assert not PartFilm(path, None, MOST, part).go_to(10)
    for part in (FilmPart(40, 5, 5000.0), FilmPart(40, 5)):
        read = PartFilm(path, None, MOST, part)
        assert list(rows(read)) == []
        assert (read.edges.begin, read.edges.end) == (None, None)


def test_only_the_first_part_of_a_film_that_cannot_be_read_is_a_failed_item(tmp_path: Path) -> None:
    (tmp_path / "f.mp4").write_bytes(b"no film")
    ledger(tmp_path, ["f.mp4"]).close()
    into = Planes(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    for part, failed in (({"first": 0, "end_ms": 900.0}, True), ({"first": 30, "begin_ms": 900.0}, False)):
        source = Job(Options(str(tmp_path / "ledger.sqlite"), WIDTH, HEIGHT, part=part))
        source.open()
        if failed:
            seen = source.read(into)
            assert seen is not None
            assert seen.error == "f.mp4: is neither a picture nor a video that OpenCV can decode"
            assert source.read(into) is None
        else:
            # another host has read the film up to here, so it is this one that cannot
            with pytest.raises(SourceError, match=r"f\.mp4: is neither") as raised:
                source.read(into)
            assert raised.value.permanent
        source.close()


def test_a_part_that_is_none_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"^part: [^\n]+$"):
        Options("ledger.sqlite", part={"first": -1})
