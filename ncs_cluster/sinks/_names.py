"""Which of several names a file got, when all were written in order: found again without the files. Runs on CPython 3.9."""

from __future__ import annotations

import sqlite3
from types import TracebackType
from typing import Optional, Type


class Names:
    """Relative paths taken so far: in a database of its own, which SQLite removes, because they may be millions."""

    def __enter__(self) -> Names:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE taken(path TEXT PRIMARY KEY, is_file INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._db.close()

    def take(self, path: str) -> bool:
        """False where another file has the name, or a folder, or a file has that of its folder."""
        folders = path.split("/")[:-1]
        for depth in range(len(folders)):
            folder = "/".join(folders[: depth + 1])
            self._db.execute("INSERT OR IGNORE INTO taken VALUES(?, 0)", (folder,))
            if self._db.execute("SELECT is_file FROM taken WHERE path = ?", (folder,)).fetchone()[0]:
                return False
        return self._db.execute("INSERT OR IGNORE INTO taken VALUES(?, 1)", (path,)).rowcount > 0
