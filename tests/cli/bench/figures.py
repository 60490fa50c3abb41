"""Runs and rows of known times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import msgspec

from ncs_cluster.cli.bench.load import Load
from ncs_cluster.cli.bench.measure import Run
from ncs_cluster.cli.bench.modes import MODES, Mode
from ncs_cluster.cli.bench.report import Batch, Latency, Machine, Report, Row, Spread
from ncs_cluster.cli.bench.results import Results, parsed
from ncs_cluster.errors import StickError

QUIET = Load(0.5, 0.0)


def line(frame: int, item: str = "a.png", latency_ms: float = 10.0, **more: object) -> bytes:
    """A result as a program writes it."""
    record = {"schema": 1, "camera": "bench", "frame": frame, "captured_at": 100.0 + frame, "item": item, "latency_ms": latency_ms}
    return msgspec.json.encode({**record, "detections": [], **more})


def results(count: int, latency_ms: float = 10.0) -> Results:
    return parsed([line(frame, f"{frame}.png", latency_ms) for frame in range(count)])


def run(mode: str, devices: int, start_s: float, work_s: Sequence[float], load: Load = QUIET, found: Results | None = None) -> Run:
    return Run(mode, devices, start_s, list(work_s), load, results(2) if found is None else found)


class Machines:
    """Modes whose start and pictures take known times of a virtual clock. See measure.Start."""

    def __init__(self, start_s: dict[str, float], each_s: dict[str, float], fails: str = "") -> None:
        self.now_s = 1000.0
        self.started: list[tuple[str, int]] = []
        self._start_s, self._each_s, self._fails = start_s, each_s, fails
        self.begun = self.ended = 0

    def watch(self) -> Callable[[], Load]:
        """The load counts the runs that have begun and that have ended."""
        self.begun += 1
        return lambda: Load(self.begun, self.ended)

    def clock(self) -> float:
        return self.now_s

    def start(self, mode: Mode, devices: int) -> AbstractContextManager[Machines]:
        self.now_s += 5.0  # waiting for devices to come back is not measured
        self.started.append((mode.name, devices))
        return self._running(mode, devices)

    @contextmanager
    def _running(self, mode: Mode, devices: int) -> Iterator[Machines]:
        if mode.name == self._fails:
            raise StickError("open", "no permission")
        self.now_s += self._start_s[mode.name]
        self._works_s = self._each_s[mode.name] / devices
        yield self
        self.now_s += 7.0  # closing devices is not measured
        self.ended += 1

    def work(self, count: int):  # type: ignore[no-untyped-def]
        self.now_s += count * self._works_s

        def read() -> Results:
            self.now_s += 11.0
            return results(count, self._works_s * 1000)

        return read


def same(value: float) -> Spread:
    return Spread(value, value, value)


def row(mode: str, devices: int, start_s: float, *seconds: Spread | float, counts: Sequence[int] = (2, 300), **more: object) -> Row:
    spreads = [each if isinstance(each, Spread) else same(each) for each in seconds]
    batches = [
        Batch(count, each, Spread(each.median + start_s, each.least + start_s, each.most + start_s))
        for count, each in zip(counts, spreads, strict=True)
    ]
    last = batches[-1]
    fields: dict[str, object] = {
        "repeats": 3,
        "start_s": same(start_s),
        "batches": batches,
        "per_second": Spread(*(last.count / each for each in (last.seconds.median, last.seconds.most, last.seconds.least))),
        "latency_ms": Latency(10.0, 20.0, 30.5),
        "load": same(0.5),
        "others": same(0.0),
        **more,
    }
    return Row(mode=mode, devices=devices, **fields)  # type: ignore[arg-type]


def report(rows: list[Row], **more: object) -> Report:
    fields: dict[str, object] = {
        "version": "0.1.0",
        "at": "2026-01-02T03:04:05+00:00",
        "complete": True,
        "machine": Machine("A Processor", 2, "3.11.2", "Linux"),
        "backend": "simulated",
        "graph": "demo",
        "pictures": 300,
        "size": (1280, 720),
        "counts": [2, 300],
        "repeats": 3,
        "rows": rows,
        "recommendation": "Use serial.",
        **more,
    }
    return Report(**fields)  # type: ignore[arg-type]


ALL = list(MODES.values())
