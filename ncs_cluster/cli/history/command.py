"""The command line, and the past as text and JSON."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ncs_cluster.cli import moment, show
from ncs_cluster.cli.text import Cell, Line, Terminal, clock, table
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.history import reading
from ncs_cluster.history.reading import SUMMED, Past, Point
from ncs_cluster.history.series import KINDS
from ncs_cluster.status import Event

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
BARS = "▁▂▃▄▅▆▇█"
COLUMNS = 40
"""Columns of a small chart."""
LEAST_RANGE = 0.1
"""Least range of a small chart, as a fraction of its highest value."""
DETAIL = 300
"""Points of each series in JSON and in the picture."""
SHOWN_EVENTS = 10


class NothingRecorded(NcsClusterError):
    """There is no figure in the span; the message is one line."""


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    made = command("history", run, "temperatures, rates and events of the last weeks; without a daemon too")
    made.add_argument("--since", metavar="WHEN", default="24h", help="begin of the span: 90m, 24h, 7d, 22:30, 2025-01-31 [24h]")
    made.add_argument("--until", metavar="WHEN", help="end of the span [now]")
    made.add_argument("--of", metavar="NAME", action="append", help="only this stick, camera or program (repeatable)")
    made.add_argument("--kind", choices=list(KINDS), action="append", help="only figures of this kind (repeatable)")
    made.add_argument("--events", action="store_true", help="every event of the span, not only the last that went wrong")
    made.add_argument("--plot", metavar="FILE", help="draw temperatures and rates into this PNG file")
    made.add_argument("--json", action="store_true", help="series and events as one JSON object")
    made.add_argument("--state-dir", metavar="DIR", help="the daemon's state directory [as ncs-clusterd]")


def run(given: argparse.Namespace) -> int:
    """Raises HistoryError, NoMoment, NothingRecorded."""
    from ncs_cluster.provision import places

    now_at = time.time()
    since = moment.earlier(given.since, now_at)
    until = now_at if given.until is None else moment.earlier(given.until, now_at)
    if since >= until:
        raise moment.NoMoment(f"--since ({clock(since, with_day=True)}) must be before --until ({clock(until, with_day=True)})")
    folder = Path(given.state_dir) if given.state_dir else places.for_tools()
    past = _wanted(reading.past(folder, since, until, DETAIL), given)
    events = reading.events(folder, since, until)
    if given.plot is not None:
        from ncs_cluster.cli.history import plot

        if not past.series:
            raise NothingRecorded(f"nothing to draw: nothing was recorded {_span(past)}")
        Path(given.plot).write_bytes(plot.png(past, f"ncs_cluster {_span(past)}"))
    if given.json:
        _json(past, events)
        return 0
    terminal = Terminal(cut=True)
    lines = [*_figures(past), *_events(events, since, until, whole=given.events)]
    for line in lines:
        print(terminal.render(line))
    if given.plot is not None:
        print(f"drawn: {given.plot}")
    return 0


def _wanted(past: Past, given: argparse.Namespace) -> Past:
    names, kinds = given.of or [], given.kind or []
    if unknown := sorted(set(names) - {series.name for series in past.series}):
        known = ", ".join(sorted({series.name for series in past.series if series.name}))
        others = f"recorded are {known}" if known else "nor of anything else"
        raise NothingRecorded(f"nothing was recorded of {unknown[0]} {_span(past)}; {others}")
    return past._replace(
        series={
            series: points
            for series, points in past.series.items()
            if (not names or series.name in names) and (not kinds or series.kind in kinds)
        }
    )


def _span(past: Past) -> str:
    return f"from {clock(past.since, with_day=True)} to {clock(past.until, with_day=True)}"


def _figures(past: Past) -> Iterator[Line]:
    yield [Cell(_span(past).capitalize(), "bold")]
    if not past.series:
        yield [Cell("nothing was recorded; the first figures come a minute after the daemon's start", "dim")]
        return
    rows = []
    for series, points in past.series.items():
        unit = KINDS[series.kind].unit
        total = sum(point.mean for point in points)
        low, mean, high = min(p.low for p in points), total / len(points), max(p.high for p in points)
        figures = ("", f"{total:g}", "") if series.kind in SUMMED else tuple(f"{each:.1f}" for each in (low, mean, high))
        rows.append([Cell(each) for each in (series.kind, series.name, *figures, unit, spark(points, past))])
    yield from table(["", "", "lowest", "mean", "highest", "", f"one bar: {past.span_s * _step(past) / 60:g} min"], rows, (2, 3, 4))


def _step(past: Past) -> int:
    """Points of the past in one column of a small chart."""
    return max(1, -(-round((past.until - past.since) / past.span_s) // COLUMNS))


def spark(points: Sequence[Point], past: Past) -> str:
    """A bar for each span of time, a space where nothing was recorded; the lowest mean is the lowest bar."""
    wide = past.span_s * _step(past)
    columns: dict[int, list[float]] = {}
    for point in points:
        columns.setdefault(int((point.at - past.since) // wide), []).append(point.mean)
    means = {at: sum(values) / len(values) for at, values in columns.items()}
    low, high = min(means.values()), max(means.values())
    count = max(1, round((past.until - past.since) / wide))
    # bars of a nearly constant series stay level: without LEAST_RANGE they would show its noise
    step = max(high - low, LEAST_RANGE * abs(high)) / (len(BARS) - 1) or 1.0
    return "".join(BARS[round((means[at] - low) / step)] if at in means else " " for at in range(count))


def _events(events: Sequence[Event], since: float, until: float, *, whole: bool) -> Iterator[Line]:
    wrong = [event for event in events if event.level != "info"]
    if whole:
        shown, title = list(events), f"{len(events)} events"
    else:
        shown = wrong[-SHOWN_EVENTS:]
        title = _counted(wrong) + (f", the last {SHOWN_EVENTS}" if len(wrong) > len(shown) else "")
    yield []
    yield [Cell(title, "bold")]
    for event in shown:
        yield show.event(event)


def _counted(wrong: Sequence[Event]) -> str:
    if len(wrong) == 1:
        return "1 warning or error"
    return f"{len(wrong) or 'no'} warnings and errors"


def _json(past: Past, events: Sequence[Event]) -> None:
    import json

    import msgspec

    document = {**reading.document(past), "events": [msgspec.to_builtins(event) for event in events]}
    print(json.dumps(document, ensure_ascii=False))
