"""Reading a history, while a daemon writes it and without one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from ncs_cluster.errors import format_os_error
from ncs_cluster.history.series import KINDS, Series
from ncs_cluster.history.store import BUSY_S, NAME, VERSION, HistoryError
from ncs_cluster.status import Event

SUMMED = ("switches",)
"""Kinds of which a span has the sum; of the others it has the mean."""


class NoHistory(HistoryError):
    """There is no file yet."""


class Point(NamedTuple):
    """A series over a span of time."""

    at: float
    """Unix time of the span's beginning."""
    low: float
    mean: float
    high: float


class Past(NamedTuple):
    """What a history has from `since` to `until`, Unix times."""

    since: float
    until: float
    span_s: float
    """Of one point."""
    series: dict[Series, list[Point]]
    """By kind as KINDS, then by name; points in the order of time, none where nothing was recorded."""


def past(folder: Path, since: float, until: float, most_points: int = 300) -> Past:
    """At most `most_points` for each series; a point is a whole number of minutes. Raises HistoryError."""
    first, last = int(since // 60), int(until // 60)
    width = max(1, -(-(last - first) // most_points))
    with _reading(folder) as database:
        names = {number: Series(kind, name) for number, kind, name in database.execute("SELECT id, kind, name FROM series")}
        rows = database.execute(
            "SELECT series, (at - 1 - ?) / ? AS span, MIN(low), AVG(mean), MAX(high), SUM(mean) FROM minutes"
            " WHERE at > ? AND at <= ? GROUP BY series, span ORDER BY span",
            (first, width, first, last),
        ).fetchall()
    found: dict[Series, list[Point]] = {}
    for number, span, low, mean, high, total in rows:
        series = names.get(number)
        if series is not None and series.kind in KINDS:
            middle = total if series.kind in SUMMED else mean
            found.setdefault(series, []).append(Point((first + span * width) * 60.0, low / 100, round(middle / 100, 2), high / 100))
    order = list(KINDS)
    ordered = {series: found[series] for series in sorted(found, key=lambda each: (order.index(each.kind), each.name))}
    return Past(first * 60.0, last * 60.0, width * 60.0, ordered)


def events(folder: Path, since: float, until: float, most: int = 1000, *, wrong: bool = False) -> list[Event]:
    """The newest `most`, oldest first; ids are those of the history. `wrong`: warnings and errors alone. Raises HistoryError."""
    levels = " AND level != 'info'" if wrong else ""
    with _reading(folder) as database:
        rows = database.execute(
            f"SELECT id, at, level, who, text, name FROM events WHERE at >= ? AND at <= ?{levels} ORDER BY id DESC LIMIT ?",
            (since, until, most),
        ).fetchall()
    return [Event(*row) for row in reversed(rows)]


def document(found: Past) -> dict[str, Any]:
    """The past for programs: docs/gateway.md."""
    return {
        "since": found.since,
        "until": found.until,
        "span_s": found.span_s,
        "series": [
            {"kind": series.kind, "name": series.name, "unit": KINDS[series.kind].unit, "points": [list(point) for point in points]}
            for series, points in found.series.items()
        ],
    }


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / NAME
    try:
        path.stat()
        database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_S)
    except FileNotFoundError:
        raise NoHistory(f"there is no history: {path} does not exist") from None
    except (OSError, sqlite3.Error) as error:
        raise HistoryError(format_os_error(error) if isinstance(error, OSError) else f"{path} cannot be read: {error}") from error
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise HistoryError(f"{path} is of another version ({version}, expected {VERSION})")
        yield database
    except sqlite3.Error as error:
        raise HistoryError(f"{path} cannot be read: {error}") from error
    finally:
        database.close()
