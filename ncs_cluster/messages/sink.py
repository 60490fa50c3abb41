"""supervisor <-> sink. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Optional, Union

from ncs_cluster.messages.child import Failed, Heartbeat, Hello, Message, Stop, WorkTold
from ncs_cluster.specs import SinkSpec
from ncs_cluster.types import Record

NO_READER = "no-reader"
"""Reason of a sink's Failed: its only reader is gone, as in `ncs-clusterd --results - | head`."""


class OpenSink(Message, frozen=True):
    """First message to a sink. `token`: the newest resume token of the sink process before it, None at the daemon's start.

    `first`: number of the first record that was not acknowledged. A restarted sink finds which records from `first` on are
    written (SinkOpened.next), and removes a partly written one.
    """

    sink: SinkSpec
    first: int = 0
    token: Optional[bytes] = None


class Write(Message, frozen=True):
    """One record. Records are numbered from 0 without gaps."""

    number: int
    record: Record


class SinkOpened(Message, frozen=True):
    """The sink is open. `next`: number of the first record to send; earlier records are written. `token`: as in Acked."""

    next: int
    token: bytes = b""


class Acked(Message, frozen=True):
    """All records up to and including `number` were passed to the operating system, or to a server.

    `token` is opaque to the supervisor: a restarted sink gets it back and resumes there.
    """

    number: int
    token: bytes = b""


class SinkBlocked(Message, frozen=True):
    """Writing fails (disk full); the sink retries. `detail` None: writing works again."""

    detail: Optional[str]


class FinishSink(Message, frozen=True):
    """To a job's sink: its stream has ended, and every record is acknowledged. Answered by SinkFinished."""


class SinkFinished(Message, frozen=True):
    """The ledger has the sink's last state."""

    complete: bool
    """Every frame has its record, and the output has its final form. False: a strict job stopped at a failure."""
    failed: int
    """Frames of the job without a result."""


ToSink = Union[OpenSink, Write, FinishSink, Stop]
FromSink = Union[Hello, Heartbeat, SinkOpened, Acked, SinkBlocked, SinkFinished, WorkTold, Failed]
