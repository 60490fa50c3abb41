"""A sink of a job: it notes in the ledger how far its output is, and which frames failed.

A record is acknowledged when the sink has written it; that its output survives a power cut is noted each second, after a sync.
A killed process goes on from the newest token, a killed job from the ledger's: what was written behind it is cut off and done
again. Failures are noted before they are acknowledged. Runs on CPython 3.9.
"""

from __future__ import annotations

import time
from typing import Optional

import msgspec

from ncs_cluster.jobs.ledger import Failure, Ledger
from ncs_cluster.sinks.base import Finishing, Opened, Sink
from ncs_cluster.types import CameraName, Record

CAMERA = CameraName("job")
"""In the records of every job, whatever daemon runs it."""
NOTE_S = 1.0
"""Seconds between syncs."""


class _Token(msgspec.Struct, array_like=True):
    """Where a killed process's successor goes on."""

    turn: int
    """The first that is not written."""
    inner: bytes


class LedgeredSink:
    """See sinks.base.Sink. Records come with the turns of the ledger's present pass; the inner sink gets the frames."""

    def __init__(self, inner: Sink, ledger: Ledger, name: str) -> None:
        """`name`: of the output in the ledger."""
        self._inner, self._ledger, self._name = inner, ledger, name
        self._turn = 0
        self._token = b""
        self._noted = 0
        self._note_s = 0.0
        self._failed = {failure.frame for failure in ledger.failures()}

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        progress = self._ledger.sink(self._name)
        turn, inner = progress.next, progress.token
        if token is not None:
            newest = msgspec.msgpack.decode(token, type=_Token)
            turn, inner = newest.turn, newest.inner
        opened = self._inner.open(turn, inner)
        self._turn, self._noted = opened.next, progress.next
        self._token, self._note_s = opened.token, time.monotonic() + NOTE_S
        return Opened(first + max(0, opened.next - turn), self._packed())

    def follow(self) -> Optional[bytes]:
        self._inner.follow()
        return None

    def write(self, record: Record) -> bytes:
        """A record of a turn that is written already is passed over. Raises OSError."""
        turn = record.frame
        if turn < self._turn:
            return self._packed()
        frame = self._ledger.frame_of(turn)
        assert frame is not None
        if frame != turn or record.stream != CAMERA:
            record = msgspec.structs.replace(record, frame=frame, stream=CAMERA)
        if (reason := record.outcome.error) is not None:
            self._ledger.fail(Failure(frame, record.item, record.item_frame, reason))
            self._failed.add(frame)
        elif frame in self._failed:
            self._ledger.succeed(frame)
            self._failed.remove(frame)
        try:
            self._token = self._inner.write(record)
        except OSError:
            self._ledger.must_be_there()
            raise
        self._turn = turn + 1
        return self._packed()

    @property
    def due(self) -> bool:
        """It is time to call `note`."""
        return self._turn > self._noted and time.monotonic() >= self._note_s

    def note(self) -> None:
        """Sync the output, then note its state. May take seconds. Raises OSError; LedgerError where the job's folder is gone."""
        self._ledger.must_be_there()
        if isinstance(self._inner, Finishing):
            self._inner.sync()
        self._ledger.note(self._name, self._turn, self._token)
        self._noted, self._note_s = self._turn, time.monotonic() + NOTE_S

    def finish(self) -> None:
        """Note the last state; give the output its final form where every turn of the pass is written. May take minutes, and may be
        called again. Raises OSError."""
        self.note()
        if self._ledger.end != self._turn or self.finished:
            return
        if isinstance(self._inner, Finishing):
            self._inner.finish()
        self._ledger.finished(self._name)

    @property
    def finished(self) -> bool:
        """Every frame has its record, and the output has its final form."""
        return self._ledger.sink(self._name).finished

    @property
    def failed(self) -> int:
        """Frames of the job without a result."""
        return len(self._failed)

    def close(self) -> None:
        """Raises OSError: then the ledger is older than the output, and the difference is done again."""
        if self._turn > self._noted:
            self.note()
        self._inner.close()
        self._ledger.close()

    def _packed(self) -> bytes:
        return msgspec.msgpack.encode(_Token(self._turn, self._token))
