"""`python -m tests.soak.daemon [--minutes M] [--seed N]`: a daemon under random faults, judged by an observer outside of it.

Each 1.5 s on average something happens to a child (kill, crash, stop), to a stick (hang, unplug, heat), or to the control socket
(hostile clients). The observer reads the results file and asks for the status 10 times a second. Printed at the end: for each
kind of fault how often it was made, after what time the status told it, and after what time all was well again; records lost,
doubled and out of order; how often the status was wrong for longer than 2 s; growth of the supervisor. Exit code 1 when something
is lost, doubled, out of order, told late or never well again, or has grown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from ncs_cluster.client import Client, Refused
from ncs_cluster.errors import NotRunning
from ncs_cluster.specs import ClusterSpec, GatewaySpec
from ncs_cluster.testing.daemon import Daemon, Status, running, settings, sticks, synthetic
from tests.hostile import SIXTEEN
from tests.tied import TIED

STICKS = 4
MEAN_S = 1.5
"""Mean time between two faults."""
TOLD_S = 2.0
"""The status tells of a fault within this time."""
WELL_S = 90.0
"""A fault that is not over by then counts as never over: more than the longest backoff."""
ATTACK_S = 3.0
POLL_S = 0.1
CHILDREN = [
    *(f"worker sim-{n}" for n in range(1, STICKS + 1)),
    "camera jobs",
    "camera live",
    "sink",
    "gateway",
    "fork-server default",
]
SIGNALS = {"kill": signal.SIGKILL, "crash": signal.SIGSEGV, "stop": signal.SIGSTOP}
MOST_GROWN_MB, MOST_GROWN_FDS = 20.0, 8
MOST_FDS = 1 << 20


class Fault(NamedTuple):
    """Something that was done."""

    kind: str
    """ "kill worker", "hang stick" ..."""
    who: str
    """The process or stick."""
    began_s: float
    count: int  # type: ignore[assignment]
    """Restarts and resets of it before."""


class Records:
    """The results file, read as it grows: every frame of the ordered camera once and in order."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.seen = self.doubled = self.out_of_order = self.given_up = self.live = 0
        self._frames: set[int] = set()
        self._newest = {"jobs": -1, "live": -1}

    def read(self) -> None:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            *lines, _partial = file.read().split(b"\n")
            self._offset += sum(len(line) + 1 for line in lines)
            for line in lines:
                self._record(json.loads(line))

    def _record(self, record: dict[str, Any]) -> None:
        camera, frame = record["camera"], record["frame"]
        self.out_of_order += frame < self._newest[camera]
        self._newest[camera] = max(frame, self._newest[camera])
        if camera == "live":
            self.live += 1
            return
        self.seen += 1
        self.doubled += frame in self._frames
        self.given_up += "error" in record
        self._frames.add(frame)

    @property
    def lost(self) -> int:
        """Frames before the newest that have no record."""
        return self._newest["jobs"] + 1 - len(self._frames)


class Observer:
    """Makes faults, and looks at what the status says of them."""

    def __init__(self, daemon: Daemon, seed: int) -> None:
        self._daemon, self._choice = daemon, random.Random(seed)
        self._open: list[Fault] = []
        self._told: set[Fault] = set()
        self._attack: tuple[subprocess.Popen[bytes], Fault] | None = None
        self.made: dict[str, int] = defaultdict(int)
        self.told_s: dict[str, list[float]] = defaultdict(list)
        self.well_s: dict[str, list[float]] = defaultdict(list)
        self.late: list[str] = []
        self.never: list[str] = []
        self.unanswered = 0
        self.slowest_s = 0.0
        """The longest wait for a status."""

    def status(self) -> Status | None:
        began_s = time.monotonic()
        try:
            with Client(self._daemon.runtime_dir, timeout_s=5.0) as client:
                return client.status_document()
        except NotRunning:
            self.unanswered += 1
            return None
        finally:
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    def fault(self, status: Status) -> None:
        """Something happens to somebody to whom nothing happens at present."""
        now_s, choice = time.monotonic(), self._choice
        busy = {fault.who for fault in self._open}
        what = choice.random()
        if what < 0.05 and self._attack is None:
            command = [*TIED, sys.executable, "-m", "tests.hostile", os.fspath(self._daemon.runtime_dir), *SIXTEEN]
            self._attack = subprocess.Popen(command), Fault("attack by 16 clients", "clients", now_s, 0)
            self.made["attack by 16 clients"] += 1
        elif what < 0.25:
            kind, stick = choice.choice(("hang", "hang", "unplug", "heat")), f"sim-{choice.randint(1, STICKS)}"
            if f"worker {stick}" in busy:
                return
            with contextlib.suppress(NotRunning, Refused), Client(self._daemon.runtime_dir) as client:
                client.trouble(kind, stick)
                self._begin(f"{kind} stick", f"worker {stick}", now_s, status, follow=kind != "heat")
        else:
            idle = [each for each in CHILDREN if each not in busy]
            if not idle:
                return
            name = choice.choice(idle)
            pid = next((each["pid"] for each in status["processes"] if each["name"] == name and each["state"] == "running"), None)
            # a fork server that stands still is seen when a child is to be started, not before
            how = choice.choice(("kill", "crash") if name.startswith("fork-server") else tuple(SIGNALS))
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, SIGNALS[how])
                    self._begin(f"{how} {name.split()[0]}", name, now_s, status)

    def _begin(self, kind: str, who: str, now_s: float, status: Status, *, follow: bool = True) -> None:
        self.made[kind] += 1
        if follow:
            self._open.append(Fault(kind, who, now_s, count(status, who)))

    def look(self, status: Status, now_s: float) -> None:
        """What the status, asked for at `now_s`, says of each fault that is not over."""
        if self._attack is not None and now_s > self._attack[1].began_s + ATTACK_S:
            self._attack[0].kill()
            self._attack[0].wait()
            self._attack = None
        for fault in list(self._open):
            since_s = now_s - fault.began_s
            again, well = count(status, fault.who) > fault.count, works(status, fault.who)
            if fault not in self._told and (again or not well):
                self._told.add(fault)
                self.told_s[fault.kind].append(since_s)
                if since_s > TOLD_S + POLL_S:
                    self.late.append(f"{fault.kind} {fault.who}: {since_s:.1f} s")
            if (fault in self._told and well and (again or since_s > 1.0)) or since_s > WELL_S:
                self._open.remove(fault)
                if since_s > WELL_S:
                    self.never.append(f"{fault.kind} {fault.who}")
                else:
                    self.well_s[fault.kind].append(since_s)

    @property
    def quiet(self) -> bool:
        return not self._open and self._attack is None


def count(status: Status, who: str) -> int:
    """Restarts of a process, and resets of its stick."""
    restarts = sum(each["restarts"] for each in status["processes"] if each["name"] == who)
    return int(restarts + sum(stick["resets"] for stick in status["sticks"] if f"worker {stick['id']}" == who))


def works(status: Status, who: str) -> bool:
    """What the status says of a process, and of what it drives."""
    word = {"sink": "results", "gateway": "the page"}.get(who, who.split()[-1])
    states = [each["state"] for each in status["processes"] if each["name"] == who]
    gone = [stick for stick in status["sticks"] if f"worker {stick['id']}" == who and stick["state"] == "absent"]
    told = any(reason.startswith((word, f"camera {word}")) for reason in status["daemon"]["reasons"])
    return states == ["running"] and not gone and not told


def soak(minutes: float, seed: int, folder: Path) -> int:
    """Returns the exit code."""
    results = folder / "results.jsonl"
    cameras = [synthetic("jobs", ordered=True, frames=100_000_000, paced=True, fps=60.0), synthetic("live", fps=30.0)]
    pool = sticks(STICKS, latency_ms=25.0)
    asked = settings(folder, pool, cameras, ClusterSpec(2, "ring", 5.0), results=results, gateway=GatewaySpec("127.0.0.1", 0))
    records, began_s = Records(results), time.monotonic()
    early = late = (0.0, MOST_FDS)
    with running(asked) as daemon:
        daemon.well()
        observer, supervisor = Observer(daemon, seed), psutil.Process(daemon.pid)
        end_s = time.monotonic() + minutes * 60
        next_s = time.monotonic()
        while (now_s := time.monotonic()) < end_s or (not observer.quiet and now_s < end_s + WELL_S):
            status = observer.status()
            if status is not None:
                observer.look(status, now_s)
                if next_s <= now_s < end_s:
                    next_s = now_s + observer._choice.expovariate(1 / MEAN_S)
                    observer.fault(status)
            records.read()
            # descriptors come and go with children and clients: a leak raises the least of them
            done = 1 - (end_s - now_s) / (minutes * 60)
            if 0.2 <= done < 0.4:
                early = extremes(early, supervisor)
            elif done >= 0.8:
                late = extremes(late, supervisor)
            time.sleep(POLL_S)
        code = daemon.stop()
        records.read()
    return judge(observer, records, early, late, code, time.monotonic() - began_s)


def extremes(seen: tuple[float, int], process: psutil.Process) -> tuple[float, int]:
    """The most memory in MB and the fewest descriptors: those seen, and those of now."""
    return max(seen[0], process.memory_info().rss / 1e6), min(seen[1], process.num_fds())


def percentile(times_s: list[float], share: float) -> str:
    ordered = sorted(times_s)
    return f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.2f}" if ordered else "-"


def judge(observer: Observer, records: Records, early: tuple[float, int], late: tuple[float, int], code: int, took_s: float) -> int:
    """Print what was seen; 0 when all is well."""
    print(f"{sum(observer.made.values())} faults in {took_s:.0f} s, load {os.getloadavg()[0]:.1f}\n")
    print("| fault | made | told after p50 / p99, s | well again after p50 / p99, s |\n|---|---|---|---|")
    for kind, made in sorted(observer.made.items()):
        told, well = observer.told_s[kind], observer.well_s[kind]
        spans = " | ".join(f"{percentile(each, 0.5)} / {percentile(each, 0.99)}" for each in (told, well))
        print(f"| {kind} | {made} | {spans} |")
    grown_mb, grown_fds = late[0] - early[0], late[1] - early[1]
    rows = {
        "records lost": records.lost,
        "records doubled": records.doubled,
        "records out of order": records.out_of_order,
        "status wrong for longer than 2 s": len(observer.late),
        "never well again": len(observer.never),
        "status not answered within 5 s": observer.unanswered,
        "exit code": code,
    }
    print(f"\n{records.seen} records of every frame, {records.given_up} of them given up; {records.live} live ones")
    print("; ".join(f"{what} {value}" for what, value in rows.items()))
    print(f"the slowest answer to a question for the status: {observer.slowest_s:.2f} s")
    print(f"supervisor: memory {early[0]:.1f} -> {late[0]:.1f} MB, fewest descriptors {early[1]} -> {late[1]}")
    for line in [*observer.late[:20], *observer.never[:20]]:
        print(f"  {line}")
    bad = sum(rows.values()) + (grown_mb > MOST_GROWN_MB) + (grown_fds > MOST_GROWN_FDS)
    print("well" if not bad else "NOT WELL")
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.soak.daemon")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ncs-soak-") as name:
        sys.exit(soak(given.minutes, given.seed, Path(name)))
