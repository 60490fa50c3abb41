"""The daemon on the bench: started whole, watched from outside by its results file, its status and /proc."""

from __future__ import annotations

import math
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

from ncs_cluster.specs import CameraSpec, ClusterSpec, StickSpec
from ncs_cluster.testing.daemon import Daemon, read_results, running, settings, synthetic
from ncs_cluster.testing.interpreter import interpreter

T = TypeVar("T")

RECORDED = """
from ncs_cluster.processes import camera
from ncs_cluster.sources import synthetic

class Recorded(synthetic.Synthetic):
    def open(self):
        info = super().open()
        self._scene = Projector(self._scene)
        return info if DEPTH else info._replace(depth_scale_m=None)

class Projector:
    def __init__(self, scene):
        self.scene, self.shown = scene, []
    def draw(self, frame, at_s, colour, depth):
        if len(self.shown) < 2:
            truth = self.scene.draw(frame, at_s, colour, depth)
            self.shown.append((colour.copy(), depth.copy(), truth))
            return truth
        shown_colour, shown_depth, truth = self.shown[frame % 2]
        colour[:] = shown_colour
        if not DEPTH:
            return []
        depth[:] = shown_depth
        return truth

synthetic.Synthetic = Recorded
camera.main()
"""
"""A camera that shows two pictures of the scene in turn: no more work than a driver's copy. DEPTH: whether it has a depth plane."""


def camera(
    name: str = "cam0",
    *,
    fps: float = 30.0,
    recorded: bool = True,
    depth: bool = True,
    size: tuple[int, int] = (640, 480),
    **more: Any,
) -> CameraSpec:
    """640x480. `recorded`: without the CPU that drawing the synthetic scene costs; only such a camera can be without depth."""
    spec = synthetic(name, width=size[0], height=size[1], fps=fps, **more)
    runtime = "default" if not recorded else "recorded" if depth else "colour"
    return CameraSpec(spec.name, spec.source, spec.options, spec.shown, ordered=spec.ordered, runtime=runtime)


class Result(NamedTuple):
    """One line of the results file."""

    frame: int
    captured_s: float
    latency_s: float
    stick: str

    @property
    def at_s(self) -> float:
        """Unix time of the result's arrival."""
        return self.captured_s + self.latency_s


class Bench(NamedTuple):
    daemon: Daemon
    folder: Path


@contextmanager
def bench(
    pool: list[StickSpec], cameras: list[CameraSpec], clusters: ClusterSpec | None = None, *, write: bool = False, **more: Any
) -> Iterator[Bench]:
    """A daemon that is well. `write`: its results go to a file."""
    with tempfile.TemporaryDirectory(prefix="ncs-bench-") as name:
        folder = Path(name)
        runtimes = {
            name: interpreter(folder / name, f"DEPTH = {name == 'recorded'}\n{RECORDED}") for name in ("recorded", "colour")
        }
        if write:
            more["results"] = folder / "results.jsonl"
        with running(settings(folder, pool, cameras, clusters, runtimes=runtimes, **more)) as daemon:
            daemon.well()
            yield Bench(daemon, folder)


def results_of(benched: Bench, seconds: float, settle_s: float = 1.0) -> list[Result]:
    """Let it run and stop it: the results of so many seconds, in the order they were written."""
    time.sleep(settle_s)
    begin_s = time.time()
    time.sleep(seconds)
    end_s = time.time()
    benched.daemon.stop()
    return [result for result in all_results(benched) if begin_s <= result.at_s <= end_s]


def all_results(benched: Bench) -> list[Result]:
    """Every result written so far."""
    records = read_results(benched.folder / "results.jsonl")
    return [Result(r["frame"], r["captured_at"], r["latency_ms"] / 1000, r["stick"]) for r in records if "error" not in r]


def rate(times_s: Sequence[float]) -> float:
    """Per second, from first to last."""
    return (len(times_s) - 1) / (times_s[-1] - times_s[0]) if len(times_s) > 2 else math.nan


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


def cpu_s(processes: list[psutil.Process]) -> dict[int, float]:
    """Seconds on a CPU by process id, to the nanosecond (schedstat), all threads that live now."""
    used: dict[int, float] = {}
    for process in processes:
        used[process.pid] = 0.0
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            used[process.pid] += int((thread / "schedstat").read_text().split()[0]) / 1e9
    return used


def shares(daemon: Daemon, seconds: float) -> dict[str, float]:
    """CPU of each process, by its name in the status, as a share of one core over so many seconds."""
    names = {process["pid"]: process["name"] for process in daemon.status()["processes"]}
    tree = daemon.tree()
    before, began_s = cpu_s(tree), time.monotonic()
    time.sleep(seconds)
    after, wall_s = cpu_s(tree), time.monotonic() - began_s
    return {names.get(pid, str(pid)): (after[pid] - before[pid]) / wall_s for pid in before}


def cpu_per_unit(daemon: Daemon, work: Callable[[], T], units: Callable[[T], int]) -> tuple[T, dict[str, float]]:
    """What `work` returns, and CPU seconds of the daemon's processes meanwhile by kind, divided by the `units` of it."""
    names = {process["pid"]: process["name"].split()[0] for process in daemon.status()["processes"]}
    tree = [process for process in daemon.tree() if process.pid in names]
    before = cpu_s(tree)
    done = work()
    used: dict[str, float] = {}
    for pid, after_s in cpu_s(tree).items():
        used[names[pid]] = used.get(names[pid], 0.0) + (after_s - before[pid]) / units(done)
    return done, used


def instructions(daemon: Daemon, seconds: float) -> float | None:
    """Instructions of the whole tree per second, which no other process's load changes; None where perf cannot count them."""
    pids = ",".join(str(process.pid) for process in daemon.tree())
    command = ["perf", "stat", "-x", ",", "-e", "instructions", "-p", pids, "--", "sleep", str(seconds)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        return float(said.split(",")[0]) / seconds
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def pss_mib(processes: list[psutil.Process]) -> float:
    """Proportional set size of all of them together."""
    kilobytes = 0
    for process in processes:
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        kilobytes += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kilobytes / 1024
