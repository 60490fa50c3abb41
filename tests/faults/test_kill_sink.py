"""kill -9 of the sink while results are written: each line once, in order, none torn."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ncs_cluster.testing.daemon import Status, read_results, running, settings, sticks, synthetic

FRAMES = 400


def test_a_sink_that_is_killed_again_and_again_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Three times during a job, and behind lines that were there before."""
    results = tmp_path / "results.jsonl"
    results.write_text('{"frame": -1}\n{"frame": -2, "torn')
    camera = synthetic(ordered=True, frames=FRAMES, paced=False)
    with running(settings(tmp_path, sticks(2, latency_ms=25.0), [camera], results=results)) as daemon:
        for killed in range(3):

            def writes(status: Status, least: int = 40 * killed + 20) -> bool:
                return bool(status["sink"]["state"] == "running" and status["sink"]["written"] > least)

            def has_lost_it(status: Status, before: int = killed) -> bool:
                return bool(status["processes"][-1]["restarts"] > before)

            status = daemon.until(writes, "writes")
            os.kill(next(process["pid"] for process in status["processes"] if process["name"] == "sink"), signal.SIGKILL)
            daemon.until(has_lost_it, "has heard that its sink is dead")
        assert daemon.story("sink") == ["ended (killed by SIGKILL), restarting"] * 2, "the third is told with those that may follow"
        assert daemon.wait(120.0) == 0
    assert [record["frame"] for record in read_results(results)] == [-1, *range(FRAMES)]
