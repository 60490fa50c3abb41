"""`python -m tests.soak.heat [--minutes M] [--scale X] [--policy P] [--cluster-size K] [--seed N]`: a daemon with emulated sticks
whose heat is not what the policy assumes, with more frames than they can take.

Four sticks of random thermal figures work at the limit; heat runs `scale` times faster than time. On the way one is pulled and
plugged again, one hangs, a fifth, cold one is plugged in, and the air gets 10 K warmer. An observer asks the emulator for the true
temperature of each die five times a second. Printed at the end: the highest temperature, seconds over the limit, throttling, and
in windows between two incidents the rate beside the best that the sticks present could sustain. A stick that boots is as cold as
the air: the emulator begins a new chip. Exit code 1 when a die was more than 0.5 K over the limit, or was throttled.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from ncs_cluster.config import load
from ncs_cluster.emulator.boot import artificial_firmware
from ncs_cluster.emulator.build import compile_library
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.specs import Settings
from ncs_cluster.testing.daemon import Daemon, running, synthetic
from ncs_cluster.thermal import AMBIENT_C, Plant
from tests.conftest import ROOT

PORTS = ("1-1.1", "1-1.2", "1-1.3", "1-1.4", "1-1.5")
"""The last one is plugged in on the way."""
LATENCY_S, LIMIT_C, WARMER_K = 0.05, 65.0, 10.0
SPREAD = 0.2
LOOK_S = 0.2
OVER_K = 0.5
PULLED_S, HANG_AT, PULL_AT, PLUG_AT, WARMER_AT = 10.0, 0.55, 0.35, 0.7, 0.15
"""Seconds without its plug; parts of the time at which each happens."""
SETTLE_S = 600.0
"""Plant seconds behind an incident that count for no rate: the sticks reach another balance."""
FPS = 120.0


class Figures(NamedTuple):
    """What the observer has seen."""

    hottest_c: float = -273.0
    over_s: float = 0.0
    """Plant seconds of any stick over the limit."""
    throttled: int = 0
    """Looks at which a stick's firmware throttled."""


class Window(NamedTuple):
    """A time without an incident."""

    name: str
    began_s: float
    ended_s: float
    per_s: float
    bound_per_s: float


def figures(seed: int) -> list[dict[str, float]]:
    """Fields of Plant of each stick."""
    chance = random.Random(seed)
    names = [name for name in Plant._fields if name != "idle_w"]
    return [{name: getattr(Plant(), name) * (1 + chance.uniform(-SPREAD, SPREAD)) for name in names} for _ in PORTS]


def bound_per_s(plants: Sequence[dict[str, float]], air_c: float, cluster_size: int) -> float:
    """The best rate of these sticks in steady state under the limit: each at the duty at which its die settles there."""
    duties = []
    for figure in plants:
        plant = Plant()._replace(**figure)
        left_w = (LIMIT_C - air_c) / (plant.die_case_k_w + plant.case_air_k_w) - plant.idle_w
        duties.append(min(1.0, max(0.0, left_w / plant.work_w)))
    duty = min(sum(duties), cluster_size or len(duties))
    return duty / LATENCY_S


class Observer:
    """Looks at every stick from outside, and counts what the daemon has done."""

    def __init__(self, bus: Emulator, daemon: Daemon, scale: float) -> None:
        self._bus, self._daemon, self._scale = bus, daemon, scale
        self.ports = list(PORTS[:-1])
        self.warmer_k = 0.0
        self.seen = Figures()

    def results(self) -> int:
        return sum(camera["results"] for camera in self._daemon.status()["cameras"])

    def watch(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            for port in self.ports:
                # again and again: the chip of a stick that has booted meanwhile does not know; one that is away has no air
                with contextlib.suppress(ValueError):
                    self._bus.fault(port, "wave", kelvin=self.warmer_k)
            chips = [chip for port in self.ports if (chip := self._bus.state(port).get("chip")) is not None]
            hottest_c = max((chip["die_c"] for chip in chips), default=-273.0)
            self.seen = Figures(
                max(self.seen.hottest_c, hottest_c),
                self.seen.over_s + LOOK_S * self._scale * (hottest_c > LIMIT_C),
                self.seen.throttled + any(chip["level"] for chip in chips),
            )
            time.sleep(LOOK_S)


def soak(minutes: float, scale: float, policy: str, cluster_size: int, seed: int, folder: Path) -> int:
    plants = figures(seed)
    with Emulator(folder / "bus", compile_library(folder)) as bus:
        for port, plant in zip(PORTS[:-1], plants, strict=False):
            plug(bus, port, plant, scale)
        with running(settings(bus, folder, policy, cluster_size, scale), bus.env) as daemon:
            daemon.until(
                lambda status: len([s for s in status["sticks"] if s["state"] == "active"]) >= (cluster_size or 4), "works"
            )
            windows, seen = go_through(Observer(bus, daemon, scale), bus, plants, minutes * 60, scale, cluster_size)
            daemon.stop()
    return judge(windows, seen)


def go_through(
    observer: Observer, bus: Emulator, plants: list[dict[str, float]], seconds: float, scale: float, cluster_size: int
) -> tuple[list[Window], Figures]:
    """Let each incident happen, and measure between them."""
    air_c, present, windows = AMBIENT_C, list(plants[:-1]), []

    def warmer() -> None:
        nonlocal air_c
        air_c += WARMER_K
        observer.warmer_k = WARMER_K

    def pull() -> None:
        bus.pull(PORTS[1], again_s=PULLED_S)
        observer.watch(PULLED_S + 5.0)

    def hang() -> None:
        bus.fault(PORTS[2], "hang")
        observer.watch(15.0)
        bus.fault(PORTS[2], "clear")

    def plug_cold() -> None:
        plug(bus, PORTS[-1], plants[-1], scale)
        observer.ports.append(PORTS[-1])
        present.append(plants[-1])

    began_s = time.monotonic()
    incidents = [("warm-up", 0.0, lambda: None), ("air +10 K", WARMER_AT, warmer), ("pulled", PULL_AT, pull)]
    incidents += [("hang", HANG_AT, hang), ("fifth stick", PLUG_AT, plug_cold)]
    for number, (name, _at, happens) in enumerate(incidents):
        happens()
        ends_s = began_s + seconds * (incidents[number + 1][1] if number + 1 < len(incidents) else 1.0)
        observer.watch(min(SETTLE_S / scale, ends_s - time.monotonic()))
        first, first_s = observer.results(), time.monotonic()
        observer.watch(ends_s - first_s)
        took_s = time.monotonic() - first_s
        per_s = (observer.results() - first) / took_s if took_s > 1.0 else 0.0
        bound = bound_per_s(present, air_c, cluster_size)
        windows.append(Window(name, first_s - began_s, first_s - began_s + took_s, per_s, bound))
        said = f"{name}: {per_s:.1f}/s, {per_s / bound:.1%} of {bound:.1f}/s; hottest so far {observer.seen.hottest_c:.2f} C"
        print(said, flush=True)
    return windows, observer.seen


def plug(bus: Emulator, port: str, plant: dict[str, float], scale: float) -> None:
    graphs = [os.fspath(ROOT / "graphs/demo/demo.xml")]
    bus.add(port, graphs=graphs, latency_s=LATENCY_S, boot_s=0.2, watchdog_s=10.0, heat_scale=scale, plant=plant)


def settings(bus: Emulator, folder: Path, policy: str, cluster_size: int, scale: float) -> Settings:
    firmware = folder / "usb-ma2x8x.mvcmd"
    firmware.write_bytes(artificial_firmware(40_000))
    argv = ["--backend", "xlink", "--graph", "demo", "--no-web", "--policy", policy, "--switch-temp", str(LIMIT_C)]
    argv += ["--cluster-size", str(cluster_size), "--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run")]
    argv += ["--set", f"discovery.sysfs={bus.sysfs}", "--set", f"xlink.firmware={firmware}"]
    given = load(argv, {})
    pools = [structs.replace(pool, clusters=structs.replace(pool.clusters, time_scale=scale)) for pool in given.pools]
    return structs.replace(given, pools=pools, cameras=[synthetic(fps=FPS)])


def judge(windows: Sequence[Window], seen: Figures) -> int:
    worst = min(window.per_s / window.bound_per_s for window in windows[1:])
    over = f"over {LIMIT_C:g} C for {seen.over_s:.0f} s of heat, throttled at {seen.throttled} looks"
    print(f"hottest die {seen.hottest_c:.2f} C, {over}")
    print(f"least share of the bound {worst:.1%}; load {os.getloadavg()[0]:.1f}")
    return 0 if seen.hottest_c <= LIMIT_C + OVER_K and not seen.throttled else 1


def main() -> int:
    parser = argparse.ArgumentParser(description="A daemon on emulated sticks at their limit, with incidents on the way.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--scale", type=float, default=10.0)
    parser.add_argument("--policy", default="predictive")
    parser.add_argument("--cluster-size", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ncs-soak-heat-") as folder:
        return soak(given.minutes, given.scale, given.policy, given.cluster_size, given.seed, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
