"""The supervisor itself stands still for a while (a laptop that slept, a machine that swapped)."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ncs_cluster.specs import ClusterSpec, GatewaySpec
from ncs_cluster.testing.daemon import running, settings, sticks, synthetic

LONGER_THAN_ANY_CHILD_MAY_BE_SILENT_S = 5.5


def test_nobody_is_called_late_because_the_supervisor_was(tmp_path: Path) -> None:
    """Sticks at work and at rest, camera, sink and page all live on."""
    asked = settings(
        tmp_path,
        sticks(4, latency_ms=40.0, heat=False),
        [synthetic()],
        ClusterSpec(2, "ring", switch_interval_s=2.0),
        results=tmp_path / "results.jsonl",
        gateway=GatewaySpec("127.0.0.1", 0),
    )
    with running(asked) as daemon:
        before = daemon.well()
        os.kill(daemon.pid, signal.SIGSTOP)
        time.sleep(LONGER_THAN_ANY_CHILD_MAY_BE_SILENT_S)
        os.kill(daemon.pid, signal.SIGCONT)
        after = daemon.well()
        assert [process["pid"] for process in after["processes"]] == [process["pid"] for process in before["processes"]]
        assert [after["counters"][key] for key in ("frames_lost", "frames_doubled", "out_of_order")] == [0, 0, 0]
