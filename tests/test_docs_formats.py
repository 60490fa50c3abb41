"""The examples of docs/formats.md are what the formats write of the job that the page tells of."""

from __future__ import annotations

import dataclasses
import doctest
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.plugins import load
from ncs_cluster.sinks import SINKS
from ncs_cluster.types import Detection, Outcome, Record
from tests.conftest import ROOT
from tests.needs import need_module
from tests.sinks.onejob import FORMS, job

PAGE = (ROOT / "docs/formats.md").read_text()
FILES = re.findall(r"```text (\S+)\n(.*?)```", PAGE, re.S)
FOUND = {
    "dog.jpg": ((768, 576), [Detection("bicycle", 2, 0.7204, (0.17979, 0.20444, 0.74327, 0.75528))]),
    "street/bus.jpg": (
        (810, 1080),
        [
            Detection("person", 1, 0.8308, (0.06515, 0.35523, 0.27405, 0.83202)),
            Detection("person", 1, 0.6971, (0.2612, 0.37058, 0.43591, 0.78973)),
        ],
    ),
}
"""By ssd_mobilenet_v1_coco, at or over 0.65."""


def written(folder: Path, kind: str) -> None:
    features = kind in ("hdf5", "npy")
    options: dict[str, Any] = {"path": str(folder / "results.json")} if kind == "coco" else {}
    if kind == "hdf5":
        options = {"attributes": {"model": "person-reidentification-retail-0288", "layer": "reid_embedding"}}
    sink = job(kind, folder, **options)
    sink.open(0, None)
    for frame, (item, (size, found)) in enumerate(FOUND.items()):
        outcome = Outcome(features=struct.pack("<256f", *range(256))) if features else Outcome(found)
        sink.write(Record("job", frame, 1.7e9, item, "cpu-1", "ssd", 0.05, outcome, size))
    sink.write(Record("job", 2, 1.7e9, "torn.jpg", None, "ssd", None, Outcome(error="is no picture")))
    sink.finish()
    sink.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("formats")
    for kind in FORMS:
        written(made, kind)
    return made


@pytest.mark.parametrize(("name", "text"), FILES, ids=[name for name, _ in FILES])
def test_a_file_that_the_page_shows_is_what_is_written(folder: Path, name: str, text: str) -> None:
    assert (folder / name).read_text() == text


def test_the_sessions_of_the_page_print_what_it_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_module("pycocotools.coco")
    monkeypatch.chdir(folder)
    failed, tried = doctest.testfile(str(ROOT / "docs/formats.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert tried > 5
    assert failed == 0


@pytest.mark.parametrize("kind", [name for name, plugin in SINKS.builtin.items() if plugin.jobs_only and plugin.output])
def test_every_format_has_a_section_that_names_its_options(kind: str) -> None:
    section = re.split(r"^## ", PAGE.partition(f"\n## {kind}\n")[2], flags=re.M)[0]
    own = {field.name for field in dataclasses.fields(load(SINKS.get(kind).options))} - {"path", "shard_size"}
    assert section
    assert own <= set(re.findall(r"`(\w+)[ =`]", section))
