"""A worker that SIGKILL does not reach, as one that waits in the kernel for its stick: the cgroup freezer holds it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncs_cluster.testing.daemon import Status, read_results, running, settings, sticks, synthetic
from tests.needs import missing

pytestmark = pytest.mark.slow

FREEZER = Path("/sys/fs/cgroup/freezer")


@pytest.fixture
def freezer() -> Iterator[Path]:
    group = FREEZER / f"ncs-cluster-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        missing("the freezer of cgroup v1, and the rights to use it, are needed")
    yield group
    (group / "freezer.state").write_text("THAWED")
    for pid in (group / "tasks").read_text().split():
        (FREEZER / "tasks").write_text(pid)
    group.rmdir()


def test_its_stick_is_fenced_its_frames_go_elsewhere_and_it_is_told_as_such(tmp_path: Path, freezer: Path) -> None:
    """And used again once the kernel lets it go."""
    results, frames = tmp_path / "results.jsonl", 1000
    camera = synthetic(ordered=True, frames=frames, paced=False)
    with running(settings(tmp_path, sticks(2, latency_ms=30.0), [camera], results=results)) as daemon:
        daemon.well()
        pid = daemon.child("worker sim-1")
        for thread in os.listdir(f"/proc/{pid}/task"):
            (freezer / "tasks").write_text(thread)
        (freezer / "freezer.state").write_text("FROZEN")

        def fenced(status: Status) -> bool:
            reason = f"sim-1 is backoff: process {pid} survives SIGKILL (blocked in the kernel)"
            return reason in status["daemon"]["reasons"]

        status = daemon.until(fenced, "tells of the process that survives SIGKILL")
        assert [each["state"] for each in status["processes"] if each["name"] == "worker sim-1"] == ["fenced"]
        assert os.path.exists(f"/proc/{pid}")
        before = status["cameras"][0]["results"]
        daemon.until(lambda status: status["cameras"][0]["results"] > before + 20, "works on with the other stick")
        (freezer / "freezer.state").write_text("THAWED")
        daemon.until(lambda status: status["sticks"][0]["state"] == "active", "uses the stick again")
        assert daemon.wait(120.0) == 0
    records = read_results(results)
    assert [record["frame"] for record in records] == list(range(frames))
    assert not any("error" in record for record in records)
