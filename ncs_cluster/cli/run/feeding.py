"""Writes the records of chunks into a job's outputs, in the order of its ledger, as its sinks would have done on one machine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from msgspec import structs

from ncs_cluster.cli.run.divided_film import DividedFilm
from ncs_cluster.fleet.chunk import Malformed
from ncs_cluster.fleet.film_part import Edges
from ncs_cluster.jobs.ledger import Item, Ledger
from ncs_cluster.processes.ledgered_sink import CAMERA, LedgeredSink
from ncs_cluster.processes.made_sink import made_sink
from ncs_cluster.specs import JobSpec
from ncs_cluster.types import Outcome, Record


class Feeder:
    """Raises OSError, LedgerError, as sinks do. What was written behind the last note is passed over when it comes again."""

    def __init__(self, job: JobSpec, ledger: Ledger) -> None:
        self._ledger, self._graph = ledger, str(job.graph.name)
        self._sinks = [LedgeredSink(made_sink(spec), Ledger(str(spec.ledger)), spec.kind) for spec in job.sinks]
        for sink in self._sinks:
            sink.open(0, None)

    def feed(self, turn: int, items: Sequence[Item], lengths: Sequence[int | None], records: Iterable[Record]) -> int:
        """Write the records of all frames of these items, from this turn on; returns the turn behind them. Raises Malformed where
        they are not of these items: what was written until then is right, and the rest may come again."""
        if len(lengths) != len(items):
            raise Malformed(f"tells of {len(lengths)} items instead of {len(items)}")
        coming = iter(records)
        for item, length in zip(items, lengths, strict=True):
            if length is not None:
                self._ledger.film_begins(item.number, turn, length)
                self._ledger.film_ends(item.number, max(1, length))
            for _ in range(1 if length is None else max(1, length)):
                record = next(coming, None)
                if record is None or record.item not in (item.name, None):
                    raise Malformed(f"has not the records of {item.name}")
                self._write(structs.replace(record, stream=CAMERA, frame=turn, graph=self._graph))
                turn += 1
        if next(coming, None) is not None:
            raise Malformed("has more records than frames")
        return turn

    def feed_part(
        self,
        turn: int,
        film: DividedFilm,
        item: Item,
        lengths: Sequence[int | None],
        edges: Edges | None,
        records: Iterable[Record],
    ) -> int:
        """As `feed`, for the part of a film that is written next. The film ends where its edges tell of no frame behind it."""
        (length,) = lengths if len(lengths) == 1 else (None,)
        if edges is None or length is None:
            raise Malformed("does not say which part of a film it has")
        over = edges.end is None
        first, part = film.at.first, film.parts[film.at.index]
        if part.is_last and not over:
            raise Malformed("goes on behind the end of its film")
        self._ledger.film_begins(item.number, turn - first, film.about)
        coming = iter(records)
        for number in range(first, first + length):
            record = next(coming, None)
            if record is None or record.item not in (item.name, None):
                raise Malformed(f"has not the records of {item.name}")
            # a film that cannot be opened has a frame without a number
            its = record.item_frame if record.item_frame is None else number
            self._write(structs.replace(record, stream=CAMERA, frame=turn, graph=self._graph, item_frame=its))
            turn += 1
        if next(coming, None) is not None:
            raise Malformed("has more records than frames")
        if over:
            self._ledger.film_ends(item.number, max(1, first + length))
        film.written(length, edges.end, over=over)
        return turn

    def give_up_part(self, turn: int, film: DividedFilm, item: Item, why: str) -> int:
        """Records with a reason in place of the frames of the part of a film that is written next."""
        first, missing, last = film.at.first, film.missing(), film.parts[film.at.index].is_last
        self._ledger.film_begins(item.number, turn - first, film.about)
        error = Outcome(error=f"{item.name}: {why}")
        for number in range(first, first + missing):
            self._write(Record(CAMERA, turn, time.time(), item.name, None, self._graph, None, error, item_frame=number))
            turn += 1
        if last:
            self._ledger.film_ends(item.number, first + missing)
        film.written(missing, None, over=last)
        return turn

    def give_up(self, turn: int, item: Item, why: str, *, film: bool) -> int:
        """A record with a reason in place of the item's; returns the turn behind it."""
        error = Outcome(error=f"{item.name}: {why}")
        record = Record(CAMERA, turn, time.time(), item.name, None, self._graph, None, error)
        return self.feed(turn, [item], [1 if film else None], [record])

    def note(self) -> None:
        """What is written survives a power cut."""
        for sink in self._sinks:
            sink.note()

    def finish(self, turns: int) -> None:
        """Everything is written: give the outputs their final form."""
        self._ledger.set_end(turns)
        for sink in self._sinks:
            sink.finish()

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()

    def _write(self, record: Record) -> None:
        for sink in self._sinks:
            sink.write(record)
            if sink.due:
                sink.note()
