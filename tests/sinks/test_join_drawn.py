"""The pictures and films that the parts of a job have drawn, in one folder, under the names that the whole job gives them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.jobs import layout
from ncs_cluster.sinks import images, video
from ncs_cluster.sinks.base import Part
from tests.needs import need_module
from tests.sinks.divided_job import Item, part
from tests.sinks.onejob import files

NONE: Any = None
"""Nothing is drawn here."""


def pictures(folder: Path) -> images.Images:
    return images.Images(images.Options(str(folder / "images")), NONE)


def films(folder: Path) -> video.Video:
    need_module("av")
    return video.Video(video.Options(str(folder / "video.mp4")), NONE)


def join(
    folder: Path, sink: Callable[[Path], Any], items: Sequence[Item], drawn: Sequence[Sequence[str]], out: str = "out"
) -> dict[str, bytes]:
    """`drawn`: the files that each part has made. Each holds its own name and the part's number."""
    parts = []
    for number, names in enumerate(drawn):
        place = folder / f"part-{number}"
        ledger, _ = part(place, items, number, len(drawn))
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(f"{number}: {name}")
        parts.append(Part(str(place), sink(place), ledger))
    (folder / out).mkdir(exist_ok=True)
    for _ in range(2):
        sink(folder / out).join(parts, layout.order([each.ledger for each in parts]))
    return files(folder / out)


def test_pictures_of_all_parts_lie_in_one_folder_which_is_a_jobs(tmp_path: Path) -> None:
    drawn = [["images/a.jpg", "images/b/c.jpg", f"images/{images.MARK}", "images/.d.jpg.tmp"], ["images/b/d.jpg"]]
    found = join(tmp_path, pictures, [Item("a.jpg")], drawn)
    assert found == {
        "images/a.jpg": b"0: images/a.jpg",
        "images/b/c.jpg": b"0: images/b/c.jpg",
        "images/b/d.jpg": b"1: images/b/d.jpg",
        f"images/{images.MARK}": b"",
    }
    assert os.path.samefile(tmp_path / "out" / "images" / "a.jpg", tmp_path / "part-0" / "images" / "a.jpg")


def test_pictures_are_copied_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: str, _to: str) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assert join(tmp_path, pictures, [], [["images/a.jpg"]])["images/a.jpg"] == b"0: images/a.jpg"


@pytest.mark.parametrize(
    ("items", "drawn", "expected"),
    [
        (["a.avi"], [["video.mp4"], []], {"video.mp4": b"0: video.mp4"}),
        (
            ["a.avi", "b/c.mp4"],
            [["video.mp4"], ["video.mp4"]],
            {"video/a.avi.mp4": b"0: video.mp4", "video/b/c.mp4": b"1: video.mp4"},
        ),
        (
            ["a.avi", "b.avi", "c.avi"],
            [["video/a.avi.mp4", "video/c.avi.mp4"], ["video.mp4"]],
            {
                "video/a.avi.mp4": b"0: video/a.avi.mp4",
                "video/b.avi.mp4": b"1: video.mp4",
                "video/c.avi.mp4": b"0: video/c.avi.mp4",
            },
        ),
        (["a.jpg", "torn.avi", "b.avi"], [["video.mp4"], []], {"video.mp4": b"0: video.mp4"}),
        (["a.jpg"], [[], []], {}),
    ],
)
def test_films_have_the_names_that_the_whole_job_gives_them(
    tmp_path: Path, items: list[str], drawn: list[list[str]], expected: dict[str, bytes]
) -> None:
    kinds = [
        Item(name, 1, unopened=True) if name == "torn.avi" else Item(name, None if name.endswith("jpg") else 3) for name in items
    ]
    assert join(tmp_path, films, kinds, drawn) == expected


def test_a_film_without_a_video_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert join(tmp_path, films, [Item("a.avi", 3), Item("b.avi", 3)], [["video.mp4"], []]) == {"video/a.avi.mp4": b"0: video.mp4"}
    assert f"b.avi has no video in {tmp_path}/part-1: its run.log says why" in caplog.messages
