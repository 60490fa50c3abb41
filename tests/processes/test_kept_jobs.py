"""The daemon's jobs survive it; a file that cannot be kept or read costs no daemon its start."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from ncs_cluster.processes.kept_jobs import NAME, KeptJobs
from ncs_cluster.specs import JobRecord
from tests.core.onejob import JOB

RECORDS = [
    JobRecord(structs.replace(JOB, id="1"), "paused", None, 3, 10, 1),
    JobRecord(structs.replace(JOB, id="2"), "failed", "stopped", 4, 10, 2),
]
WHOLE = msgspec.json.encode(RECORDS)
FLIPPED = [WHOLE.replace(b'"id":"2"', b'"id":"r"'), WHOLE.replace(b'"id":"2"', b'"id":"1"')]
"""A bit of a number has changed: the next job would have none, or that of another."""


class Kept(KeptJobs):
    """Keeps what is said."""

    def __init__(self, folder: Path | None) -> None:
        self.said: list[tuple[str, str, str]] = []
        super().__init__(folder, lambda *line: self.said.append(line))


def test_the_next_daemon_reads_what_was_kept_last(tmp_path: Path) -> None:
    state = tmp_path / "not" / "there"
    first = Kept(state)
    assert first.load() == []
    first.keep(RECORDS[:1])
    first.keep(RECORDS)
    first.close()
    following = Kept(state)
    assert following.load() == RECORDS
    assert (first.said, following.said, following.refusal) == ([], [], None)
    assert stat.S_IMODE((state / NAME).stat().st_mode) == 0o600
    following.close()


def test_a_second_daemon_of_the_same_state_takes_no_job_and_changes_nothing(tmp_path: Path) -> None:
    first = Kept(tmp_path)
    first.keep(RECORDS)
    second = Kept(tmp_path)
    why = f"another daemon keeps the jobs of {tmp_path}"
    assert (second.refusal, second.load()) == (why, [])
    assert second.said == [("warning", "daemon", f"{why}: no job can be started")]
    second.keep([])
    assert first.load() == RECORDS
    first.close()


def test_a_daemon_without_a_state_directory_takes_no_job() -> None:
    kept = Kept(None)
    kept.keep(RECORDS)
    assert (kept.load(), kept.refusal, kept.said) == ([], "this daemon takes no jobs", [])


@pytest.mark.parametrize("content", [b"", b"[{", b'[{"job": 7}]', b"\xff" * 100, *FLIPPED])
def test_a_damaged_file_is_set_aside_and_the_daemon_starts(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    kept = Kept(tmp_path)
    assert kept.load() == []
    ((level, origin, text),) = kept.said
    assert (level, origin) == ("error", "daemon")
    assert text.startswith(f"the jobs of the last run are not known: {tmp_path / 'jobs.damaged'}: ")
    assert (tmp_path / "jobs.damaged").read_bytes() == content
    kept.keep(RECORDS)
    assert kept.load() == RECORDS
    kept.close()


def test_a_folder_in_the_place_of_the_file_is_said_and_the_jobs_go_on(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    os.mkdir(tmp_path / NAME)
    kept.keep(RECORDS)
    ((level, _, text),) = kept.said
    assert level == "error"
    assert text.startswith("jobs would not survive a restart: ")
    assert text.endswith(": Is a directory")
    kept.close()
