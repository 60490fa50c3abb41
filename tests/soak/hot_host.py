"""`python -m tests.soak.hot_host [--minutes M] [--scale X] [--air-c T] [--delay-ms D] [--cluster-size K] [--away-s S]`: a host
whose sticks are too hot for its camera, with a neighbour whose sticks have nothing to do.

Two daemons and the NATS server have a network namespace each. The host has two simulated sticks in air of T °C and a camera of 15
frames a second; its policy lets the sticks rest, and the rest of the frames goes to the neighbour, over a line that delays each
direction by D ms. Heat runs X times faster than time. Four phases:

    steady   M minutes of simulated heat
    cut      the host has no link for S seconds
    killed   all processes of the neighbour are killed (-9), and it is started again after S seconds
    server   the NATS server is killed, and started again after S seconds

Printed for each phase: the part of the camera's frames that has results, how many of them neighbours gave, and p50 and p99 from
capture to result; behind each fault, how long it took until 90 % of the frames had results again. Exit code 1 when fewer than 95 %
had results in every window of `steady` or when they did not come back, and when a frame was lost, doubled or out of order.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from ncs_cluster.config import load
from ncs_cluster.specs import Settings
from ncs_cluster.testing.daemon import Daemon, read_results, running
from tests import small_graph
from tests.hosts.rig import Rig, hosts
from tests.nats_server import NatsServer, nats_server

PHASES = ("steady", "cut", "killed", "server")
FPS, LATENCY_MS = 15, 60
"""Two sticks do 33 frames a second while they are cool."""
WHOLE, BACK = 0.95, 0.9
WARM_C = 60.0
"""Of the dies at the start: 5 K under the switch temperature."""
SETTLE_S, BACK_S, WINDOW_S = 30.0, 90.0, 5.0
WINDOW_MIN = 5.0


class Seen(NamedTuple):
    """The results of frames that were captured in a span of time."""

    part: float
    """Of the frames that the camera has captured."""
    theirs: float
    """Part of the results that a neighbour gave."""
    per_s: float
    latencies_ms: Sequence[float]

    def __str__(self) -> str:
        if len(self.latencies_ms) < 2:
            return f"{100 * self.part:.1f} % of the frames have results"
        cuts = statistics.quantiles(self.latencies_ms, n=100)
        return (
            f"{100 * self.part:.1f} % of the frames have results ({self.per_s:.1f}/s), {100 * self.theirs:.0f} % of them from the "
            f"neighbour; capture to result p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms; load {os.getloadavg()[0]:.1f}"
        )


def seen(records: Sequence[dict[str, Any]], began: float, ended: float) -> Seen:
    """`began`, `ended`: Unix seconds."""
    within = [each for each in records if began <= each["captured_at"] < ended]
    if not within:
        return Seen(0.0, 0.0, 0.0, [])
    # frames without a result behind the last one that has one count, too
    before = max((each["frame"] for each in records if each["captured_at"] < began), default=within[0]["frame"] - 1)
    after = min((each["frame"] for each in records if each["captured_at"] >= ended), default=within[-1]["frame"] + 1)
    theirs = sum(str(each["stick"]).startswith("net") for each in within)
    latencies_ms = [each["latency_ms"] for each in within if each["latency_ms"] is not None]
    return Seen(len(within) / (after - before - 1), theirs / len(within), len(within) / (ended - began), latencies_ms)


def settings(folder: Path, node: str, url: str, given: argparse.Namespace) -> Settings:
    here = folder / node
    here.mkdir(exist_ok=True)
    words = ["--backend", "simulated", "--sticks", "2", "--no-web", "--size", "640x480", "--nats", url]
    words += ["--graph", str(folder / "small"), "--set", f"simulated.latency_ms={LATENCY_MS}", "--set", f"nats.node={node}"]
    words += ["--runtime-dir", str(here / "run"), "--state-dir", str(here / "state")]
    words += ["--set", f"simulated.time_scale={given.scale}", "--cluster-size", str(given.cluster_size)]
    if node == "attic":
        words += ["--source", "door=synthetic", "--fps", str(FPS), "--overflow", "send", "--results", str(here / "found.jsonl")]
        words += ["--set", f"simulated.ambient_c={given.air_c}", "--set", f"simulated.initial_c={WARM_C}"]
    else:
        words += ["--source", "quiet=synthetic", "--fps", "1", "--overflow", "receive"]
    return load(words, {})


class Hot:
    """The host, its neighbour, and what has come out."""

    def __init__(self, folder: Path, rig: Rig, place: NatsServer, given: argparse.Namespace, stack: ExitStack) -> None:
        self.rig, self.place, self._folder, self._given = rig, place, folder, given
        address, _, port = place.url.removeprefix("nats://").rpartition(":")
        self._url = f"nats://{stack.enter_context(rig['attic'].link_to(address, int(port), delay_ms=given.delay_ms))}"
        self.cellar = stack.enter_context(self.neighbour())
        self.cellar.well()
        self.attic = stack.enter_context(running(settings(folder, "attic", self._url, given), before=rig["attic"].enter))
        self.attic.until(lambda status: status["overflow"]["answered"] >= 5 * FPS, "has answers of its neighbour")

    @contextmanager
    def neighbour(self) -> Iterator[Daemon]:
        given = settings(self._folder, "cellar", self.place.url, self._given)
        with running(given, before=self.rig["cellar"].enter) as daemon:
            yield daemon

    def records(self) -> list[dict[str, Any]]:
        return read_results(self._folder / "attic" / "found.jsonl")

    def watch(self, seconds: float) -> Seen:
        """What has come of the next seconds."""
        began = time.time()
        time.sleep(seconds + 1.0)
        return seen(self.records(), began, began + seconds)

    def back_s(self) -> float | None:
        """How long it takes from now until WINDOW_S begins in which nearly all frames have results; None: longer than BACK_S."""
        began = time.time()
        while time.time() < began + BACK_S:
            time.sleep(0.5)
            now = time.time() - 1.0
            if now - WINDOW_S >= began and seen(self.records(), now - WINDOW_S, now).part >= BACK:
                return now - WINDOW_S - began
        return None


def soak(given: argparse.Namespace, folder: Path) -> int:
    """Returns the exit code."""
    (folder / "small").mkdir()
    small_graph.write(folder / "small")
    with hosts("attic", "cellar", "server") as rig, nats_server(folder, host=rig["server"]) as place, ExitStack() as stack:
        hot = Hot(folder, rig, place, given, stack)
        time.sleep(SETTLE_S)
        failed = [phase for phase in given.only if not went_well(hot, phase, given, stack)]
        status = hot.attic.status()
    counters = [status["counters"][name] for name in ("frames_lost", "frames_doubled", "out_of_order", "throttled_s")]
    print(f"frames lost, doubled, out of order, seconds throttled: {counters}; overflow: {status['overflow']}", flush=True)
    return int(bool(failed) or any(counters[:3]))


def went_well(hot: Hot, phase: str, given: argparse.Namespace, stack: ExitStack) -> bool:
    if phase == "steady":
        return steady(hot, given)

    def kill() -> None:
        for process in hot.cellar.tree():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def start() -> None:
        hot.cellar = stack.enter_context(hot.neighbour())
        hot.cellar.listens()

    steps: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "cut": (hot.rig["attic"].cut, hot.rig["attic"].join),
        "killed": (kill, start),
        "server": (hot.place.kill, hot.place.start),
    }
    harm, mend = steps[phase]
    harm()
    print(f"{phase}: meanwhile {hot.watch(given.away_s)}", flush=True)
    mend()
    back_s = hot.back_s()
    print(f"  {'not back' if back_s is None else f'back after {back_s:.1f} s'}; then {hot.watch(given.away_s)}", flush=True)
    return back_s is not None


def steady(hot: Hot, given: argparse.Namespace) -> bool:
    """In windows of WINDOW_MIN minutes of heat: other work on this machine comes and goes."""
    before, began, parts = hot.attic.status(), time.time(), []
    for _ in range(max(1, round(given.minutes / WINDOW_MIN))):
        found = hot.watch(WINDOW_MIN * 60 / given.scale)
        parts.append(found.part)
        print(f"steady: {found}", flush=True)
    after = hot.attic.status()
    lost = {end: after["cameras"][0][end] - before["cameras"][0][end] for end in ("dropped", "late", "given_up")}
    sent = {end: after["overflow"][end] - before["overflow"][end] for end in ("sent", "answered", "late", "refused")}
    heat = [each["temperature_c"] for each in after["sticks"] if each["temperature_c"] is not None]
    print(f"  all: {seen(hot.records(), began, time.time() - 1.0)}", flush=True)
    print(f"  without a result: {lost}; for neighbours: {sent}; dies {heat} °C", flush=True)
    return max(parts) >= WHOLE


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m tests.soak.hot_host", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--scale", type=float, default=10.0)
    parser.add_argument("--air-c", type=float, default=45.0)
    parser.add_argument("--delay-ms", type=float, default=5.0)
    parser.add_argument("--cluster-size", type=int, default=0, help="0: the policy `predictive`; 1: `ring`, one stick at a time")
    parser.add_argument("--away-s", type=float, default=20.0)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PHASES), help=f"of {', '.join(PHASES)}")
    with tempfile.TemporaryDirectory() as folder:
        return soak(parser.parse_args(), Path(folder))


if __name__ == "__main__":
    sys.exit(main())
