"""The vendor's plugin against ours: workers with the backends `myriad` and `xlink` on the same emulated sticks, in one run.

Times are those of the emulator, which boots in 0.8 s and resets a stick nobody feeds after 10 s: what counts is the difference. The
sticks answer with a part of their input, so that no inference on this CPU limits them. Pictures are of the graph's own size.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from msgspec.structs import replace

from ncs_cluster.config import graph_folder
from ncs_cluster.emulator.build import compile_library
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.ipc import pool as pools
from ncs_cluster.messages import (
    Failed,
    FromWorker,
    Hello,
    Infer,
    Inferred,
    MapPool,
    OpenStick,
    Reopen,
    StickLost,
    StickOpened,
    Stop,
    Telemetry,
)
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.testing.children import Child, running
from ncs_cluster.types import CameraName, FrameRef, PoolLayout, StickId
from tests import python39
from tests.benchmarks.table import Line
from tests.oracle.plugin import plugin
from tests.oracle.runtime import NEEDS

ROOT = Path(__file__).resolve().parents[2]
PORTS = ["1-1.1", "1-1.2", "1-1.3", "1-1.4"]
LAYOUT = PoolLayout(pool=1, slots=1, max_width=320, max_height=256)
FRAME = FrameRef(CameraName("cam"), 1, 0, 0, 320, 256)


class Host(NamedTuple):
    """How a stick is driven: a backend, and the interpreter of its worker."""

    backend: str
    runtime: python39.Runtime
    options: dict[str, Any]


class Ground(NamedTuple):
    """What all rows stand on."""

    libusb: Path
    graph: GraphSpec
    hosts: list[Host]


class Stick:
    """A worker with its stick; what it says is kept with the time it was heard."""

    def __init__(self, child: Child, port: str) -> None:
        self.child, self.port = child, port
        self.heard: list[tuple[float, Any]] = []
        self.sent = 0

    def infer(self) -> None:
        self.child.send(Infer(self.sent, 0, FRAME, reset_epoch=len(self.of(StickLost))))
        self.sent += 1

    def of(self, kind: type) -> list[tuple[float, Any]]:
        return [(at_s, message) for at_s, message in self.heard if isinstance(message, kind)]


def myriad(quick: bool) -> Iterator[Line]:
    """Rows of both; without the vendor's plugin there is nothing to compare."""
    with tempfile.TemporaryDirectory(prefix="bench-sticks-") as name:
        try:
            ground = _ground(Path(name))
        except (pytest.skip.Exception, pytest.fail.Exception) as why:
            yield Line("plugin against xlink", "-", "-", f"not measured: {why}", None)
            return
        seconds = 4.0 if quick else 12.0
        for latency_ms in (30, 1):
            yield _line(
                f"results/s, CPU per result, stick of {latency_ms} ms", ground, lambda g, h, ms=latency_ms: rate(g, h, ms, seconds)
            )
        yield _line("asked to open -> ready, one stick", ground, lambda g, h: ready(g, h, 1))
        yield _line("asked to open -> ready, last of four at once", ground, lambda g, h: ready(g, h, 4))
        yield _line("oldest temperature while three boot / hang / are pulled", ground, oldest_temperature)
        yield _line("end of a worker: told to stop / stick pulled", ground, endings)
        yield _line("a stick hangs -> works again, time-out 1 s", ground, recovery)


def _line(what: str, ground: Ground, measure: Callable[[Ground, Host], str]) -> Line:
    return Line(what, "-", "-", "; ".join(f"{host.backend} {measure(ground, host)}" for host in ground.hosts), None)


def rate(ground: Ground, host: Host, latency_ms: float, seconds: float) -> str:
    with _sticks(ground, host, PORTS[:1], latency_s=latency_ms / 1000) as (_, (stick,)):
        for _ in range(4):
            stick.infer()
        _hear([stick], 1.0, again=True)
        process = psutil.Process(stick.child.process.pid)
        cpu, count, began_s = process.cpu_times(), len(stick.of(Inferred)), time.monotonic()
        _hear([stick], seconds, again=True)
        took_s, cpu_s = time.monotonic() - began_s, sum(process.cpu_times()[:2]) - sum(cpu[:2])
        count = len(stick.of(Inferred)) - count
        return f"{count / took_s:.1f}/s, {cpu_s / count * 1000:.2f} ms"


def ready(ground: Ground, host: Host, count: int) -> str:
    with _sticks(ground, host, PORTS[:count], wait=False) as (_, sticks):
        began_s = time.monotonic()
        return f"{max(_opened(stick) for stick in _until_open(sticks)) - began_s:.2f} s"


def oldest_temperature(ground: Ground, host: Host) -> str:
    """Of the first stick, which works all the while."""
    ages = []
    with _sticks(ground, host, PORTS[:1], options={"infer_timeout_s": 1.0}) as (emulator, (first,)), ExitStack() as stack:
        for _ in range(2):
            first.infer()
        _hear([first], 2.0, again=True)
        others = [stack.enter_context(_worker(ground, host, emulator, port)) for port in PORTS[1:]]
        ages.append(_oldest([first], [first, *others], lambda: all(other.of(StickOpened) for other in others)))
        for port in PORTS[1:3]:
            emulator.fault(port, "hang")
        for other in others:
            other.infer()
        ages.append(_oldest([first], [first, *others], lambda: False, 5.0))
        emulator.pull(PORTS[3])
        ages.append(_oldest([first], [first, *others], lambda: False, 4.0))
    return " / ".join(f"{age_s:.1f}" for age_s in ages) + " s"


def endings(ground: Ground, host: Host) -> str:
    took = []
    for pulled in (False, True):
        with _sticks(ground, host, PORTS[:1]) as (emulator, (stick,)):
            began_s = time.monotonic()
            if pulled:
                emulator.pull(PORTS[0])
            else:
                stick.child.send(Stop())
            stick.child.process.wait(60)
            took.append(time.monotonic() - began_s)
    told = " / ".join(f"{seconds:.2f}" for seconds in took) + " s"
    return (
        told
        if host.backend == "xlink"
        else f"{told} (the plugin's own close of a pulled one: {_plugins_close(ground, host):.1f} s)"
    )


def _plugins_close(ground: Ground, host: Host) -> float:
    """What the worker spares itself by ending without a close."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-bus-")))
        emulator = stack.enter_context(Emulator(folder / "bus", ground.libusb))
        vendor = stack.enter_context(plugin(host.runtime, emulator.env, folder / "plugin"))
        emulator.add(PORTS[0], graphs="echo")
        vendor.do("load", net="demo", device="MYRIAD", model=ground.graph.model)
        emulator.pull(PORTS[0])
        began_s = time.monotonic()
        vendor.end()
        return time.monotonic() - began_s


def recovery(ground: Ground, host: Host) -> str:
    """As under the supervisor: a worker that ends is started again at once."""
    with _sticks(ground, host, PORTS[:1], options={"infer_timeout_s": 1.0}) as (emulator, (stick,)), ExitStack() as stack:
        emulator.fault(PORTS[0], "hang")
        stick.infer()
        began_s = time.monotonic()
        while True:
            _hear([stick], 0.05)
            if len(stick.of(StickOpened)) > 1:
                return f"{stick.of(StickOpened)[1][0] - began_s:.1f} s, its worker lives"
            if stick.of(Failed):
                stick.child.process.wait(60)
                again = stack.enter_context(_worker(ground, host, emulator, PORTS[0]))
                return f"{_opened(*_until_open([again])) - began_s:.1f} s, in a new worker"


# -- what the rows are made of


def _ground(folder: Path) -> Ground:
    oracle = folder / "oracle"
    oracle.mkdir()
    old = python39.runtime(".venv-oracle", NEEDS, oracle)
    firmware = next((ROOT / ".venv-oracle").glob("lib/*/site-packages/openvino/libs/usb-ma2x8x.mvcmd"))
    library = compile_library(folder)
    graph = graph_folder.read(ROOT / "graphs" / "demo", "demo", None)
    blob = folder / "demo.blob"
    with Emulator(folder / "bus", library) as emulator, plugin(old, emulator.env, folder / "plugin") as vendor:
        emulator.add(PORTS[0], graphs="echo")
        vendor.do("load", net="demo", device="MYRIAD", model=graph.model)
        vendor.do("export", net="demo", path=blob)
        vendor.end()
    ours = python39.Runtime(sys.executable, dict(os.environ))
    hosts = [Host("myriad", old, {}), Host("xlink", ours, {"firmware": os.fspath(firmware), "check_s": 0})]
    return Ground(library, replace(graph, blob=os.fspath(blob)), hosts)


@contextmanager
def _sticks(
    ground: Ground, host: Host, ports: list[str], *, wait: bool = True, options: dict[str, Any] | None = None, **stick: Any
) -> Iterator[tuple[Emulator, list[Stick]]]:
    """A bus with four sticks and workers at some of them, asked to open."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-bus-")))
        emulator = stack.enter_context(Emulator(folder / "bus", ground.libusb))
        for port in PORTS:
            emulator.add(port, **{"graphs": "echo", "latency_s": 0.03, **stick})
        host = host._replace(options={**host.options, **(options or {})})
        sticks = [stack.enter_context(_worker(ground, host, emulator, port, ask=False)) for port in ports]
        for each in sticks:
            _ask(ground, host, each)
        yield emulator, _until_open(sticks) if wait else sticks


@contextmanager
def _worker(ground: Ground, host: Host, emulator: Emulator, port: str, *, ask: bool = True) -> Iterator[Stick]:
    env = {**host.runtime.env, **emulator.env}
    with running(
        "ncs_cluster.processes.worker",
        FromWorker,
        python=host.runtime.python,
        env=env,
        log_level="error",
        stdout=subprocess.DEVNULL,
    ) as child:
        child.expect(Hello, 60)
        stick = Stick(child, port)
        if ask:
            _ask(ground, host, stick)
        yield stick


def _ask(ground: Ground, host: Host, stick: Stick) -> None:
    stick.child.send(OpenStick(StickSpec(StickId(stick.port), stick.port, host.backend, host.options), [ground.graph]))
    fd = pools.create(LAYOUT)
    stick.child.send(MapPool(LAYOUT), fd)


def _hear(sticks: list[Stick], for_s: float, *, again: bool = False, done: Callable[[], bool] = lambda: False) -> None:
    """Everything they say; `again`: each answer is followed by the next question. Until `done`, or for so long."""
    until_s = time.monotonic() + for_s
    while not done() and (left_s := until_s - time.monotonic()) > 0:
        watched = {stick.child.channel.fileno(): stick for stick in sticks if not stick.of(Failed)}
        for fd in select.select(watched, [], [], left_s)[0]:
            stick = watched[fd]
            message = stick.child.receive()
            stick.heard.append((time.monotonic(), message))
            if again and isinstance(message, Inferred):
                stick.infer()
            if isinstance(message, StickLost):
                stick.child.send(Reopen())


def _until_open(sticks: list[Stick]) -> list[Stick]:
    _hear(sticks, 120, done=lambda: all(stick.of(StickOpened) or stick.of(Failed) for stick in sticks))
    for stick in sticks:
        assert stick.of(StickOpened), stick.heard[-1:]
    return sticks


def _opened(stick: Stick) -> float:
    return stick.of(StickOpened)[0][0]


def _oldest(of: list[Stick], all_: list[Stick], done: Callable[[], bool], for_s: float = 60.0) -> float:
    """Age in seconds of the oldest temperature that was the newest at some moment meanwhile."""
    (stick,), before = of, len(of[0].of(Telemetry))
    _hear(all_, for_s, again=True, done=done)
    _hear(all_, 1.5, again=True)
    readings = stick.of(Telemetry)[max(0, before - 1) :]
    return max(later - (earlier - told.age_s) for (earlier, told), (later, _) in pairwise(readings))
