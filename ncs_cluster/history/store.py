"""The file: STATE_DIR/history.db, an SQLite database of one writer. Each commit is whole after a power cut.

    series(id, kind, name)                kinds and units: series.KINDS
    minutes(at, series, low, mean, high)  `at`: Unix time / 60 of the minute's end; values are hundredths of the unit
    events(at, level, who, name, text)    `at`: Unix time

What is written is small, since an SD card lasts for so many bytes: a commit rewrites the last page of each table. For that reason
events have no index of their times.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from ncs_cluster.errors import NcsClusterError, format_os_error
from ncs_cluster.history.series import Minute, Series
from ncs_cluster.status import Event

NAME = "history.db"
VERSION = 1
BUSY_S = 10.0
"""Longest wait for a reader, seconds."""
MOST_EVENTS = 20_000
"""Events kept of level info, and as many of all other levels."""
DAY_MIN = 24 * 60
ERASED_AT_ONCE_MIN = 60
"""Older minutes are erased in spans of an hour."""

TABLES = """
CREATE TABLE series(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, UNIQUE(kind, name));
CREATE TABLE minutes(at INTEGER, series INTEGER, low INTEGER, mean INTEGER, high INTEGER, PRIMARY KEY(at, series)) WITHOUT ROWID;
CREATE TABLE events(id INTEGER PRIMARY KEY, at REAL NOT NULL, level TEXT NOT NULL, who TEXT NOT NULL, name TEXT, text TEXT);
"""


class HistoryError(NcsClusterError):
    """The history cannot be used; the message is one line."""


class Damaged(HistoryError):
    """The file is no such database."""


class Store:
    """The writer. Every method may block for as long as the disk does, and raises HistoryError."""

    def __init__(self, folder: Path, days: int) -> None:
        """`days`: older minutes and events are erased."""
        self.path, self._days = folder / NAME, days
        self.set_aside: Path | None = None
        """Where a damaged file was moved to at the start."""
        self._numbers: dict[Series, int] = {}
        self._erased_at = 0
        with _translated(self.path):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._database = _opened(self.path)
        except Damaged:
            self.set_aside = self.path.with_name(NAME + ".damaged")
            with _translated(self.path):
                os.replace(self.path, self.set_aside)
                self.path.with_name(NAME + "-journal").unlink(missing_ok=True)
            self._database = _opened(self.path)

    def add(self, minutes: Sequence[Minute], events: Sequence[Event], *, now_s: float, wall_s: float) -> None:
        """One commit. `now_s`, `wall_s`: the same moment by the monotonic clock, which the minutes have, and by the wall clock."""
        with _translated(self.path), self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO minutes VALUES(?, ?, ?, ?, ?)",
                (
                    (
                        round((wall_s - now_s + each.ended_s) / 60),
                        self._number(each.series),
                        *(round(value * 100) for value in (each.low, each.mean, each.high)),
                    )
                    for each in minutes
                ),
            )
            self._database.executemany(
                "INSERT INTO events(at, level, who, name, text) VALUES(?, ?, ?, ?, ?)",
                ((each.at, each.level, each.who, each.name, each.text) for each in events),
            )
            self._erase(round(wall_s / 60) - self._days * DAY_MIN)

    def close(self) -> None:
        self._database.close()

    def _number(self, series: Series) -> int:
        if series not in self._numbers:
            self._database.execute("INSERT OR IGNORE INTO series(kind, name) VALUES(?, ?)", series)
            row = self._database.execute("SELECT id FROM series WHERE kind = ? AND name = ?", series).fetchone()
            self._numbers[series] = row[0]
        return self._numbers[series]

    def _erase(self, oldest_at: int) -> None:
        if oldest_at - self._erased_at < ERASED_AT_ONCE_MIN:
            return
        self._erased_at = oldest_at
        self._database.execute("DELETE FROM minutes WHERE at < ?", (oldest_at,))
        self._database.execute("DELETE FROM events WHERE at < ?", (oldest_at * 60,))
        for routine in (0, 1):
            # routine events must not push out what went wrong
            self._database.execute(
                "DELETE FROM events WHERE (level = 'info') = ?1 AND id <="
                " (SELECT id FROM events WHERE (level = 'info') = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                (routine, MOST_EVENTS),
            )


def _opened(path: Path) -> sqlite3.Connection:
    with _translated(path):
        made = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
        try:
            os.chmod(path, 0o640)
            # the journal is kept and emptied: creating a file writes its folder too
            made.execute("PRAGMA journal_mode=TRUNCATE")
            version = made.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                made.executescript(f"BEGIN;{TABLES}PRAGMA user_version={VERSION};COMMIT;")
            elif version != VERSION:
                raise HistoryError(f"{path} is of another version ({version}, expected {VERSION}): move it away")
            made.execute("SELECT MAX(at) FROM minutes").fetchone()
        except BaseException:
            made.close()
            raise
        return made


class _translated:
    """Errors of SQLite become HistoryError, one line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise HistoryError(f"no history is kept: {format_os_error(error)}") from error
        if not isinstance(error, sqlite3.Error):
            return
        if isinstance(error, sqlite3.DatabaseError) and error.sqlite_errorcode & 0xFF in (
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
        ):
            raise Damaged(f"{self._path} is damaged: {error}") from error
        raise HistoryError(f"{self._path} cannot be used: {error}") from error
