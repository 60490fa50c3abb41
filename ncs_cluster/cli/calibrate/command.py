"""The steps of `ncsctl calibrate`: settings, stick, measurement, fit, files."""

from __future__ import annotations

import argparse
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
from ncs_cluster.cli.bench.program import Program
from ncs_cluster.cli.bench.sticks import Sticks
from ncs_cluster.cli.calibrate import arguments, measure, report, samples
from ncs_cluster.cli.calibrate.fit import Fit, Unfit, Values, fit
from ncs_cluster.cli.calibrate.report import Calibration
from ncs_cluster.cli.calibrate.samples import Kept, Measurement, Phase, Sample
from ncs_cluster.cli.settings import read
from ncs_cluster.cli.text import duration
from ncs_cluster.errors import ConfigError, NcsClusterError, format_os_error, one_line
from ncs_cluster.messages.calibration import FromHeated, Heated, Load, Measured, OpenHeated
from ncs_cluster.processes.spawn import environment
from ncs_cluster.provision import places
from ncs_cluster.specs import RuntimeSpec, Settings, StickSpec

CALIBRATED, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
PROGRAM, PROCESS = "ncsctl calibrate", "ncs_cluster.processes.heated"
TELL_S = 0.5
PLAIN_TELL_S = 60.0
"""Seconds between two lines of progress: on a terminal, where the line is drawn again, and elsewhere."""


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    given = arguments.parse(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="ncs-calibrate-", ignore_cleanup_errors=True) as folder:
            return _calibrate(given, Path(folder))
    except ConfigError as error:
        return _failed(str(error), WRONG)
    except NcsClusterError as error:
        return _failed(str(error), FAILED)
    except OSError as error:
        return _failed(format_os_error(error), FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def _calibrate(given: argparse.Namespace, folder: Path) -> int:
    settings = _settings(given)
    for notice in settings.notices:
        print(f"{PROGRAM}: {one_line(notice)}", file=sys.stderr, flush=True)
    sticks = Sticks(settings, partial(_numbered, given))
    stick = _chosen(given.stick, sticks.whole(sticks.count))
    scale = given.time_scale or sticks.time_scale
    limit_c = settings.pools[0].clusters.switch_temp_c
    graph = settings.graphs[0].name if settings.graphs else ""
    measurement = Measurement(stick.id, stick.backend, str(graph), given.idle * 60, given.load * 60, limit_c, scale)
    file = places.calibration(Path(settings.state_dir), stick.id)
    part = file.with_suffix(".part")
    before = [] if given.again else samples.load(part, measurement)
    runtime = settings.runtimes.get(stick.runtime, RuntimeSpec(sys.executable))
    opening = OpenHeated(stick, settings.graphs, scale, limit_c)
    found = list(before)
    device: Heated | None = None
    error: NcsClusterError | None = None
    interrupted = False
    with Kept(part, measurement, begun=bool(before)) as kept:
        program = Program(PROCESS, runtime.python, environment(runtime, folder), folder / "log", FromHeated)
        try:
            device = measure.opened(program, opening)

            def keep(sample: Sample) -> None:
                found.append(sample)
                kept.add(sample)

            measure.run(
                measurement,
                before,
                partial(measure.next_reading, program),
                lambda on: program.send(Load(on)),
                keep,
                _progress(given, measurement, before),
            )
        except KeyboardInterrupt:
            interrupted = True
        except NcsClusterError as failure:
            error = failure
        finally:
            program.stop()
            program.kill()
    if device is None or (error is not None and not found):
        return INTERRUPTED if interrupted else _failed(f"stick {stick.id}: {error}", FAILED)
    return _ended(given, measurement, device, found, file, error=error, interrupted=interrupted)


def _ended(
    given: argparse.Namespace,
    measurement: Measurement,
    device: Heated,
    found: list[Sample],
    file: Path,
    *,
    error: NcsClusterError | None,
    interrupted: bool,
) -> int:
    """Fit what there is; only a whole measurement is written for the daemon."""
    try:
        fitted: tuple[Fit, Values] | None = fit(found)
        why = ""
    except Unfit as unfit:
        fitted, why = None, str(unfit)
    if given.plot:
        from ncs_cluster.cli.calibrate.plot import png

        title = f"{measurement.stick}: {device.device}"
        note = f"Limit {measurement.limit_c:g} °C. {why}" if why else f"Limit {measurement.limit_c:g} °C."
        Path(given.plot).write_bytes(png(found, [] if fitted is None else fitted[1].tolist(), title, note))
    whole = not interrupted and error is None
    if fitted is not None:
        calibration = Calibration(
            version=ncs_cluster.__version__,
            on=datetime.now().astimezone().date().isoformat(),
            device=device.device,
            firmware=device.firmware,
            measurement=measurement,
            figures=fitted[0].figures,
            fit=fitted[0],
            hottest_c=max(sample.temperature_c for sample in found),
            throttled_c=report.throttled_c(found),
            samples=found,
        )
        print(_json(calibration) if given.json else report.text(calibration), flush=True)
        if whole:
            report.write(file, calibration)
            file.with_suffix(".part").unlink(missing_ok=True)
            print(f"{PROGRAM}: written: {file}; the next start of ncs-clusterd uses it", file=sys.stderr)
    if interrupted:
        done_s, all_s = samples.measured_s(found), samples.phases(measurement)[-1].until_s
        kept = f"{duration(done_s)} of {duration(all_s)} are kept; the same command goes on"
        return _failed(f"interrupted: {kept}", INTERRUPTED)
    if error is not None:
        return _failed(f"stick {measurement.stick}: {error}; what was measured is kept, the same command goes on", FAILED)
    return CALIBRATED if fitted is not None else _failed(f"stick {measurement.stick}: {why}", FAILED)


def _json(calibration: Calibration) -> str:
    document = msgspec.to_builtins(calibration)
    del document["samples"]
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _settings(given: argparse.Namespace) -> Settings:
    return read(PROGRAM, arguments.of_daemon(given))


def _numbered(given: argparse.Namespace, count: int) -> Settings:
    return read(PROGRAM, [*arguments.of_daemon(given), "--sticks", str(count)], graphs=False)


def _chosen(named: str | None, there: list[StickSpec]) -> StickSpec:
    """Raises ConfigError."""
    fitting = [stick for stick in there if named is None or named in (stick.id, stick.port, stick.name)]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(stick.id for stick in there)
    if named is None:
        raise ConfigError(f"--stick: which one? There are {names}")
    raise ConfigError(f"--stick {named}: there is no such stick, but {names}")


def _progress(given: argparse.Namespace, measurement: Measurement, before: list[Sample]) -> measure.Tell:
    all_s = samples.phases(measurement)[-1].until_s
    redrawn = sys.stderr.isatty()
    told: list[float | str] = [0.0, ""]
    if before and not given.quiet:
        print(f"{PROGRAM}: goes on after {duration(samples.measured_s(before))}", file=sys.stderr, flush=True)

    def tell(phase: Phase, done_s: float, measured: Measured) -> None:
        now_s = time.monotonic()
        due = now_s >= float(told[0]) + (TELL_S if redrawn else PLAIN_TELL_S)
        if given.quiet or not (due or phase.name != told[1]):
            return
        told[:] = [now_s, phase.name]
        value = "no reading" if measured.temperature_c is None else f"{measured.temperature_c:.1f} °C"
        cool = ", cools down under the limit" if measured.kept_cool else ""
        left = duration(max(0.0, all_s - done_s) / measurement.time_scale)
        line = f"{measurement.stick}: {phase.name}, {value}{cool}; {done_s / all_s:.0%}, {left} left"
        print(f"\r{line}\x1b[K" if redrawn else line, end="" if redrawn else "\n", file=sys.stderr, flush=True)

    return tell


def _failed(line: str, code: int) -> int:
    newline = "\n" if sys.stderr.isatty() else ""
    print(f"{newline}{PROGRAM}: {one_line(line)}", file=sys.stderr)
    return code
