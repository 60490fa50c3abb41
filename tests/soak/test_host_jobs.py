"""The soak of a job over three hosts, short."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import host_jobs

pytestmark = pytest.mark.slow


def test_a_job_over_hosts_is_as_a_serial_one_whatever_is_killed_cut_and_restarted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--pictures", "240", "--host-timeout", "5", "--cut-s", "6", "--only", "serial,faults"]
    assert host_jobs.soak(host_jobs.parsed(words), tmp_path) == 0
    said = capsys.readouterr().out
    assert "240 rows: equal to the serial ones" in said
    assert [what for what in ("are killed", "had no link", "started again") if what not in said] == []


def test_a_row_that_differs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = {"serial": [{"frame": 0}, {"frame": 1}], "three": [{"frame": 0}, {"frame": 2}]}
    monkeypatch.setattr(host_jobs, "rows", lambda out: found[out.name if out.name == "serial" else out.parent.name])
    monkeypatch.setattr(host_jobs, "over", lambda *given, **more: 1.0)
    monkeypatch.setattr(host_jobs.Job, "done", lambda job: 1.0)
    monkeypatch.setattr(host_jobs.subprocess, "Popen", lambda *given, **more: (tmp_path / "serial").mkdir())
    assert host_jobs.soak(host_jobs.parsed(["--pictures", "2", "--only", "serial,three"]), tmp_path) == 1
    assert "they DIFFER" in capsys.readouterr().out
