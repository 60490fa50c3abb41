"""The tables of a job's ledger, an SQLite database in WAL mode.

A commit does not wait for the disk: after a power cut the ledger may be older than the outputs, never newer, because a sink's state
is noted only after its output was synced. What it does not know is done again. Runs on CPython 3.9.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from typing import Iterator

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.plugins import reason

VERSION = 1
BUSY_S = 10.0
"""How long a writer waits for another process's transaction."""

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE roots(id INTEGER PRIMARY KEY, folder BLOB NOT NULL, prefix TEXT NOT NULL, confined INTEGER NOT NULL);
CREATE TABLE items(number INTEGER PRIMARY KEY, root INTEGER NOT NULL, name BLOB NOT NULL);
CREATE TABLE films(item INTEGER PRIMARY KEY, first INTEGER NOT NULL UNIQUE, declared INTEGER NOT NULL, frames INTEGER);
CREATE TABLE failures(frame INTEGER PRIMARY KEY, item TEXT, item_frame INTEGER, reason TEXT NOT NULL);
CREATE TABLE retries(number INTEGER PRIMARY KEY, frame INTEGER NOT NULL);
CREATE TABLE sinks(name TEXT PRIMARY KEY, next INTEGER NOT NULL, token BLOB, finished INTEGER NOT NULL) WITHOUT ROWID;
"""


class LedgerError(NcsClusterError):
    """The ledger cannot be used; the message is one line."""


def connect(path: str, *, create: bool) -> sqlite3.Connection:
    """Raises LedgerError, OSError."""
    if not create:
        os.stat(path)
    with translated(path):
        made = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            made.execute("PRAGMA journal_mode=WAL")
            made.execute("PRAGMA synchronous=NORMAL")
            version = made.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and create:
                made.execute("BEGIN IMMEDIATE")
                for statement in filter(str.strip, TABLES.split(";")):
                    made.execute(statement)
                made.execute(f"PRAGMA user_version={VERSION}")
                made.execute("COMMIT")
            elif version != VERSION:
                raise LedgerError(f"{path} is the ledger of another version ({version}, expected {VERSION}); choose another folder")
        except BaseException:
            made.close()
            raise
    return made


@contextmanager
def transaction(connection: sqlite3.Connection, path: str) -> Iterator[None]:
    """All or nothing. Raises OSError where the disk is full or cannot be read, LedgerError for a damaged file."""
    with translated(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def translated(path: str) -> Iterator[None]:
    """SQLite's errors as OSError (full disk, no access, held by another process) and LedgerError (damaged)."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if text.startswith(("Could not decode", "no such table", "no such column")):
            raise LedgerError(damaged(path, text.partition(" with text ")[0])) from error
        number = errno.ENOSPC if "full" in text else errno.EBUSY if "locked" in text else errno.EIO
        raise OSError(number, f"{os.strerror(number)} ({text})", path) from error
    except sqlite3.DatabaseError as error:
        raise LedgerError(damaged(path, error)) from error


@contextmanager
def understood(path: str) -> Iterator[None]:
    """Around what makes values of a row: one of another type or form was not written by a Ledger."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise LedgerError(damaged(path, reason(error))) from error


def damaged(path: str, why: object) -> str:
    return f"{path} is damaged ({why}); remove the job's folder to begin anew"
