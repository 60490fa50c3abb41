"""What it costs: CPU of every process, memory of all of them together."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ncs_cluster.specs import ClusterSpec
from ncs_cluster.testing.daemon import running, settings, sticks, synthetic
from tests.benchmarks.house import bench, camera, instructions, percentile, pss_mib, shares
from tests.benchmarks.table import Line

READY = ("active", "standby", "resting")


def cpu(quick: bool) -> Iterator[Line]:
    """The whole tree at 30 frames a second, with a camera that only copies and with one that draws its scene."""
    for recorded in (True, False):
        with bench(sticks(8, latency_ms=100.0, heat=False), [camera(recorded=recorded)]) as house:
            used = shares(house.daemon, 5.0 if quick else 20.0)
            counted = instructions(house.daemon, 5.0)
            house.daemon.stop()
        tree = sum(used.values())
        workers = sum(share for name, share in used.items() if name.startswith("worker"))
        parts = f"supervisor {used['supervisor']:.1%}, camera {used['camera cam0']:.1%}, workers {workers:.1%}"
        if counted is not None:
            parts += f"; {counted / 30e6:.1f} million instructions a frame"
        what = "CPU, 8 sticks, 640x480, 30 fps, whole tree" + ("" if recorded else ", and drawing the synthetic scene")
        yield Line(
            what, "101 % of a core", "<= 12 %" if recorded else "", f"{tree:.1%} ({parts})", tree <= 0.12 if recorded else None
        )


def resting(quick: bool) -> Iterator[Line]:
    """A stick whose cluster rests for ever."""
    with bench(sticks(2, latency_ms=100.0, heat=False), [camera()], ClusterSpec(1, "ring", switch_interval_s=0.0)) as house:
        idle = next(stick["id"] for stick in house.daemon.status()["sticks"] if stick["state"] == "standby")
        used = shares(house.daemon, 5.0 if quick else 30.0)[f"worker {idle}"]
        house.daemon.stop()
    yield Line("CPU of a resting stick", "spins a core", "<= 0.3 %", f"{used:.2%}", used <= 0.003)


def memory(quick: bool) -> Iterator[Line]:
    """After some time at work, so that every page that is needed is there."""
    for preprocess, most in ((False, 120), (True, 180)):
        with bench(sticks(8, latency_ms=100.0, heat=False, preprocess=preprocess), [camera(recorded=False)]) as house:
            time.sleep(3.0 if quick else 10.0)
            tree = house.daemon.tree()
            total = pss_mib(tree)
            each = {process["name"]: process["pid"] for process in house.daemon.status()["processes"]}
            parts = {name: pss_mib([process for process in tree if process.pid == pid]) for name, pid in each.items()}
            workers = sum(mib for name, mib in parts.items() if name.startswith("worker"))
            server = sum(mib for name, mib in parts.items() if name.startswith("fork-server"))
            said = f"supervisor {parts['supervisor']:.0f}, camera {parts['camera cam0']:.0f}, workers {workers:.0f}, "
            said += f"fork server {server:.0f}"
            house.daemon.stop()
        what = "PSS of the tree, 8 sticks, " + ("with preprocessing" if preprocess else "no graph")
        yield Line(what, "312 MiB", f"<= {most} MiB", f"{total:.0f} MiB ({said})", total <= most)


def start(quick: bool) -> Iterator[Line]:
    """From the daemon's start until the last of many sticks may work; the middle of three."""
    for count, most_s in ((8, None), (64, 2.5)):
        took_s = sorted(_ready_s(count) for _ in range(1 if quick else 3))
        middle_s = took_s[len(took_s) // 2]
        measured = f"{middle_s:.2f} s ({took_s[0]:.2f} to {took_s[-1]:.2f})"
        good = None if most_s is None else middle_s <= most_s
        yield Line(f"start -> {count} sticks ready", "-", "" if most_s is None else f"<= {most_s} s", measured, good)


def _ready_s(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="ncs-bench-") as folder:
        asked = settings(Path(folder), sticks(count, latency_ms=33.0, heat=False), [synthetic()])
        began_s = time.monotonic()
        with running(asked) as daemon:
            daemon.until(lambda status: all(stick["state"] in READY for stick in status["sticks"]), "has all sticks ready")
            took_s = time.monotonic() - began_s
            daemon.stop()
        return took_s


def dispatcher(quick: bool) -> Iterator[Line]:
    """Many sticks through one supervisor, just below what they can do; small frames, so that pixels do not count."""
    seconds = 5.0 if quick else 20.0
    share, p50, p99, measured = _dispatched(64, 33.0, seconds)
    good = share <= 0.25 and p50 <= 0.5 and p99 <= 3
    yield Line("64 sticks x 33 ms through one dispatcher", "-", "<= 25 % of a core, added p50 <= 0.5, p99 <= 3 ms", measured, good)
    _, _, _, measured = _dispatched(256, 100.0, seconds)
    yield Line("256 sticks x 100 ms through one dispatcher", "-", "", measured, None)


def _dispatched(count: int, latency_ms: float, seconds: float) -> tuple[float, float, float, str]:
    """The supervisor's share of a core, what p50 and p99 in ms are above the stick's own latency, and all of it in words.

    Eight cameras offer 89 % of what the sticks can do. p50 is the median camera's, p99 the worst camera's.
    """
    cameras = 8
    fps = 0.89 * count / latency_ms * 1000 / cameras
    specs = [camera(f"cam{number}", fps=fps, size=(64, 48)) for number in range(cameras)]
    with bench(sticks(count, latency_ms=latency_ms, heat=False), specs) as house:
        before, began_s = done(house.daemon.status()), time.monotonic()
        used = shares(house.daemon, seconds)
        status = house.daemon.status()
        per_s = (done(status) - before) / (time.monotonic() - began_s)
        p50 = percentile([each["latency_ms"]["p50"] for each in status["cameras"]], 0.5) - latency_ms
        p99 = max(each["latency_ms"]["p99"] for each in status["cameras"]) - latency_ms
        house.daemon.stop()
    share = used["supervisor"]
    words = f"{share:.0%} of a core at {per_s:.0f}/s of {cameras * fps:.0f}/s offered; added p50 {p50:.1f}, p99 {p99:.1f} ms"
    return share, p50, p99, f"{words} (whole tree {sum(used.values()):.0%})"


def done(status: dict[str, object]) -> int:
    """Units that ended with a result."""
    each = status["cameras"]
    assert isinstance(each, list)
    return sum(camera_status["results"] for camera_status in each)


def ncsctl(quick: bool) -> Iterator[Line]:
    """User and system time of `ncsctl status`, in turn with an interpreter that does nothing."""
    with bench(sticks(4, latency_ms=100.0), [camera()], ClusterSpec(2, "ring", 10.0)) as house:
        place = ["--runtime-dir", str(house.daemon.runtime_dir)]
        spent: list[tuple[float, float]] = []
        for _ in range(5 if quick else 20):
            spent.append((_cpu_ms(["-m", "ncs_cluster.cli.ncsctl", *place, "status"]), _cpu_ms(["-c", "pass"])))
        command_ms, bare_ms = (statistics.median(each) for each in zip(*spent, strict=True))
    yield Line("`ncsctl status`, CPU", "-", "<= 80 ms", f"{command_ms:.0f} ms (python -c pass: {bare_ms:.0f} ms)", command_ms <= 80)


def _cpu_ms(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
