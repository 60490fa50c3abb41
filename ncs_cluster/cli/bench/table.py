"""The report as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ncs_cluster.cli.bench.modes import MODES
from ncs_cluster.cli.bench.report import Report, Row, Spread, Sustained
from ncs_cluster.cli.bench.text import figure, how_many, on_devices, with_spread

NONE = "-"
BUSY = 0.25
"""CPU of other programs, in cores, from which on figures are doubted."""
NAMED = 5
"""Pictures with other results that are named."""


def markdown(report: Report) -> str:
    """With a line end."""
    parts = [_head(report), _table(*_seconds(report)), _table(*_rates(report))]
    parts += [_modes(report), *_failures(report.rows)]
    if report.sustained is not None:
        parts.append(_sustained(report.sustained))
    if report.sustained_error is not None:
        parts.append(f"Failed: sustained work: {report.sustained_error}")
    parts.append(_loaded(report))
    if not report.complete:
        parts.append("Interrupted: later runs are missing.")
    parts.append(f"**{report.recommendation}**")
    return "\n\n".join(filter(None, parts)) + "\n"


def _head(report: Report) -> str:
    machine = report.machine
    turns = "" if report.pictures >= report.counts[-1] else ", in turn"
    where = f"{machine.processor}, {machine.cores} cores; Python {machine.python}; {machine.system}"
    return (
        f"Graph {report.graph}, backend {report.backend}, {how_many(report.pictures)}{turns}, scaled down to "
        f"{report.size[0]}x{report.size[1]} where larger. Median (least..most) of {repeats(report)}.\n"
        f"{where}; ncs_cluster {report.version}; {report.at}."
    )


def repeats(report: Report) -> str:
    """How many each row has."""
    done = [row.repeats for row in report.rows if row.batches]
    if min(done) == max(done):
        return f"{done[0]} repeat{'s' * (done[0] != 1)}"
    return f"{min(done)} to {max(done)} repeats"


def _seconds(report: Report) -> tuple[list[str], list[list[str]]]:
    counts = [f"{count:,}" for count in report.counts]
    head = ["mode", "devices", "start, s", *(f"{count} pictures, s" for count in counts)]
    head += [*(f"{count} with start, s" for count in counts), "load / others"]
    body = [
        [
            row.mode,
            str(row.devices),
            _spread(row.start_s),
            *(with_spread(batch.seconds) for batch in row.batches),
            *(with_spread(batch.with_start) for batch in row.batches),
            _load(row),
        ]
        for row in report.rows
        if row.batches
    ]
    return head, body


def _rates(report: Report) -> tuple[list[str], list[list[str]]]:
    head = ["mode", "devices", f"pictures/s at {report.counts[-1]:,}", "beside serial", "scaling", "p50/p90/p99, ms"]
    head += ["ahead from", "same results", "load / others"]
    return head, [_rate(row) for row in report.rows if row.batches]


def _rate(row: Row) -> list[str]:
    latency = NONE
    if row.latency_ms is not None:
        latency = "/".join(map(figure, (row.latency_ms.p50, row.latency_ms.p90, row.latency_ms.p99)))
    when = NONE
    if row.times_serial is not None:
        when = "never" if row.break_even is None else how_many(row.break_even)
    return [
        row.mode,
        str(row.devices),
        _spread(row.per_second),
        NONE if row.times_serial is None else f"{row.times_serial:.2f}x",
        NONE if row.efficiency is None else f"{row.efficiency:.0%}",
        latency,
        when,
        "yes" if not row.differing else f"{len(row.differing)} differ",
        _load(row),
    ]


def _modes(report: Report) -> str:
    measured = dict.fromkeys(row.mode for row in report.rows)
    return "\n".join(f"- {name}: {MODES[name].title}" for name in measured)


def _failures(rows: Sequence[Row]) -> list[str]:
    lines = []
    for row in rows:
        where = on_devices(row.mode, row.devices)
        if row.error is not None:
            lines.append(f"Failed: {where}, after {row.repeats} good run{'s' * (row.repeats != 1)}: {row.error}")
        if row.differing:
            more = f" and {len(row.differing) - NAMED} more" if len(row.differing) > NAMED else ""
            lines.append(f"Other results than the first row: {where}: {', '.join(row.differing[:NAMED])}{more}")
    return lines


def _sustained(run: Sustained) -> str:
    line = (
        f"Sustained, {on_devices(run.mode, run.devices)}, {figure(run.seconds)} s: "
        f"{figure(run.first_per_second)} pictures/s in the first tenth, {figure(run.last_per_second)} in the last"
    )
    if run.first_per_second:
        line += f" ({run.last_per_second / run.first_per_second - 1:+.0%})"
    return f"{line}; {_warmed(run)}; load {figure(run.load)}, others' CPU {run.others:.0%}."


def _warmed(run: Sustained) -> str:
    """From which temperature to which each stick went."""
    parts = []
    for stick in dict.fromkeys(name for heat in run.temperatures for name in heat.celsius):
        known = [value for heat in run.temperatures if (value := heat.celsius.get(stick)) is not None]
        if known:
            parts.append(f"{stick} {known[0]:.0f} to {known[-1]:.0f} °C, at most {max(known):.0f}")
    return ", ".join(parts) or "no device reports a temperature"


def _loaded(report: Report) -> str:
    """A warning where other work had the machine."""
    others = [row.others.most for row in report.rows if row.others is not None]
    if not others or max(others) <= BUSY:
        return ""
    return (
        f"Other programs took up to {max(others):.0%} of a core meanwhile, and all figures are slower and wider for it. "
        f"Measure on a quiet machine before you rely on small differences."
    )


def _load(row: Row) -> str:
    """Load average with its spread, and the median of the others' CPU."""
    return NONE if row.load is None or row.others is None else f"{with_spread(row.load)} / {row.others.median:.0%}"


def _spread(spread: Spread | None) -> str:
    return NONE if spread is None else with_spread(spread)


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, so that it can be read as text too."""
    if not body:
        return ""
    widths = [max(len(line[at]) for line in (head, *body)) for at in range(len(head))]
    lines = [head, ["-" * width for width in widths], *body]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
