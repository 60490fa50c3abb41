"""ncsctl merge over parts that are as `ncsctl run` leaves them: what it gives, what it refuses, and kills."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.cli import merge
from ncs_cluster.cli.merge.command import MARK
from ncs_cluster.jobs.ledger import Ledger
from tests.cli.merged_job import FAILED, ITEMS, job_part, outputs, whole
from tests.conftest import ROOT
from tests.sinks.divided_job import Item
from tests.tied import TIED


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """The parts of a job, in folders of other names and places."""
    return [job_part(tmp_path / f"machine-{number}" / "found", number, 3) for number in (1, 2, 3)]


def test_the_parts_in_any_order_give_the_outputs_of_the_whole_job_and_its_failures(
    tmp_path: Path, three: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = [outputs(folder) for folder in three]
    words = [str(three[2]), str(three[0]), str(three[1]), "--out", str(tmp_path / "all")]
    for _ in range(2):
        assert merge.main(words) == 1
        assert outputs(tmp_path / "all") == whole(tmp_path / "whole")
        assert [path.name for path in (tmp_path / "all").iterdir() if path.name.startswith(".")] == [MARK]
        said, complaints = capsys.readouterr()
        assert said.splitlines()[0].startswith(f"98 frames of 3 parts, {FAILED} failed; joined in ")
        assert said.splitlines()[1:] == ['  x/film.avi: is "torn",\\nor not', '  torn.png: is "torn",\\nor not']
        assert complaints == ""
    assert [outputs(folder) for folder in three] == before


def test_the_numbered_files_of_one_job_become_one_file_each(tmp_path: Path) -> None:
    kinds = ("jsonl", "csv", "coco", "megadetector")
    changes: dict[str, Any] = {"shard size": 10}
    found = job_part(tmp_path / "found", kinds=kinds, **changes)
    assert len(outputs(found)) == 5 * 10
    assert merge.main([str(found), "--out", str(tmp_path / "one")]) == 1
    assert outputs(tmp_path / "one") == whole(tmp_path / "whole", kinds)


def test_a_job_without_failures_exits_with_0_and_more_parts_than_items_are_joined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [job_part(tmp_path / str(number), number, 4, ("jsonl",), [Item("a.jpg"), Item("b.jpg")]) for number in (1, 2, 3, 4)]
    assert merge.main([*map(str, parts), "--out", str(tmp_path / "all"), "--quiet"]) == 0
    assert len((tmp_path / "all" / "results.jsonl").read_text().splitlines()) == 2
    assert capsys.readouterr() == ("", "")


def again(folder: Path, **changes: object) -> None:
    shutil.rmtree(folder)
    job_part(folder, 2, 3, **changes)  # type: ignore[arg-type]


def unfinished(folder: Path) -> None:
    Ledger(str(folder / "ledger.sqlite")).begin_retry()


def of_an_earlier_version(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)) as book:
        book.execute("DELETE FROM meta WHERE key = 'facts'")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (shutil.rmtree, "2/found: there is no such folder"),
    "no job": (lambda folder: (folder / "ledger.sqlite").unlink(), "2/found: is not the folder of a job: it has no ledger.sqlite"),
    "no ledger": (
        lambda folder: (folder / "ledger.sqlite").write_text("x" * 5000),
        "ledger.sqlite is damaged (file is not a database)",
    ),
    "not done": (unfinished, "2/found: its job is not done; give its ncsctl run command again first"),
    "earlier": (
        of_an_earlier_version,
        "2/found: its job is of an earlier version, which did not note what joining needs; run it anew",
    ),
    "graph": (
        lambda folder: again(folder, graph={"decoder": "ssd", "model": "9", "threshold": 0.5}),
        "2/found: is no part of the job of {first}: its graph is not the same (model, threshold)",
    ),
    "size": (lambda folder: again(folder, size=[640, 480]), "is no part of the job of {first}: its size is not the same"),
    "formats": (lambda folder: again(folder, kinds=("jsonl",)), "its formats are not the same"),
    "parts": (lambda folder: again(folder, shard=[2, 4]), "its number of parts is not the same"),
    "items": (
        lambda folder: again(folder, facts={"names": "other"}),
        f"its list of items is not the same ({len(ITEMS)} and {len(ITEMS)} items): each machine needs the same files under",
    ),
    "twice": (lambda folder: again(folder, shard=[3, 3]), "3/found and {second} are both part 3 of 3; name each part once"),
    "options": (
        lambda folder: again(folder, facts={"outputs": {"csv": {"path": "/x", "shard_size": 7}}}),
        "its options of outputs are not the same",
    ),
    "strange": (
        lambda folder: again(folder, facts={"outputs": 3}),
        "ledger.sqlite: is damaged (ValidationError: Expected `object`",
    ),
    "countless": (
        lambda folder: again(folder, shard=[2, 10**9]),
        "ledger.sqlite: is damaged (ValidationError: Expected `int` <= 9",
    ),
    "outputs": (lambda folder: (folder / "results.jsonl").unlink(), "2/found/results.jsonl: No such file or directory"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_parts_that_are_not_all_of_one_job_are_refused_in_one_line(
    tmp_path: Path, three: list[Path], capsys: pytest.CaptureFixture[str], what: str
) -> None:
    change, why = REFUSED[what]
    change(three[1])
    assert merge.main([*map(str, three), "--out", str(tmp_path / "all")]) == 2
    said, complaints = capsys.readouterr()
    assert said == ""
    assert len(complaints.splitlines()) == 1
    assert complaints.startswith("ncsctl merge: ")
    assert why.format(first=three[0], second=three[1]) in complaints
    assert not (tmp_path / "all" / "results.jsonl").exists()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([0, 2], "part 2 of 3 is missing: name the folder of each"),
        ([1], "parts 1, 3 of 3 are missing: name the folder of each"),
        ([0, 1, 1, 2], "machine-2/found is named twice"),
    ],
)
def test_a_missing_part_and_one_that_is_named_twice_are_refused(
    tmp_path: Path, three: list[Path], capsys: pytest.CaptureFixture[str], given: list[int], why: str
) -> None:
    assert merge.main([*(str(three[number]) for number in given), "--out", str(tmp_path / "all")]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ({"mine": {}}, "there is no format 'mine': install the package that the job had it from"),
        ({"feed": {}}, "there is no format 'feed'"),
        ({"csv": {"wings": 2}}, "format csv: "),
        ({"csv": {"path": "/etc/passwd", "shard_size": "x"}}, "format csv: "),
    ],
)
def test_outputs_that_no_job_of_this_version_has_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], outputs: dict[str, object], why: str
) -> None:
    parts = [job_part(tmp_path / str(number), number, 2, ("csv",), facts={"outputs": outputs}) for number in (1, 2)]
    assert merge.main([*map(str, parts), "--out", str(tmp_path / "all")]) == 2
    complaints = capsys.readouterr().err
    assert len(complaints.splitlines()) == 1
    assert why in complaints


def test_a_whole_job_is_not_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = job_part(tmp_path / "found", kinds=("jsonl",))
    assert merge.main([str(found), "--out", str(tmp_path / "all")]) == 2
    assert "found: is a whole job, each output in one file: there is nothing to join" in capsys.readouterr().err


def test_nothing_is_written_where_other_files_are(tmp_path: Path, three: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "mine.txt").write_text("mine")
    for out in (tmp_path / "all", three[0]):
        before = outputs(out)
        assert merge.main([*map(str, three), "--out", str(out)]) == 2
        assert outputs(out) == before
    complaints = capsys.readouterr().err.splitlines()
    assert f"--out {tmp_path}/all: holds other files; choose a new folder" in complaints[0]
    assert f"--out {three[0]}: is the folder of a part; choose a new folder" in complaints[1]


def test_a_folder_of_another_jobs_joined_outputs_is_not_written_over(
    tmp_path: Path, three: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = [job_part(tmp_path / f"other-{number}", number, 2, ("jsonl",)) for number in (1, 2)]
    assert merge.main([*map(str, other), "--out", str(tmp_path / "all")]) == 1
    before = outputs(tmp_path / "all")
    assert merge.main([*map(str, three), "--out", str(tmp_path / "all")]) == 2
    assert "holds the outputs of another job; choose a new folder" in capsys.readouterr().err
    assert outputs(tmp_path / "all") == before


def test_a_part_that_a_run_works_in_is_refused(tmp_path: Path, three: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    held = os.open(three[1], os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert merge.main([*map(str, three), "--out", str(tmp_path / "all")]) == 2
    os.close(held)
    assert f"{three[1]}: another command works in it" in capsys.readouterr().err


def test_a_merge_that_is_killed_again_and_again_gives_the_same_files_and_never_a_torn_one(
    tmp_path: Path, three: list[Path]
) -> None:
    reference = whole(tmp_path / "whole")
    words = [
        *TIED,
        sys.executable,
        "-m",
        "tests.cli.killed_merge",
        str(tmp_path / "whole"),
        str(tmp_path / "all"),
        *map(str, three),
    ]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    code, kills = map(int, ran.stdout.split())
    assert code == 1, ran.stderr
    assert kills >= 5, "too few were killed"
    assert outputs(tmp_path / "all") == reference
    assert [path.name for path in (tmp_path / "all").iterdir() if path.name.startswith(".")] == [MARK]


def test_the_command_line_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        merge.main(["--help"])
    assert end.value.code == 0
    assert "ncsctl merge machine-1/found machine-2/found --out all" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        merge.main(["--out", "x"])
    assert end.value.code == 2
