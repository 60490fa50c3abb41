"""The report as a picture: seconds over the number of pictures, and pictures per second over the number of devices."""

from __future__ import annotations

from ncs_cluster.cli.bench.modes import MODES
from ncs_cluster.cli.bench.report import Report, Row, Spread
from ncs_cluster.cli.bench.table import repeats
from ncs_cluster.cli.bench.text import figure, how_many, on_devices
from ncs_cluster.render.chart import Bars, Lines, Series, Value, draw, encoded

COLOURS = {"serial": (110, 102, 96), "threads": (0, 159, 230), "processes": (115, 158, 0), "queue": (178, 114, 0)}
"""Blue, green, red: four that colour-blind people can tell apart (Okabe and Ito, Color Universal Design)."""


def png(report: Report) -> bytes:
    """A PNG file. `report` has at least one measured row."""
    rows = [row for row in report.rows if row.batches]
    return encoded(draw([_times(report, rows), _rates(report, rows)], _title(report), _notes(report, rows)))


def _title(report: Report) -> str:
    return f"{report.graph} on {report.backend}: {', '.join(dict.fromkeys(row.mode for row in report.rows if row.batches))}"


def _notes(report: Report, rows: list[Row]) -> list[str]:
    loads = [load for row in rows if row.load is not None for load in (row.load.least, row.load.most)]
    others = [row.others.median for row in rows if row.others is not None]
    size = f"{report.size[0]}x{report.size[1]}"
    measured = (
        f"Medians of {repeats(report)}, with least and most; {how_many(report.pictures)}, at most {size}; "
        f"load {figure(min(loads))}..{figure(max(loads))} on {report.machine.cores} cores, "
        f"others' CPU {min(others):.0%}..{max(others):.0%} of a core"
    )
    where = f"{report.machine.processor}; Python {report.machine.python}; ncs_cluster {report.version}; {report.at}"
    return [measured, where]


def _times(report: Report, rows: list[Row]) -> Lines:
    """Each mode on its most devices. At 0 pictures stands the start."""
    series = []
    for mode in MODES:
        of_mode = [row for row in rows if row.mode == mode]
        if of_mode:
            row = of_mode[-1]
            assert row.start_s is not None
            points = [(0.0, _value(row.start_s)), *((float(batch.count), _value(batch.with_start)) for batch in row.batches)]
            series.append(Series(on_devices(mode, row.devices), COLOURS[mode], points))
    ticks = [0.0, *map(float, report.counts)]
    return Lines("Time with the start (at 0: the start alone)", "number of pictures", "seconds", series, ticks)


def _rates(report: Report, rows: list[Row]) -> Bars:
    devices = sorted({row.devices for row in rows})
    series = [
        Series(
            mode,
            COLOURS[mode],
            [
                (float(devices.index(row.devices)), _value(row.per_second))
                for row in rows
                if row.mode == mode and row.per_second is not None
            ],
        )
        for mode in MODES
        if any(row.mode == mode for row in rows)
    ]
    title = f"Rate at {how_many(report.counts[-1])}, without the start"
    return Bars(title, "number of devices", "pictures per second", series, [str(count) for count in devices])


def _value(spread: Spread) -> Value:
    return Value(spread.median, spread.least, spread.most)
