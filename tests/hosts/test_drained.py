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
        assert [bool(daemon.status()["jobs"]) for daemon in daemons.values()] == [False, True]
        assert rig["desk"].ncsctl("fleet", "drain", "cellar", "--nats", place.url).returncode == 0
        assert rig["desk"].ncsctl("fleet", "return", "attic", "--nats", place.url).returncode == 0
        Job(tmp_path, "second", rig["desk"].enter, *more).done()
        assert [sum(job["done"] for job in daemon.status()["jobs"]) for daemon in daemons.values()] == [60, 60]
