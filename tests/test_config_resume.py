"""A folder whose results are there in part is gone on with, and what that is concluded from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.oneconfig import simulated

PICTURES = ["p1.ppm", "p2.ppm", "p10.ppm", "p11.ppm"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    for name in PICTURES:
        (made / name).write_bytes(b"P6 1 1 255\n\0\0\0")
    return made


def record(frame: int, item: str | None, **more: Any) -> str:
    return json.dumps({"schema": 1, "camera": "cam0", "frame": frame, "item": item, "graph": "none", **more}) + "\n"


def written(folder: Path, text: str, *more: str) -> tuple[dict[str, int], list[str]]:
    """What is concluded from a file of results with this text; and what the operator is told."""
    results = folder.parent / "out.jsonl"
    results.write_text(text)
    settings = simulated("--source", str(folder), "--results", str(results), *more)
    return settings.cameras[0].written, [text.replace(str(results), "FILE") for text in settings.notices]


def test_a_run_that_ended_early_is_gone_on_with(folder: Path) -> None:
    """The last line is torn, as after a kill."""
    text = record(0, "p1.ppm") + record(1, "p2.ppm") + '{"schema": 1, "camera": "cam0", "fra'
    told = "cam0: goes on at picture 3 of 4: FILE has the results of those before; to begin anew, remove it"
    assert written(folder, text) == ({"none": 1}, [told])


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (record(3, "p11.ppm"), ()),
        (record(1, "p3.ppm"), ()),
        (record(1, None), ()),
        (record(7, "p2.ppm"), ()),
        (record(1, "p2.ppm", graph="other"), ()),
        (record(1, "p2.ppm"), ("--loop",)),
        (record(1, "p2.ppm"), ("--results", "-")),
    ],
    ids=["was finished", "has changed", "names nothing", "was longer", "other graphs", "plays for ever", "has two sinks"],
)
def test_without_proof_results_are_appended_and_that_is_told(folder: Path, text: str, more: tuple[str, ...]) -> None:
    told = "cam0: FILE has results of this camera already; new ones are appended, so frames may be there twice"
    assert written(folder, text, *more) == ({}, [told])


@pytest.mark.parametrize("text", ["", "\n\n", "[1]\n{}\n", record(1, "p2.ppm", camera="door"), "{" * 100_000, "\0" * 100])
def test_a_file_without_results_of_the_camera_says_nothing(folder: Path, text: str) -> None:
    assert written(folder, text) == ({}, [])


def test_a_live_camera_appends_without_a_word(folder: Path, tmp_path: Path) -> None:
    results = tmp_path / "out.jsonl"
    results.write_text(record(1, None))
    assert simulated("--source", "synthetic", "--results", str(results)).notices == []
