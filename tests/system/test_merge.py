"""The parts of a job that real runs made in several places, joined: what one undivided run gives."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ncs_cluster.cli.ncsctl import main
from tests import forked
from tests.cli.merged_job import outputs
from tests.jobs.making import film, picture
from tests.system.test_run import DONE_S, results, run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small_graph_by_name")]

FORMATS = "jsonl,csv,coco,yolo,megadetector,images"
FRAMES = 82


def merge(*arguments: str) -> subprocess.CompletedProcess[str]:
    return forked.run(main, ["ncsctl", "merge", *arguments], timeout_s=DONE_S)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """21 pictures, one of them torn, two of one label name; two films of 30 frames, and one that cannot be opened."""
    folder = tmp_path_factory.mktemp("tree") / "photos"
    for number in range(20):
        picture(folder / f"{number}.png", 12 * number)
    (folder / "7.png").write_bytes(b"torn")
    picture(folder / "3.jpg", 3)
    film(folder / "a" / "1.avi", [8 * number for number in range(30)])
    (folder / "a" / "2.mp4").write_bytes(b"torn")
    film(folder / "b.avi", [250 - 8 * number for number in range(30)])
    return folder


@pytest.fixture(scope="module")
def whole(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    done = run(str(tree), "--out", str(out), "--format", FORMATS)
    assert done.returncode == 1, done.stderr
    assert len(results(out)) == FRAMES
    return out


def test_parts_made_of_copies_of_a_folder_in_other_places_give_what_one_run_gives(tree: Path, whole: Path, tmp_path: Path) -> None:
    parts = []
    for number in (1, 2, 3):
        machine = tmp_path / f"machine-{number}"
        shutil.copytree(tree, machine / "photos")
        done = run(str(machine / "photos"), "--out", str(machine / "found"), "--format", FORMATS, "--shard", f"{number}/3")
        assert done.returncode in (0, 1), done.stderr
        shutil.rmtree(machine / "photos")
        # as copied from another machine
        parts.append((machine / "found").rename(tmp_path / f"copied-{number}"))
    assert sum(len(results(part)) for part in parts) == FRAMES
    done = merge(*map(str, parts), "--out", str(tmp_path / "all"))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"{FRAMES} frames of 3 parts, 2 failed; joined in ")
    ours, theirs = outputs(tmp_path / "all"), outputs(whole)
    assert {name for name in ours if ours[name] != theirs.get(name)} == {"results.jsonl"}, "records have times of their own"
    assert list(ours) == list(theirs)
    assert results(tmp_path / "all") == results(whole)


def test_numbered_files_become_one_file_of_each_format(tree: Path, whole: Path, tmp_path: Path) -> None:
    formats = "jsonl,csv,coco,megadetector"
    done = run(str(tree), "--out", str(tmp_path / "found"), "--format", formats, "--shard-size", "25")
    assert done.returncode == 1, done.stderr
    assert merge(str(tmp_path / "found"), "--out", str(tmp_path / "one")).returncode == 1
    ours, theirs = outputs(tmp_path / "one"), outputs(whole)
    assert sorted(ours) == sorted(name for name in theirs if name.startswith("results"))
    assert {name for name in ours if ours[name] != theirs[name]} == {"results.jsonl"}
    assert results(tmp_path / "one") == results(whole)


def test_parts_of_other_lists_of_items_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "a.png", 1)
    picture(tmp_path / "photos" / "b.png", 1)
    assert run(str(tmp_path / "photos"), "--out", str(tmp_path / "1"), "--shard", "1/2").returncode == 0
    (tmp_path / "photos" / "b.png").rename(tmp_path / "photos" / "c.png")
    assert run(str(tmp_path / "photos"), "--out", str(tmp_path / "2"), "--shard", "2/2").returncode == 0
    done = merge(str(tmp_path / "1"), str(tmp_path / "2"), "--out", str(tmp_path / "all"))
    assert done.returncode == 2
    assert (
        "its list of items is not the same (2 and 2 items): each machine needs the same files under the same names" in done.stderr
    )
