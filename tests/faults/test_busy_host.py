"""Emulated sticks over USB on a host whose processors are all taken: that is no throttling, and a stick that is slow is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.testing.daemon import Daemon, Status, running

pytestmark = pytest.mark.slow

PORTS = ["1-1.1", "1-1.2", "1-1.3"]
LEARNED = 150
"""Inferences of each stick: more than are needed to know the usual time."""


@contextmanager
def no_processor_is_free() -> Iterator[None]:
    """Two programs for each processor that compute without end."""
    spin = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))"
    hogs = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def done(status: Status) -> int:
    """Inferences of the stick that has done least."""
    return min((each["inferences"] for each in status["sticks"]), default=0)


def after(daemon: Daemon, inferences: int) -> Status:
    """The status when each stick has done so many more."""
    wanted = done(daemon.status()) + inferences
    return daemon.until(
        lambda status: len(status["sticks"]) == len(PORTS) and done(status) >= wanted, f"has done {inferences} more"
    )


def times_told(daemon: Daemon) -> list[tuple[str, str]]:
    return [(event["who"], event["text"]) for event in daemon.events() if "for an inference" in event["text"]]


def test_a_busy_host_is_no_slow_stick_and_a_slow_stick_is_one(start_emulators: Callable[..., Emulator], tmp_path: Path) -> None:
    bus = start_emulators()
    for port in PORTS:
        bus.add(port, latency_s=0.04, heat=False)
    firmware = tmp_path / "usb-ma2x8x.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    argv = ["--source", "synthetic", "--size", "320x240", "--fps", "120", "--no-web", "--backend", "xlink"]
    argv += ["--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path / "run"), "--set", "xlink.executors=1"]
    argv += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}"]
    with running(load(argv, {}), bus.env) as daemon:
        after(daemon, LEARNED)
        with no_processor_is_free():
            after(daemon, LEARNED)
        assert times_told(daemon) == []
        bus.fault(PORTS[1], "slow", factor=5.0)
        status = daemon.until(lambda _: times_told(daemon), "tells that a stick is slow")
        ((who, text),) = times_told(daemon)
        assert (who, text.partition("; ")[2]) == (f"ncs-{PORTS[1]}", "at 25.0 °C, so not by heat")
        slowdowns = {each["port"]: each["slowdown"] for each in status["sticks"]}
        assert slowdowns[PORTS[1]] > 2.0
        assert max(slowdowns[port] for port in (PORTS[0], PORTS[2])) < slowdowns[PORTS[1]] / 1.5
