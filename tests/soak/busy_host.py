"""`python -m tests.soak.busy_host [--turns N]`: three emulated sticks over USB on a host whose processors are now taken, now free.

No stick is slow by itself until the last turn, when one is made slow five times over on a free host. Printed: what the daemon has
said of slow sticks in each turn. Exit code 1 when a stick was said to be slow that was not, or the slow one was not found. Whether
a host that is truly starved jitters, and how, is up to the machine: so this is looked at by people, and `tests/core` has what
must hold, on a virtual clock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.build import compile_library
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.testing.daemon import Daemon, Status, running

PORTS = ("1-1.1", "1-1.2", "1-1.3")
INFERENCES = 150
"""Of each stick in a turn: more than are needed to know the usual time."""
FACTOR = 5.0


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


def work(daemon: Daemon) -> None:
    """Until each stick has done a turn's inferences."""
    wanted = done(daemon.status()) + INFERENCES
    daemon.until(lambda status: len(status["sticks"]) == len(PORTS) and done(status) >= wanted, "has done a turn")


def said(daemon: Daemon) -> list[str]:
    return [f"{event['who']} {event['text']}" for event in daemon.events() if "for an inference" in event["text"]]


def soak(turns: int, folder: Path) -> int:
    with Emulator(folder / "bus", compile_library(folder)) as bus:
        for port in PORTS:
            bus.add(port, latency_s=0.04, heat=False)
        firmware = folder / "usb-ma2x8x.mvcmd"
        firmware.write_bytes(artificial_firmware(40_000))
        argv = ["--source", "synthetic", "--size", "320x240", "--fps", "120", "--no-web", "--backend", "xlink"]
        argv += ["--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run"), "--set", "xlink.executors=1"]
        argv += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}"]
        with running(load(argv, {}), bus.env) as daemon:
            work(daemon)
            for turn in range(turns):
                with no_processor_is_free():
                    work(daemon)
                work(daemon)
                print(
                    f"turn {turn + 1}, load {os.getloadavg()[0]:.1f}: {'; '.join(said(daemon)) or 'no stick is slow'}", flush=True
                )
            wrong = said(daemon)
            bus.fault(PORTS[1], "slow", factor=FACTOR)
            for _ in range(3):
                work(daemon)
            found = [text for text in said(daemon)[len(wrong) :] if text.startswith(f"ncs-{PORTS[1]} ")]
            print(f"{PORTS[1]} is {FACTOR:g} times as slow: {'; '.join(found) or 'not found'}")
            daemon.stop()
    return 1 if wrong or not found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Sticks on a host whose processors are all taken are not slow by themselves.")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ncs-soak-busy-") as folder:
        return soak(given.turns, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
