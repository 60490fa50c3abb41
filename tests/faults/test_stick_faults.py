"""Whatever a stick does during a job, each frame of the job ends exactly once, in order, and none is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.specs import RuntimeSpec
from ncs_cluster.testing.daemon import read_results, running, settings, sticks, synthetic
from ncs_cluster.testing.interpreter import interpreter

FRAMES = 150
POISON = 110
"""So late that all sticks work by then."""
JOB_S = 120.0


def run_job(tmp_path: Path, pool: list[Any], frames: int = FRAMES, **more: Any) -> tuple[list[dict[str, Any]], str]:
    """Every record of a job of so many frames, and the daemon's log."""
    results = tmp_path / "results.jsonl"
    with running(
        settings(tmp_path, pool, [synthetic(ordered=True, frames=frames, paced=False)], results=results, **more)
    ) as daemon:
        assert daemon.wait(JOB_S) == 0
        return read_results(results), daemon.log.read_text()


@pytest.mark.parametrize(
    ("fault", "frames"), [("crash@1", 800), ("segfault@1", 800), ("hang@2", 900), ("slow@0.2:1", 500), ("unplug@1", 800)]
)
def test_a_job_survives_a_stick_that_fails(tmp_path: Path, fault: str, frames: int) -> None:
    """One of three fails, again after each start. The job lasts seconds, so that the third is ready before its end."""
    pool = sticks(2, latency_ms=15.0) + sticks(1, first=3, latency_ms=15.0, faults=[fault])
    records, log = run_job(tmp_path, pool, frames)
    assert [record["frame"] for record in records] == list(range(frames))
    assert not any("error" in record for record in records)
    assert {record["stick"] for record in records} == {"sim-1", "sim-2", "sim-3"}
    assert ("worker sim-3: " in log) == (not fault.startswith("slow"))
    assert "worker sim-1: " not in log
    assert "worker sim-2: " not in log


@pytest.mark.parametrize("fault", ["lie@0", "nan@0", "nosensor@0"])
def test_a_stick_whose_sensor_lies_gets_no_work(tmp_path: Path, fault: str) -> None:
    """A reading that cannot be counts as hot; the others do its share."""
    pool = sticks(1, latency_ms=10.0) + sticks(1, first=2, latency_ms=10.0, faults=[fault])
    with running(settings(tmp_path, pool, [synthetic()])) as daemon:
        status = daemon.until(
            lambda status: status["sticks"][1]["state"] == "resting" and status["cameras"][0]["results"] > 20, "rests the liar"
        )
        assert status["sticks"][0]["state"] == "active"
        assert status["sticks"][1]["temperature_c"] is None
        assert status["counters"]["frames_lost"] == 0


def test_a_stick_whose_sensor_is_frozen_works_on(tmp_path: Path) -> None:
    """A value that never changes is a value: it cannot be told from a stick at rest in a cool room."""
    with running(settings(tmp_path, sticks(2, latency_ms=5.0, faults=["freeze@0"]), [synthetic()])) as daemon:
        daemon.until(
            lambda status: all(stick["state"] == "active" and stick["inferences"] > 30 for stick in status["sticks"]), "uses both"
        )


def poisoned(tmp_path: Path, frames: str) -> RuntimeSpec:
    """A worker that any frame dies for whose number is in `frames`."""
    return interpreter(
        tmp_path / "poisoned",
        f"""
        from ncs_cluster.processes import worker
        accept = worker.Worker._accept
        def poisoned(self, infer):
            if infer.frame.frame in {frames}:
                os._exit(9)
            accept(self, infer)
        worker.Worker._accept = poisoned
        worker.main()
        """,
    )


def test_a_frame_that_kills_every_stick_is_given_up_and_the_job_goes_on(tmp_path: Path) -> None:
    """After three sticks; its record says why, the others are all there, and no stick is put away for it."""
    runtimes = {"poisoned": poisoned(tmp_path, f"[{POISON}]")}
    records, log = run_job(tmp_path, sticks(4, "poisoned", latency_ms=30.0), runtimes=runtimes)
    assert [record["frame"] for record in records] == list(range(FRAMES))
    assert [record["frame"] for record in records if "error" in record] == [POISON]
    assert records[POISON]["error"].startswith("given up: 3 stick failures with this frame in flight (sim-")
    assert len(set(records[POISON]["error"].rpartition("(")[2].rstrip(")").split(", "))) == 3
    assert records[POISON]["latency_ms"] is None
    assert log.count("exit code 9") == 3


def test_a_single_stick_that_dies_of_frames_gives_them_up_too(tmp_path: Path) -> None:
    """The job does not wait for other sticks, which will never come."""
    runtimes = {"poisoned": poisoned(tmp_path, "[3, 4]")}
    records, _log = run_job(tmp_path, sticks(1, "poisoned", latency_ms=5.0), frames=10, runtimes=runtimes)
    assert [record["frame"] for record in records] == list(range(10))
    assert [record["frame"] for record in records if "error" in record] == [3, 4]
