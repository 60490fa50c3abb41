"""A job's ledger: its items in order, which of them failed and why, and how far each sink is.

A *frame* is one unit of the job: a picture, or one frame of a film. Frames are numbered from 0 over all items, in order; a picture
has one, so only films need notes of where they begin. A *pass* goes over all frames; after it, each retry is a pass over the
frames that failed until then, and its *turns* are numbered from 0.

Several processes use one ledger: the camera process reads items and notes films, each sink notes its state and the failures, the
command reads. Runs on CPython 3.9.
"""

from __future__ import annotations

import json
import os
import weakref
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from ncs_cluster.jobs import schema

BATCH = 1000
"""Items read at once."""
EDGES = "edges"
"""Under this name the source of a chunk keeps what it knows of the ends of a part of a film."""


class Item(NamedTuple):
    """One file."""

    number: int
    name: str
    """As records and messages show it: relative where it was found in a folder."""
    path: str
    home: Optional[str]
    """The folder that the file may not lead out of; None where it was named by the user."""


class Root(NamedTuple):
    """Where items were found."""

    folder: str
    prefix: str
    """Before their names in records."""
    confined: bool
    """Links of its items may not lead out of it."""


def item_of(number: int, root: Root, name: bytes) -> Item:
    """The item that is called `name` where it was found."""
    text = os.fsdecode(name)
    shown = os.path.join(root.prefix, text).encode("utf-8", "backslashreplace").decode()
    return Item(number, shown, os.path.join(root.folder, text), root.folder if root.confined else None)


class Place(NamedTuple):
    """A frame's item, and its number in it."""

    item: int
    frame: int


class Progress(NamedTuple):
    """How far a sink is."""

    next: int
    """The first turn whose record is not durably written."""
    token: Optional[bytes]
    finished: bool


class Failure(NamedTuple):
    """A frame without a result."""

    frame: int
    item: Optional[str]
    item_frame: Optional[int]
    reason: str


class Ledger:
    """An open ledger. Methods raise OSError (full disk) and LedgerError."""

    def __init__(self, path: str, *, create: bool = False) -> None:
        self._path = path
        self._db = schema.connect(path, create=create)
        # Python 3.13 warns of a connection that is collected open; this holds it until the ledger is gone, in whatever order
        weakref.finalize(self, self._db.close)
        self._roots: Dict[int, Root] = {}
        self._items = 0
        self._retry: Optional[int] = None

    def close(self) -> None:
        self._db.close()

    def must_be_there(self) -> None:
        """Raises LedgerError where the file was removed: what is noted would be lost."""
        # not by its inode: some network file systems change that of an open file
        if not os.path.lexists(self._path):
            raise schema.LedgerError(f"{self._path} was removed while its job ran; give the job's command again to begin anew")

    # -- the job

    @property
    def job(self) -> Optional[Dict[str, Any]]:
        """The description of the job, as `begin` got it; None before the items are listed."""
        return self._document("job")

    def begin(
        self,
        job: Dict[str, Any],
        roots: List[Root],
        items: Iterable[Tuple[int, bytes]],
        sinks: Iterable[str],
        facts: Callable[[], Dict[str, Any]] = dict,
    ) -> int:
        """List the job's items, (index of a root, name below it), in one transaction; returns how many. `facts` is called behind
        the last item: what else is to be known of the job."""
        with self._changing():
            for table in ("meta", "roots", "items", "films", "failures", "retries", "sinks"):
                self._db.execute(f"DELETE FROM {table}")
            rows = [(number, os.fsencode(root.folder), root.prefix, int(root.confined)) for number, root in enumerate(roots)]
            self._db.executemany("INSERT INTO roots VALUES(?, ?, ?, ?)", rows)
            numbered = ((number, root, name) for number, (root, name) in enumerate(items))
            self._db.executemany("INSERT INTO items VALUES(?, ?, ?)", numbered)
            count = int(self._one("SELECT count(*) FROM items"))
            self._db.executemany("INSERT INTO sinks VALUES(?, 0, NULL, 0)", [(name,) for name in sinks])
            self._set("job", json.dumps(job, sort_keys=True))
            self._set("facts", json.dumps(facts(), sort_keys=True))
            self._set("pass", "0")
        self._roots.clear()
        self._retry, self._items = None, count
        return count

    @property
    def facts(self) -> Dict[str, Any]:
        """As `begin` got them; empty where an earlier version has listed the items."""
        return self._document("facts") or {}

    def kept(self, name: str) -> Optional[str]:
        """What a way to run the job has kept for its next command."""
        return self._meta(name)

    def keep(self, name: str, text: str) -> None:
        with self._changing():
            self._set(name, text)

    def forget(self, name: str) -> None:
        with self._changing():
            self._db.execute("DELETE FROM meta WHERE key = ?", (name,))

    @property
    def complete(self) -> bool:
        """Every turn of the present pass has its record in every output."""
        return self.end is not None and self.written >= self.end

    # -- items and frames

    @property
    def expected(self) -> int:
        """Turns of this pass, as far as they are known: a film that was not read to its end counts with the frames it declares."""
        if (end := self.end) is not None:
            return end
        films, frames = self._row("SELECT count(*), coalesce(sum(coalesce(frames, max(declared, 1))), 0) FROM films")
        return self.items - int(films) + int(frames)

    @property
    def items(self) -> int:
        """How many there are; they are counted once."""
        if not self._items:
            self._items = int(self._one("SELECT count(*) FROM items"))
        return self._items

    def item(self, number: int) -> Optional[Item]:
        return next(self.items_from(number, 1), None)

    def items_from(self, number: int, most: int = BATCH) -> Iterator[Item]:
        """At most `most` items, in order."""
        for each, root, name in self.select("SELECT * FROM items WHERE number >= ? ORDER BY number LIMIT ?", number, most):
            with schema.understood(self._path):
                item = item_of(each, self._root(root), name)
            yield item

    def place(self, frame: int) -> Place:
        """The item that holds a frame; for a frame that the job has reached, or the next one."""
        with self._reading():
            row = self._db.execute(
                "SELECT item, first, frames FROM films WHERE first <= ? ORDER BY first DESC LIMIT 1", (frame,)
            ).fetchone()
        if row is None:
            return Place(frame, 0)
        item, first, frames = row
        if frames is None or frame < first + frames:
            return Place(item, frame - first)
        return Place(item + 1 + frame - first - frames, 0)

    def first_frame(self, item: int) -> int:
        """The number of an item's first frame; for an item that the job has reached, or the next one."""
        with self._reading():
            row = self._db.execute(
                "SELECT item, first, frames FROM films WHERE item <= ? ORDER BY item DESC LIMIT 1", (item,)
            ).fetchone()
        if row is None:
            return item
        film, first, frames = row
        return int(first) if film == item else int(first) + int(frames or 1) + item - int(film) - 1

    def film_begins(self, item: int, first: int, declared: int = 0) -> None:
        """`declared`: how many frames its header says it has; 0: unknown."""
        with self._changing():
            self._db.execute("INSERT OR IGNORE INTO films VALUES(?, ?, ?, NULL)", (item, first, declared))

    def film_ends(self, item: int, frames: int) -> None:
        """`frames`: all of it, at least 1; a film that cannot be opened is one frame with an error."""
        with self._changing():
            self._db.execute("UPDATE films SET frames = ? WHERE item = ?", (frames, item))

    def frames_of(self, item: int) -> Optional[int]:
        """The frames of a film; None while they are not known."""
        with self._reading():
            row = self._db.execute("SELECT frames FROM films WHERE item = ?", (item,)).fetchone()
        return None if row is None else row[0]

    # -- passes

    @property
    def retry(self) -> int:
        """0 in the pass over all frames, then the number of the retry. Read once: it changes only while nothing runs."""
        if self._retry is None:
            self._retry = self._number("pass") or 0
        return self._retry

    @property
    def end(self) -> Optional[int]:
        """The number of turns of this pass; None before its end was reached."""
        return self._number("end")

    def set_end(self, turns: int) -> None:
        with self._changing():
            self._set("end", str(turns))

    def begin_retry(self) -> int:
        """A pass over the frames that failed; returns how many. The sinks go on in the state they are in."""
        with self._changing():
            self._db.execute("DELETE FROM retries")
            self._db.execute("INSERT INTO retries SELECT row_number() OVER (ORDER BY frame) - 1, frame FROM failures")
            turns = int(self._one("SELECT count(*) FROM retries"))
            self._db.execute("UPDATE sinks SET next = 0, finished = 0")
            self._set("pass", str(self.retry + 1))
            self._set("end", str(turns))
        self._retry = None
        return turns

    def frame_of(self, turn: int) -> Optional[int]:
        """The frame whose turn it is in this pass; None behind the last turn of a retry."""
        if not self.retry:
            return turn
        with self._reading():
            row = self._db.execute("SELECT frame FROM retries WHERE number = ?", (turn,)).fetchone()
        return None if row is None else int(row[0])

    def turn_of(self, frame: int) -> int:
        """The turn in this pass of a frame that has one."""
        return int(self._row("SELECT number FROM retries WHERE frame = ?", frame)[0]) if self.retry else frame

    # -- sinks

    def sink(self, name: str) -> Progress:
        with self._reading():
            row = self._db.execute("SELECT next, token, finished FROM sinks WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise schema.LedgerError(f"{self._path} has no sink {name}; remove the job's folder to begin anew")
        return self._progress(*row)

    @property
    def sinks(self) -> Dict[str, Progress]:
        with self._reading():
            return {row[0]: self._progress(*row[1:]) for row in self._db.execute("SELECT * FROM sinks")}

    def note(self, name: str, turn: int, token: bytes) -> None:
        """The sink's output up to before `turn` survives a power cut; `token` describes it."""
        with self._changing():
            self._db.execute("UPDATE sinks SET next = ?, token = ? WHERE name = ?", (turn, token, name))

    def finished(self, name: str) -> None:
        """The sink's output has its final form."""
        with self._changing():
            self._db.execute("UPDATE sinks SET finished = 1 WHERE name = ?", (name,))

    @property
    def written(self) -> int:
        """Turns whose records every sink has written durably."""
        with schema.understood(self._path):
            return int(self._one("SELECT coalesce(min(next), 0) FROM sinks"))

    # -- failures

    def fail(self, failure: Failure) -> None:
        with self._changing():
            self._db.execute("INSERT OR REPLACE INTO failures VALUES(?, ?, ?, ?)", failure)

    def succeed(self, frame: int) -> None:
        """A frame that had failed has a result."""
        with self._changing():
            self._db.execute("DELETE FROM failures WHERE frame = ?", (frame,))

    def failures(self, most: int = -1) -> List[Failure]:
        """In order; -1: all."""
        with self._reading():
            return [Failure(*row) for row in self._db.execute("SELECT * FROM failures ORDER BY frame LIMIT ?", (most,))]

    @property
    def failed(self) -> int:
        return int(self._one("SELECT count(*) FROM failures"))

    def failed_from(self, turn: int) -> int:
        """Failures at this turn of the present pass or behind it."""
        frame = self.frame_of(turn)
        return 0 if frame is None else int(self._row("SELECT count(*) FROM failures WHERE frame >= ?", frame)[0])

    # -- SQL

    def select(self, query: str, *values: Any) -> Iterator[Tuple[Any, ...]]:
        """The rows of a query, BATCH at once."""
        with self._reading():
            cursor = self._db.execute(query, values)
            rows = cursor.fetchmany(BATCH)
        while rows:
            yield from rows
            with self._reading():
                rows = cursor.fetchmany(BATCH)

    def _changing(self) -> Any:
        return schema.transaction(self._db, self._path)

    def _reading(self) -> Any:
        return schema.translated(self._path)

    def _row(self, query: str, *values: Any) -> Tuple[Any, ...]:
        with self._reading():
            row: Tuple[Any, ...] = self._db.execute(query, values).fetchone()
        return row

    def _one(self, query: str) -> Any:
        return self._row(query)[0]

    def _meta(self, key: str) -> Optional[str]:
        with self._reading():
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _number(self, key: str) -> Optional[int]:
        text = self._meta(key)
        with schema.understood(self._path):
            return None if text is None else int(text)

    def _document(self, key: str) -> Optional[Dict[str, Any]]:
        text = self._meta(key)
        with schema.understood(self._path):
            document = None if text is None else json.loads(text)
            if not isinstance(document, (dict, type(None))):
                raise TypeError(f"its {key} is no object")
        return document

    def _progress(self, turn: Any, token: Any, finished: Any) -> Progress:
        with schema.understood(self._path):
            if not isinstance(turn, int) or not isinstance(token, (bytes, type(None))):
                raise TypeError("the state of an output is none")
            return Progress(turn, token, bool(finished))

    def _set(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (key, value))

    def _root(self, number: int) -> Root:
        if number not in self._roots:
            with self._reading():
                row = self._db.execute("SELECT folder, prefix, confined FROM roots WHERE id = ?", (number,)).fetchone()
            self._roots[number] = Root(os.fsdecode(row[0]), row[1], bool(row[2]))
        return self._roots[number]
