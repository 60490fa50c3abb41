"""`ncsctl jobs` against a control socket: what it shows and asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ncs_cluster.cli import show_jobs
from ncs_cluster.cli.parser import make
from ncs_cluster.control_messages import ChangeJob
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.status import JobStatus
from ncs_cluster.testing.control import FakeControl, control, some_job


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeControl]:
    with control(tmp_path) as fake:
        jobs = [some_job("1", "done"), some_job("2"), some_job("3", "failed", "/archive: is gone")]
        fake.status = msgspec.structs.replace(fake.status, jobs=jobs)
        yield fake


def jobs(place: Path, *words: str) -> int:
    given = make().parse_args(["jobs", *words, "--runtime-dir", str(place)] if words else ["--runtime-dir", str(place), "jobs"])
    code: int = given.run(given)
    return code


def lines(found: list[JobStatus]) -> list[str]:
    return ["".join(cell.text for cell in line).rstrip() for line in show_jobs.listed(found)]


def test_the_list_has_a_line_for_each_job_and_why_one_failed() -> None:
    assert lines([some_job("1", "done"), some_job("12"), some_job("13", "failed", "/archive: is gone")]) == [
        "JOB  STATE    DONE  FRAMES  FAILED   FPS        LEFT  GRAPH   OUT",
        "1    done     61 %  12,345       3     -           -  shapes  /archive/found-1",
        "12   running  61 %  12,345       3  87.5  1 min 27 s  shapes  /archive/found-12",
        "13   failed   61 %  12,345       3     -           -  shapes  /archive/found-13",
        "  job 13: /archive: is gone",
    ]


def test_a_list_without_jobs_says_how_to_start_one() -> None:
    assert lines([]) == ["no jobs: ncsctl run SOURCE --graph G --out DIR --attach starts one"]


def test_what_is_not_known_yet_is_no_figure() -> None:
    new = msgspec.structs.replace(some_job("1"), done=0, expected=0, failed=0, fps=0.0)
    assert lines([new])[1].split() == ["1", "running", "-", "0", "0", "0.0", "-", "shapes", "/archive/found-1"]


def test_words_of_a_path_cannot_control_the_terminal() -> None:
    hostile = msgspec.structs.replace(
        some_job("1", "failed", "\x1b[2J"), out="/out/\x1b]0;x\x07", graph="\x1bc", sources=["\x1b[31m"]
    )
    for line in [*show_jobs.listed([hostile]), *show_jobs.shown(hostile)]:
        assert "\x1b" not in "".join(cell.text for cell in line)


@pytest.mark.parametrize("words", [(), ("list",)])
def test_jobs_are_listed(daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert jobs(tmp_path, *words) == 0
    assert capsys.readouterr().out.splitlines() == lines(daemon.status.jobs)


def test_a_job_is_shown(daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert jobs(tmp_path, "show", "3") == 0
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_000.0))
    assert capsys.readouterr().out.splitlines() == [
        "state    failed: /archive: is gone",
        "frames   12,345 of 20,000 (61 %), 3 failed",
        "rate     -",
        "sources  /archive/2024, /archive/2025",
        "graph    shapes",
        "out      /archive/found-3",
        "formats  jsonl, coco",
        "weight   0.1",
        f"began    {began}",
    ]


def test_both_are_given_as_json(daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs(tmp_path, "list", "--json")
    assert json.loads(capsys.readouterr().out) == msgspec.to_builtins(daemon.status.jobs)
    jobs(tmp_path, "show", "2", "--json")
    assert json.loads(capsys.readouterr().out) == msgspec.to_builtins(daemon.status.jobs[1])


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
def test_what_changes_a_job_is_asked_of_the_daemon(daemon: FakeControl, tmp_path: Path, verb: str) -> None:
    assert jobs(tmp_path, verb, "2") == 0
    assert [each for each in daemon.requests if isinstance(each, ChangeJob)] == [ChangeJob("2", verb)]


def test_a_job_that_is_not_there_is_told_in_one_line(daemon: FakeControl, tmp_path: Path) -> None:
    with pytest.raises(NcsClusterError, match=r"^there is no job 9; ncsctl jobs lists them$"):
        jobs(tmp_path, "show", "9")
