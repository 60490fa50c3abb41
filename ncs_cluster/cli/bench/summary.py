"""Figures of the runs: a Row for each mode and number of devices. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import structs

from ncs_cluster.cli.bench import statistics
from ncs_cluster.cli.bench.load import Load
from ncs_cluster.cli.bench.measure import FailedRun, Plan, Run
from ncs_cluster.cli.bench.modes import SERIAL
from ncs_cluster.cli.bench.report import Batch, Heat, Row, Spread, Sustained
from ncs_cluster.cli.bench.results import differing


class SustainedRun(NamedTuple):
    """Work for `seconds` on all devices."""

    mode: str
    devices: int
    seconds: float
    ends_s: list[float]
    """When each result was there, since the begin, ascending."""
    temperatures: list[Heat]
    load: Load


def rows(plan: Plan, runs: Sequence[Run | FailedRun]) -> list[Row]:
    """In the order of the plan, those without any run left out."""
    made = []
    expected = next((run.results.by_item() for mode, devices in plan.pairs() for run in _good(runs, mode.name, devices)), {})
    for mode, devices in plan.pairs():
        good = _good(runs, mode.name, devices)
        error = next((run.error for run in runs if isinstance(run, FailedRun) and _is(run, mode.name, devices)), None)
        if not good:
            if error is not None:
                made.append(Row(mode=mode.name, devices=devices, repeats=0, error=error))
            continue
        wrong = {item: None for run in good for item in differing(expected, run.results.by_item())}
        made.append(_row(plan, good, error, list(wrong)))
    return _compared(made)


def _good(runs: Sequence[Run | FailedRun], mode: str, devices: int) -> list[Run]:
    return [run for run in runs if isinstance(run, Run) and _is(run, mode, devices)]


def _is(run: Run | FailedRun, mode: str, devices: int) -> bool:
    return (run.mode, run.devices) == (mode, devices)


def _row(plan: Plan, runs: Sequence[Run], error: str | None, wrong: list[str]) -> Row:
    batches = [
        Batch(
            count,
            statistics.spread([run.work_s[at] for run in runs]),
            statistics.spread([run.start_s + run.work_s[at] for run in runs]),
        )
        for at, count in enumerate(plan.counts)
    ]
    greatest = plan.counts[-1]
    return Row(
        mode=runs[0].mode,
        devices=runs[0].devices,
        repeats=len(runs),
        error=error,
        start_s=statistics.spread([run.start_s for run in runs]),
        batches=batches,
        per_second=statistics.spread([greatest / run.work_s[-1] for run in runs]),
        latency_ms=statistics.latency([line.latency_ms for run in runs for line in run.results.lines]),
        differing=wrong,
        load=statistics.spread([run.load.average for run in runs]),
        others=statistics.spread([run.load.others for run in runs]),
    )


def _compared(rows: Sequence[Row]) -> list[Row]:
    """With the figures that compare a row with others."""
    serial = next((row for row in rows if row.mode == SERIAL and row.per_second is not None), None)
    return [structs.replace(row, **_beside_serial(row, serial), efficiency=_efficiency(row, rows)) for row in rows]


def _beside_serial(row: Row, serial: Row | None) -> dict[str, float | int | None]:
    if serial is None or row is serial or row.per_second is None or serial.per_second is None:
        return {}
    return {
        "times_serial": row.per_second.median / serial.per_second.median,
        "break_even": statistics.break_even(*_line(row), *_line(serial)),
    }


def _line(row: Row) -> tuple[float, float]:
    """Start, and time of each picture, seconds."""
    assert row.start_s is not None
    last = row.batches[-1]
    return row.start_s.median, last.seconds.median / last.count


def _efficiency(row: Row, rows: Sequence[Row]) -> float | None:
    alike = [other for other in rows if other.mode == row.mode and other.per_second is not None]
    if row.per_second is None or len(alike) < 2:
        return None
    fewest = min(alike, key=lambda other: other.devices)
    assert fewest.per_second is not None
    return row.per_second.median / row.devices / (fewest.per_second.median / fewest.devices)


def fastest(rows: Sequence[Row]) -> Row | None:
    """The row with the least median time at the greatest count, start included."""
    return min((row for row in rows if row.batches), key=lambda row: row.batches[-1].with_start.median, default=None)


def quickest(rows: Sequence[Row]) -> Row | None:
    """The row with the most pictures per second."""
    return max((row for row in rows if row.batches), key=lambda row: row.per_second.median if row.per_second else 0.0, default=None)


def sustained(run: SustainedRun) -> Sustained:
    """The last results come when no picture is begun any more, and do not count; neither does the wait for the first one."""
    ends_s = run.ends_s
    first_s, last_s = (ends_s[0], max(ends_s[0], run.seconds)) if ends_s else (0.0, run.seconds)
    tenth_s = (last_s - first_s) / 10
    return Sustained(
        mode=run.mode,
        devices=run.devices,
        seconds=run.seconds,
        pictures=len(ends_s),
        first_per_second=statistics.rate_between(ends_s, first_s, first_s + tenth_s),
        last_per_second=statistics.rate_between(ends_s, last_s - tenth_s, last_s),
        temperatures=run.temperatures,
        load=run.load.average,
        others=run.load.others,
    )


def overlap(one: Spread, other: Spread) -> bool:
    """Repeats of one are among those of the other: the difference may be chance."""
    return one.least <= other.most and other.least <= one.most
