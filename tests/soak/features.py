"""`python -m tests.soak.features [--pictures N] [--seed N]`: features of many pictures, while everything goes wrong once.

Pictures are made; one worker, undisturbed, gives the reference. Then four workers do the same job on a small disk, while in random
order each process is killed (-9), the whole tree is killed and the command given again, a stick is unplugged, and the disk is
filled and emptied. Printed: what was done and when the job went on; whether the HDF5 files are equal, row by row. Exit code 1 when
they are not. Needs NCS_CLUSTER_TEST_DATA and a user who may mount in a namespace of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np

from ncs_cluster.client import Client
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.jobs.schema import LedgerError
from tests.tied import TIED

MODEL = "models/person-reidentification-retail-0288"
WIDTH, HEIGHT = 96, 192
INSIDE = "SOAK_INSIDE"
"""Set in the process that has a mount namespace of its own."""
GOES_ON_S = 60.0
DONE_S = 3600.0
MARGIN = 3
"""Times the room that the outputs need, which is also what a merge of parts needs."""


class Job:
    """The command, given again whenever it has ended."""

    def __init__(self, words: list[str], out: Path) -> None:
        self.words, self.out = words, out
        self.commands = 0
        self.runtime = out.parent.parent / "runtime"
        self.runtime.mkdir()
        self.process = self.begin()

    def begin(self) -> subprocess.Popen[bytes]:
        self.commands += 1
        return subprocess.Popen(
            self.words, stdin=subprocess.DEVNULL, env={**os.environ, "XDG_RUNTIME_DIR": os.fspath(self.runtime)}
        )

    @property
    def written(self) -> int:
        try:
            return Ledger(os.fspath(self.out / "ledger.sqlite")).written
        except (OSError, LedgerError):
            return 0

    def daemon(self) -> Client:
        """Of the supervisor that runs now. Raises NcsClusterError."""
        folders = sorted(self.runtime.iterdir(), key=lambda path: path.stat().st_mtime)
        return Client(folders[-1])

    def pids(self) -> dict[str, int]:
        with self.daemon() as client:
            return {process.name: process.pid for process in client.status().processes if process.pid is not None}

    def goes_on(self) -> float:
        """Wait until more is written, giving the command again where it has ended. Returns the seconds it took."""
        began_s, before = time.monotonic(), self.written
        while self.written <= before:
            if (code := self.process.poll()) is not None:
                if code == 0:
                    break
                self.process = self.begin()
            assert time.monotonic() - began_s < GOES_ON_S, f"it does not go on behind {before}"
            time.sleep(0.05)
        return time.monotonic() - began_s


def faults(job: Job, chance: random.Random) -> dict[str, Callable[[], None]]:
    """What is done, once each, by its name."""

    def kill(name: str) -> Callable[[], None]:
        return lambda: os.kill(job.pids()[name], signal.SIGKILL)

    def kill_tree() -> None:
        for pid in [job.process.pid, *job.pids().values()]:
            os.kill(pid, signal.SIGKILL)
        job.process.wait()

    def unplug() -> None:
        with job.daemon() as client:
            client.trouble("unplug")

    def fill() -> None:
        filler = job.out.parent / "filler"
        with open(filler, "wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                pass
        time.sleep(4.0)
        filler.unlink()

    named = ["supervisor", "camera job", "sink hdf5", *(f"worker sim-{number}" for number in range(1, 5))]
    made = {f"kill -9 {name}": kill(name) for name in named}
    made |= {"kill -9 of the tree": kill_tree, "a stick is unplugged": unplug, "the disk is full for 4 s": fill}
    return dict(chance.sample(list(made.items()), len(made)))


def make_pictures(folder: Path, count: int) -> None:
    folder.mkdir()
    noise = np.random.default_rng(3)
    for number in range(count):
        small = noise.integers(0, 255, (12, 6, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def command(pictures: Path, graph: Path, out: Path, *words: str) -> list[str]:
    begin = [*TIED, sys.executable, "-m", "ncs_cluster.cli.ncsctl", "run", os.fspath(pictures), "--graph", os.fspath(graph)]
    return [*begin, "--out", os.fspath(out), "--format", "hdf5", "--size", f"{WIDTH}x{HEIGHT}", *words]


def equal(one: Path, other: Path) -> bool:
    with h5py.File(one) as first, h5py.File(other) as second:
        same = {name: np.array_equal(first[name][...], second[name][...]) for name in ("feats", "names")}
        print(
            f"feats {first['feats'].shape} {first['feats'].dtype}: "
            + ", ".join(f"{k} {'equal' if v else 'DIFFER'}" for k, v in same.items())
        )
        return all(same.values())


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.soak.features")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if INSIDE not in os.environ:
        os.execvpe(
            "unshare", ["unshare", "-rm", sys.executable, "-m", "tests.soak.features", *sys.argv[1:]], {**os.environ, INSIDE: "1"}
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            return soak(Path(folder), given.pictures, random.Random(given.seed))
        finally:
            subprocess.run(["umount", "-l", os.path.join(folder, "disk")], check=False)


def soak(folder: Path, count: int, chance: random.Random) -> int:
    graph = folder / "reid"
    graph.mkdir()
    data = Path(os.environ.get("NCS_CLUSTER_TEST_DATA", "../shared")).absolute()
    for file in (data / MODEL).glob("*retail-0288.*"):
        shutil.copy(file, graph)
    (graph / "graph.toml").write_text(f'model = "{Path(MODEL).name}.xml"\ndecoder = "features"\n')
    make_pictures(folder / "pictures", count)
    print(f"{count} pictures of {WIDTH}x{HEIGHT}, load {os.getloadavg()[0]:.1f}")
    serial = ("--backend", "openvino", "--sticks", "1", "--readers", "1")
    assert subprocess.run(command(folder / "pictures", graph, folder / "serial", *serial), check=False).returncode == 0
    reference = folder / "serial" / "results.h5"
    disk = folder / "disk"
    disk.mkdir()
    room = MARGIN * reference.stat().st_size + (32 << 20)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "none", os.fspath(disk)], check=True)
    sticks = ("--backend", "simulated", "--sticks", "4", "--set", "simulated.latency_ms=5", "--set", "simulated.heat=false")
    job = Job(command(folder / "pictures", graph, disk / "out", *sticks), disk / "out")
    began_s = time.monotonic()
    todo = faults(job, chance)
    job.goes_on()
    for number, (name, make) in enumerate(todo.items(), 1):
        # spread over the job
        while job.written < count * number // (len(todo) + 2):
            time.sleep(0.05)
        try:
            make()
        except (NcsClusterError, KeyError, ProcessLookupError) as error:
            print(f"{name}: not possible ({error})")
            return 1
        print(
            f"{time.monotonic() - began_s:6.1f} s  frame {job.written:6d}  {name}: went on after {job.goes_on():.1f} s", flush=True
        )
    while (code := job.process.poll()) is None:
        assert time.monotonic() - began_s < DONE_S
        time.sleep(0.1)
    print(f"exit code {code} after {job.commands} commands, {time.monotonic() - began_s:.0f} s, load {os.getloadavg()[0]:.1f}")
    head = subprocess.run(["h5dump", "-H", os.fspath(disk / "out" / "results.h5")], capture_output=True, text=True, check=True)
    print("\n".join(head.stdout.splitlines()[:24]))
    return 0 if equal(reference, disk / "out" / "results.h5") and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
