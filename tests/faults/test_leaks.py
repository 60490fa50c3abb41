"""What the supervisor holds on to does not grow with the deaths it sees."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from ncs_cluster.testing.daemon import Status, running, settings, sticks, synthetic

pytestmark = pytest.mark.slow

STICKS, ROUNDS = 16, 3
"""Each stick may die three times before it has to wait."""
GROWTH_BYTES = 8e6
THE_TESTS_OWN = 2
"""Connections that ask for the status."""


def test_descriptors_and_memory_stay_flat_over_many_deaths(tmp_path: Path) -> None:
    """Workers are killed by the dozen; afterwards as many descriptors are open as before."""
    with running(settings(tmp_path, sticks(STICKS, latency_ms=100.0), [synthetic()])) as daemon:
        daemon.well()
        supervisor = psutil.Process(daemon.pid)
        descriptors, memory = [], []
        for deaths in range(1, ROUNDS + 1):
            for stick in daemon.well()["sticks"]:
                os.kill(stick["pid"], signal.SIGKILL)

            def all_are_back(status: Status, deaths: int = deaths) -> bool:
                return all(stick["restarts"] == deaths and stick["temperature_c"] is not None for stick in status["sticks"])

            daemon.until(all_are_back, "has all its sticks back")
            status = daemon.well()
            descriptors.append(supervisor.num_fds())
            memory.append(supervisor.memory_info().rss)
        assert max(descriptors) - descriptors[0] <= THE_TESTS_OWN
        assert memory[-1] - memory[0] < GROWTH_BYTES
        assert not [child for child in supervisor.children() if child.status() == psutil.STATUS_ZOMBIE]
        assert status["counters"]["frames_lost"] == 0
