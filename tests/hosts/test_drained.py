"""A drained host in the work of the fleet, with whole daemons."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import small_graph
from tests.soak.host_jobs import Job, fleet, pictures


@pytest.mark.slow
def test_a_drained_host_takes_no_chunk_until_it_is_returned(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    small_graph.write(tmp_path / "small")
    pictures(tmp_path / "photos", 60)
    with fleet(tmp_path, ("attic", "cellar"), 10.0) as (rig, place, daemons):
        more = ("--nats", place.url, "--mount", f"photos={tmp_path / 'photos'}")
        assert rig["desk"].ncsctl("fleet", "drain", "attic", "--nats", place.url).returncode == 0
        Job(tmp_path, "first", rig["desk"].enter, *more).done()
        assert [bool(daemon.status()["fleet"]["jobs"]) for daemon in daemons.values()] == [False, True]
        assert [daemon.status()["fleet"]["drain"] for daemon in daemons.values()] == ["drained", "no"]
        assert rig["desk"].ncsctl("fleet", "drain", "cellar", "--nats", place.url).returncode == 0
        assert rig["desk"].ncsctl("fleet", "return", "attic", "--nats", place.url).returncode == 0
        Job(tmp_path, "second", rig["desk"].enter, *more).done()
        assert [sum(job["done"] for job in daemon.status()["fleet"]["jobs"]) for daemon in daemons.values()] == [60, 60]


@pytest.mark.slow
def test_a_drain_of_a_host_at_work_returns_once_its_chunks_are_done(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    small_graph.write(tmp_path / "small")
    pictures(tmp_path / "photos", 400)
    with fleet(tmp_path, ("attic",), 200.0) as (rig, place, daemons):
        attic = daemons["attic"]
        job = Job(tmp_path, "out", rig["desk"].enter, "--nats", place.url, "--mount", f"photos={tmp_path / 'photos'}")
        attic.until(lambda status: status["fleet"]["chunks"] == 2, "has two chunks")
        drained = rig["desk"].ncsctl("fleet", "drain", "attic", "--nats", place.url)
        assert (drained.returncode, drained.stderr.splitlines()[0]) == (0, "ncsctl: attic still has 2 chunks")
        status = attic.status()
        (row,) = status["fleet"]["jobs"]
        assert (status["fleet"]["drain"], status["fleet"]["chunks"], row["running"]) == ("drained", 0, 0)
        assert [each["state"] for each in status["jobs"]] == ["done"] * row["chunks"]
        assert 40 <= row["done"] < 400
        job.process.kill()
        job.process.wait()
