"""The steps of `ncsctl bench`: pictures, settings, runs, figures, files."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

import ncs_cluster
from ncs_cluster.cli import daemon_flags
from ncs_cluster.cli.bench import arguments, measure, pictures, summary
from ncs_cluster.cli.bench.load import watch
from ncs_cluster.cli.bench.measure import FailedRun, Plan, Run
from ncs_cluster.cli.bench.modes import MODES
from ncs_cluster.cli.bench.recommendation import recommendation
from ncs_cluster.cli.bench.report import Machine, Report, Row
from ncs_cluster.cli.bench.session import Setup, started
from ncs_cluster.cli.bench.sticks import Sticks
from ncs_cluster.cli.bench.summary import SustainedRun
from ncs_cluster.cli.bench.table import markdown
from ncs_cluster.cli.bench.text import how_many, on_devices, seconds
from ncs_cluster.cli.settings import read
from ncs_cluster.errors import ConfigError, NcsClusterError, format_os_error, one_line
from ncs_cluster.messages.bench import BenchItem, Pictures
from ncs_cluster.specs import RuntimeSpec, Settings

MEASURED, WITH_FAILURES, NOT_MEASURED, INTERRUPTED = 0, 1, 2, 130
PROGRAM = "ncsctl bench"


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    given = arguments.parse(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="ncs-bench-", ignore_cleanup_errors=True) as folder:
            return _bench(given, Path(folder))
    except NcsClusterError as error:
        return _refused(str(error))
    except OSError as error:
        return _refused(format_os_error(error))
    except SystemExit as end:
        # settings are refused: the reason is printed
        return INTERRUPTED if end.code == INTERRUPTED else NOT_MEASURED
    except KeyboardInterrupt:
        return INTERRUPTED


def _bench(given: argparse.Namespace, folder: Path) -> int:
    if given.out is not None:
        Path(given.out).mkdir(parents=True, exist_ok=True)
        if not os.access(given.out, os.W_OK):
            raise ConfigError(f"--out {given.out}: this user may not write there; choose another folder")
    items = pictures.listed(given.pictures, given.counts[-1])
    settings = _settings(given)
    for notice in settings.notices:
        print(f"{PROGRAM}: {one_line(notice)}", file=sys.stderr, flush=True)
    sticks = Sticks(settings, partial(_settings, given, checked=False))
    devices = _devices(given.devices, sticks)
    sticks.prepare([1, *devices])
    pictures.check(items, given.most)
    setup = _setup(given, folder, settings, sticks, items)
    plan = Plan(given.modes, devices, given.counts, given.repeats)
    measurement = _Measurement(plan, setup, quiet=given.quiet)
    interrupted = False
    try:
        measurement.run(given.sustained)
    except KeyboardInterrupt:
        interrupted = True
    report = _report(given, sticks.backend, setup, measurement, len(items), complete=not interrupted)
    if not any(row.batches for row in report.rows):
        return _nothing(report.rows, interrupted=interrupted)
    _print(given, report)
    if given.out is not None:
        _write(Path(given.out), report, measurement.runs)
    if interrupted:
        return INTERRUPTED
    errors = [report.sustained_error, *(row.error for row in report.rows)]
    return MEASURED if errors == [None] * len(errors) else WITH_FAILURES


class _Measurement:
    """What is measured so far."""

    def __init__(self, plan: Plan, setup: Setup, *, quiet: bool) -> None:
        self.plan, self._setup, self._quiet = plan, setup, quiet
        self.runs: list[Run | FailedRun] = []
        self.sustained: SustainedRun | None = None
        self.sustained_error: str | None = None

    def run(self, sustained_s: float | None) -> None:
        start = partial(started, self._setup)
        for run in measure.runs(self.plan, start, time.monotonic, watch):
            self.runs.append(run)
            self._tell(_words(run, self.plan))
        best = summary.quickest(summary.rows(self.plan, self.runs))
        if sustained_s is not None and best is not None:
            self._tell(f"{on_devices(best.mode, best.devices)}: works for {seconds(sustained_s)}")
            try:
                with start(MODES[best.mode], best.devices) as session:
                    self.sustained = session.sustain(best.mode, best.devices, sustained_s)
            except NcsClusterError as error:
                self.sustained_error = one_line(str(error))

    def _tell(self, words: str) -> None:
        if not self._quiet:
            print(words, file=sys.stderr, flush=True)


def _words(run: Run | FailedRun, plan: Plan) -> str:
    where = on_devices(run.mode, run.devices)
    if isinstance(run, FailedRun):
        return one_line(f"{where}: failed: {run.error}")
    took = ", ".join(f"{how_many(count)} in {seconds(each)}" for count, each in zip(plan.counts, run.work_s, strict=True))
    return f"{where}: started in {seconds(run.start_s)}, {took}; load {run.load.average:.1f}, others' CPU {run.load.others:.0%}"


def _settings(given: argparse.Namespace, count: int | None = None, *, checked: bool = True) -> Settings:
    """`count`: of counted sticks, in place of --sticks. `checked`: each graph is loaded once."""
    flags = arguments.of_daemon(given)
    wanted = given.devices[-1] if given.devices is not None and not hasattr(given, "sticks") else None
    if count is not None:
        flags += ["--sticks", str(count)]
    elif wanted is not None and _is_counted(flags):
        flags += ["--sticks", str(wanted)]
    return read(PROGRAM, flags, _one_graph, graphs=checked)


def _is_counted(flags: Sequence[str]) -> bool:
    """Whether the settings number their sticks: only then more may be asked for."""
    return bool(read(PROGRAM, flags, _one_graph, graphs=False).sticks)


def _one_graph(settings: Settings) -> Settings:
    """Raises ConfigError."""
    if len(settings.graphs) != 1:
        raise ConfigError("--graph: a bench runs one graph; name it")
    return settings


def _devices(asked: list[int] | None, sticks: Sticks) -> list[int]:
    """Numbers of devices; without any asked for 1, 2, 4, ... and all. Raises ConfigError."""
    if asked is None:
        return sorted({*(2**power for power in range(sticks.count.bit_length()) if 2**power <= sticks.count), sticks.count})
    if asked[-1] > sticks.count:
        raise ConfigError(f"--devices {asked[-1]}: there {'is' if sticks.count == 1 else 'are'} only {sticks.count}; ask for fewer")
    return asked


def _setup(given: argparse.Namespace, folder: Path, settings: Settings, sticks: Sticks, items: list[BenchItem]) -> Setup:
    listed = folder / "pictures.msgpack"
    listed.write_bytes(msgspec.msgpack.encode(items))
    flags = {name: words for name, words in daemon_flags.FLAGS.items() if name not in ("--config", "--set", "--sticks")}
    words = daemon_flags.given(given, flags)
    keys = {flag[2:]: value for flag, value in zip(words[::2], words[1::2], strict=True)}
    keys |= {key: value for key, _, value in (each.partition("=") for each in getattr(given, "set", []))}
    return Setup(
        folder=folder,
        pictures=Pictures(os.fspath(listed), given.most),
        graph=settings.graphs[0],
        named=given.graph,
        sticks=sticks,
        runtime=settings.runtimes.get(sticks.runtime, RuntimeSpec(sys.executable)),
        settings=keys,
        config=getattr(given, "config", None),
    )


def _report(
    given: argparse.Namespace, backend: str, setup: Setup, measurement: _Measurement, items: int, *, complete: bool
) -> Report:
    rows = summary.rows(measurement.plan, measurement.runs)
    return Report(
        version=ncs_cluster.__version__,
        at=datetime.now().astimezone().isoformat(timespec="seconds"),
        complete=complete,
        machine=_machine(),
        backend=backend,
        graph=str(setup.graph.name),
        pictures=items,
        size=given.most,
        counts=given.counts,
        repeats=given.repeats,
        rows=rows,
        sustained_error=measurement.sustained_error,
        sustained=None if measurement.sustained is None else summary.sustained(measurement.sustained),
        recommendation=recommendation(rows),
    )


def _machine() -> Machine:
    processor = platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith(("model name", "Model"))]
        processor = names[-1] if names else processor
    except OSError:
        pass
    return Machine(processor, len(os.sched_getaffinity(0)), platform.python_version(), platform.system())


def _print(given: argparse.Namespace, report: Report) -> None:
    text = _json(report).decode() if given.json else markdown(report)
    sys.stdout.write(text)
    sys.stdout.flush()


def _json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _write(out: Path, report: Report, runs: Sequence[Run | FailedRun]) -> None:
    """The files of --out, in place of those of an earlier bench."""
    from ncs_cluster.cli.bench.plot import png

    (out / "bench.md").write_text(markdown(report))
    (out / "bench.json").write_bytes(_json(report))
    (out / "bench.png").write_bytes(png(report))
    folder = out / "results"
    folder.mkdir(exist_ok=True)
    for earlier in folder.glob("*.jsonl"):
        earlier.unlink()
    for run in runs:
        if isinstance(run, Run):
            (folder / f"{run.mode}-{run.devices}.jsonl").write_bytes(b"".join(text + b"\n" for text in run.results.texts))


def _nothing(rows: Sequence[Row], *, interrupted: bool) -> int:
    if interrupted:
        print(f"{PROGRAM}: interrupted before a run was done", file=sys.stderr)
        return INTERRUPTED
    return _refused("; ".join(dict.fromkeys(f"{row.mode}: {row.error}" for row in rows)))


def _refused(line: str) -> int:
    print(f"{PROGRAM}: {one_line(line)}", file=sys.stderr)
    return NOT_MEASURED
