"""`python -m tests.soak.host_jobs [--pictures N | --film FRAMES] [--latency-ms MS] [--only PHASE,...]`: a job over three hosts of
two simulated sticks, while everything goes wrong once.

The hosts, the NATS server and the command that collects have a network namespace each. Four phases:

    serial   one machine, no NATS: the reference
    one      one host alone, for its rate
    three    three hosts, for theirs
    faults   three hosts; at a third of the job all processes of one are killed (-9) and stay away, then the link of another is cut
             for 30 s and the server is killed and started again

With --film, the job is one film of so many frames, whose parts the hosts do.

With --carry no host sees the pictures: they come along. Then the server also loses its disk, and the command is killed (-9) and
given again.

Printed: pictures a second, the speed-up, when each fault was done, and whether the results are equal to the serial ones, row by
row. Exit code 1 when they are not. Rates are for people: hosts share the cores of this machine, so the speed-up means something
where the sticks' latency leaves cores idle.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from ncs_cluster.config import load
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.jobs.schema import LedgerError
from ncs_cluster.specs import Settings
from ncs_cluster.testing.daemon import Daemon, running
from tests import small_graph
from tests.hosts.rig import Rig, hosts
from tests.nats_server import NatsServer, nats_server

NAMES = ("attic", "cellar", "shed")
PHASES = ("serial", "one", "three", "faults")
CUT_S, DONE_S = 30.0, 3600.0
VARIES = {"captured_at", "latency_ms", "stick"}


def pictures(folder: Path, count: int) -> None:
    """Small ones, each of another colour, 1,000 to a folder."""
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:03d}").mkdir(parents=True)
        colour = [number % 256, number // 256 % 256, number * 7 % 256]
        cv2.imwrite(str(folder / f"{number // 1000:03d}" / f"{number:06d}.png"), np.full((12, 16, 3), colour, np.uint8))


def film(path: Path, count: int) -> None:
    """MPEG-4 with a keyframe in 12 frames, 640x480, in which something moves."""
    path.parent.mkdir(parents=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (640, 480))
    ground = np.random.default_rng(1).integers(0, 256, (480, 1280, 3), np.uint8)
    ground = cv2.GaussianBlur(ground, (0, 0), 8)
    for number in range(count):
        frame = np.ascontiguousarray(ground[:, number % 640 : number % 640 + 640])
        cv2.circle(frame, (number * 7 % 640, number * 5 % 480), 40, (number % 256, 0, 255), -1)
        writer.write(frame)
    writer.release()


def settings(folder: Path, place: NatsServer, node: str, latency_ms: float, *, carry: bool) -> Settings:
    words = ["--backend", "simulated", "--sticks", "2", "--set", f"simulated.latency_ms={latency_ms}", "--no-web"]
    words += ["--set", "simulated.heat=false", "--graph", str(folder / "small"), "--nats", place.url]
    words += ["--set", f"nats.node={node}", "--set", "nats.jobs=true"]
    words += [] if carry else ["--set", f"nats.mounts.photos={folder / 'photos'}"]
    return load([*words, "--runtime-dir", str(folder / node / "run"), "--state-dir", str(folder / node / "state")], {})


@contextmanager
def fleet(
    folder: Path, names: tuple[str, ...], latency_ms: float, *, carry: bool = False
) -> Iterator[tuple[Rig, NatsServer, dict[str, Daemon]]]:
    """Daemons whose sticks are ready, with state directories of their own."""
    folder.mkdir(exist_ok=True)
    with hosts(*names, "server", "desk") as rig, nats_server(folder, host=rig["server"]) as place, ExitStack() as stack:
        daemons = {
            name: stack.enter_context(running(settings(folder, place, name, latency_ms, carry=carry), before=rig[name].enter))
            for name in names
        }
        for daemon in daemons.values():
            daemon.well()
        yield rig, place, daemons


class Job:
    """`ncsctl run` of all pictures, at the desk where there are hosts."""

    def __init__(self, folder: Path, name: str, before: tuple[str, ...], *more: str) -> None:
        self.out = folder / name
        self.command = [*before, sys.executable, "-m", "ncs_cluster.cli.ncsctl", "run", str(folder / "photos")]
        self.command += ["--graph", str(folder / "small"), "--out", str(self.out), "--format", "jsonl", "--quiet", *more]
        self.began_s = time.monotonic()
        self.begin()

    def begin(self) -> None:
        """Also again, after a kill."""
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)

    @property
    def written(self) -> int:
        try:
            return Ledger(os.fspath(self.out / "ledger.sqlite")).written
        except (OSError, LedgerError):
            return 0

    def until(self, count: int) -> None:
        while self.written < count:
            assert self.process.poll() is None, f"it has ended with {self.process.returncode} at {self.written}"
            time.sleep(0.2)

    def done(self) -> float:
        """Seconds from its begin."""
        assert self.process.wait(DONE_S) == 0, f"the job has ended with {self.process.returncode}"
        return time.monotonic() - self.began_s


def rows(out: Path) -> list[dict[str, Any]]:
    """The records without what differs from run to run."""
    lines = (out / "results.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in VARIES} for line in lines]


def over(folder: Path, name: str, names: tuple[str, ...], given: argparse.Namespace, faults: bool = False) -> float:
    """A job over hosts; returns its seconds."""
    link = folder / name
    link.mkdir()
    for each in ("small", "photos"):
        (link / each).symlink_to(folder / each)
    with fleet(link, names, given.latency_ms, carry=given.carry) as (rig, place, daemons):
        files = ("--carry",) if given.carry else ("--mount", f"photos={link / 'photos'}")
        more = ("--nats", place.url, *files, "--host-timeout", str(given.host_timeout))
        job = Job(link, "out", rig["desk"].enter, *more)
        if faults:
            harm(job, rig, place, daemons, given)
        took_s = job.done()
        for node, daemon in daemons.items():
            if daemon.process.poll() is None:
                for row in daemon.status()["fleet"]["jobs"]:
                    print(f"  {node}: {row['done']} pictures in {row['chunks']} chunks", flush=True)
        return took_s


def harm(job: Job, rig: Rig, place: NatsServer, daemons: dict[str, Daemon], given: argparse.Namespace) -> None:
    def told(what: str) -> None:
        print(f"  {time.monotonic() - job.began_s:6.1f} s, {job.written} written: {what}", flush=True)

    def kill() -> None:
        for process in daemons["attic"].tree():
            with ignored():
                process.kill()

    def cut() -> None:
        rig["cellar"].cut()
        time.sleep(given.cut_s)
        rig["cellar"].join()

    def restart() -> None:
        place.kill()
        place.start()

    def lose() -> None:
        place.kill()
        (job.out.parent / "jetstream").rename(job.out.parent / "lost")
        place.start()

    def command() -> None:
        for process in [psutil.Process(job.process.pid), *psutil.Process(job.process.pid).children(recursive=True)]:
            with ignored():
                process.kill()
        job.process.wait(60)
        job.begin()

    steps: list[tuple[int, str, Callable[[], None]]] = [
        (given.pictures // 3, "all processes of attic are killed", kill),
        (given.pictures // 3, f"cellar had no link for {given.cut_s:g} s", cut),
        (given.pictures // 2, "the server was killed and started again", restart),
    ]
    if given.carry:
        steps += [
            (given.pictures * 6 // 10, "the server has lost its disk", lose),
            (given.pictures * 7 // 10, "the command was killed and given again", command),
        ]
    for at, what, do in steps:
        job.until(at)
        do()
        told(what)


@contextmanager
def ignored() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        pass


def soak(given: argparse.Namespace, folder: Path) -> int:
    """Returns the exit code."""
    (folder / "small").mkdir()
    small_graph.write(folder / "small")
    if given.film:
        film(folder / "photos" / "film.mp4", given.film)
        given.pictures = given.film
    else:
        pictures(folder / "photos", given.pictures)
    wrong, took_s = False, dict[str, float]()
    for phase in given.only:
        if phase == "serial":
            words = ("--backend", "simulated", "--sticks", "2", "--set", "simulated.latency_ms=1", "--set", "simulated.heat=false")
            took_s[phase] = Job(folder, "serial", (), *words).done()
        else:
            took_s[phase] = over(folder, phase, NAMES[:1] if phase == "one" else NAMES, given, faults=phase == "faults")
        print(f"{phase}: {took_s[phase]:.1f} s, {given.pictures / took_s[phase]:.1f}/s, load {os.getloadavg()[0]:.1f}", flush=True)
        if phase != "serial" and (folder / "serial").exists():
            expected, found = rows(folder / "serial"), rows(folder / phase / "out")
            same = found == expected and len(found) == given.pictures
            wrong = wrong or not same
            print(f"  {len(found)} rows: {'equal to the serial ones' if same else 'they DIFFER from the serial ones'}", flush=True)
    if {"one", "three"} <= set(took_s):
        print(f"three hosts are {took_s['one'] / took_s['three']:.2f} times as fast as one")
    return int(wrong)


def parsed(words: list[str]) -> argparse.Namespace:
    """A command line, without the program's name."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.host_jobs", description=__doc__)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--film", type=int, default=0, metavar="FRAMES")
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--host-timeout", type=float, default=30.0, help="seconds, as of ncsctl run")
    parser.add_argument("--carry", action="store_true", help="as of ncsctl run")
    parser.add_argument("--cut-s", type=float, default=CUT_S)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PHASES), help=f"of {', '.join(PHASES)}")
    return parser.parse_args(words)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        return soak(parsed(sys.argv[1:]), Path(folder))


if __name__ == "__main__":
    sys.exit(main())
