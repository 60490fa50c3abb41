"""What ncsctl run says of folders and ends, and what it leaves behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ncs_cluster.cli import job_folder
from ncs_cluster.cli.run import command
from ncs_cluster.cli.run.prepared import with_remedy
from ncs_cluster.errors import ConfigError


def test_a_folder_that_may_not_be_written_is_refused_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere: what the kernel would answer others is put in its place."""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(ConfigError) as refused:
        job_folder.make(tmp_path)
    assert str(refused.value) == f"{tmp_path}: this user may not write there; choose another folder, or change its owner"


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("the disk is full", "the disk is full; the same command goes on"),
        ("/out/ledger.sqlite is damaged; remove it to begin anew", "/out/ledger.sqlite is damaged; remove it to begin anew"),
    ],
)
def test_a_job_that_ended_early_has_one_remedy(reason: str, line: str) -> None:
    assert with_remedy(reason) == line


def test_empty_folders_of_commands_that_were_killed_an_hour_ago_are_removed(tmp_path: Path) -> None:
    old_s = time.time() - 2 * command.OLD_S
    names = ("ncs-job-old", "ncs-job-full", "other-old", "ncs-job-new")
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "ncs-job-full" / "control.sock").touch()
    for name in names[:3]:
        os.utime(tmp_path / name, (old_s, old_s))
    command._remove_empty(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"ncs-job-full", "other-old", "ncs-job-new"}
