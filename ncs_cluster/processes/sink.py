"""The sink process, which writes records. It may be killed at any time: the next process finds the written records, the rest is
sent again.

Records are written in order and acknowledged in batches. When writing fails (disk full), it reports SinkBlocked once and retries
every RETRY_S.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, List, NoReturn, Optional

from ncs_cluster.errors import ConfigError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.jobs.ledger import Ledger
from ncs_cluster.jobs.schema import LedgerError
from ncs_cluster.messages import (
    NO_READER,
    Acked,
    Failed,
    FinishSink,
    Heartbeat,
    OpenSink,
    SinkBlocked,
    SinkFinished,
    SinkOpened,
    Stop,
    ToSink,
    WorkTold,
    Write,
)
from ncs_cluster.processes import child
from ncs_cluster.processes.ledgered_sink import LedgeredSink
from ncs_cluster.processes.made_sink import made_sink
from ncs_cluster.sinks.base import InFleet, Remote, Sink
from ncs_cluster.specs import SinkSpec

HEARTBEAT_S = 1.0
RETRY_S = 1.0
LONGEST_WRITING_S = 1.0
"""Longest time of one batch, so that heartbeats are sent however slow the disk or the reader is."""


class Writer:
    """The loop around an open sink."""

    def __init__(self, channel: Channel[Any], sink: Sink) -> None:
        self._channel = channel
        self._sink = sink
        self._waiting: Deque[Write] = deque()
        self._blocked: Optional[str] = None
        self._work: Optional[WorkTold] = None
        self._retry_s = 0.0
        self._last = -1
        self._stopping = self._finishing = False

    def run(self) -> None:
        """Run until Stop, then until every record is written. Raises EOFError when the supervisor has closed the channel."""
        heartbeat_s = time.monotonic()
        while not self._stopping or self._waiting:
            now_s = time.monotonic()
            if now_s >= heartbeat_s:
                heartbeat_s = now_s + HEARTBEAT_S
                self._channel.send(Heartbeat())
                if isinstance(self._sink, Remote):
                    self._tell(self._sink.trouble())
                if isinstance(self._sink, InFleet) and (work := self._sink.work()) != self._work:
                    self._work = work
                    self._channel.send(work)
            timeout_s = heartbeat_s - now_s
            if self._waiting or self._finishing:
                timeout_s = min(timeout_s, max(0.0, self._retry_s - now_s))
            while select.select([self._channel.fileno()], [], [], timeout_s)[0]:
                self._receive()
                timeout_s = 0.0
            if self._waiting and time.monotonic() >= self._retry_s:
                self._write()
            if isinstance(self._sink, LedgeredSink) and time.monotonic() >= self._retry_s:
                self._keep(self._sink)

    def _keep(self, sink: LedgeredSink) -> None:
        """Sync and note what is due, or give the output its final form."""
        if self._finishing and not self._waiting:
            if self._done_aside(sink.finish):
                self._finishing = False
                self._channel.send(SinkFinished(sink.finished, sink.failed))
        elif sink.due:
            self._done_aside(sink.note)

    def _done_aside(self, work: Callable[[], None]) -> bool:
        """Do what may take seconds on a slow disk in a thread, while heartbeats go on. False: it fails, and is tried again."""
        failed: List[Exception] = []

        def run() -> None:
            try:
                work()
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=run, name="disk", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(HEARTBEAT_S)
            if thread.is_alive():
                self._channel.send(Heartbeat())
        if not failed:
            self._works_again()
            return True
        if not isinstance(failed[0], OSError):
            raise failed[0]
        self._failed(failed[0])
        return False

    def _receive(self) -> None:
        received = self._channel.receive()
        if received is None:
            return
        if isinstance(received.message, Write):
            self._waiting.append(received.message)
        elif isinstance(received.message, FinishSink):
            self._finishing = True
        elif isinstance(received.message, Stop):
            self._stopping = True

    def _write(self) -> None:
        """Write waiting records for at most LONGEST_WRITING_S and acknowledge them with one message."""
        acked: Optional[Acked] = None
        until_s = time.monotonic() + LONGEST_WRITING_S
        try:
            if (token := self._sink.follow()) is not None:
                # sent before the next write, so that the next sink process resumes at the new place
                self._channel.send(Acked(self._last, token))
            while self._waiting and time.monotonic() < until_s:
                token = self._sink.write(self._waiting[0].record)
                self._last = self._waiting.popleft().number
                acked = Acked(self._last, token)
        except BrokenPipeError:
            child.fail(self._channel, Failed(NO_READER, "standard output has no reader", permanent=True))
        except OSError as error:
            self._failed(error)
        else:
            self._works_again()
        if acked is not None:
            self._channel.send(acked)

    def _works_again(self) -> None:
        if not isinstance(self._sink, Remote):
            self._tell(None)

    def _tell(self, blocked: Optional[str]) -> None:
        """Send what has changed."""
        if self._blocked != blocked:
            self._blocked = blocked
            self._channel.send(SinkBlocked(blocked))

    def _failed(self, error: OSError) -> None:
        if not isinstance(error, BlockingIOError):
            self._retry_s = time.monotonic() + RETRY_S
        self._tell(error.strerror or str(error))

    def close(self) -> None:
        """What cannot be noted is done again by a later run."""
        try:
            self._sink.close()
        except OSError as error:
            self._failed(error)


def main() -> NoReturn:
    """The process. Exit code 0 after Stop, 1 after a reported failure."""
    channel = child.enter("sink", ToSink)
    # at the file size limit write fails with EFBIG, which is reported, instead of SIGXFSZ
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        request = child.first_message(channel, OpenSink)
        try:
            sink = _create(request.sink)
            opened = sink.open(request.first, request.token)
        except OSError as error:
            # EBUSY: the process that locks the file may be exiting, or a backup. A job's folder was there when its command made it:
            # its disk is not mounted yet
            passing = error.errno == errno.EBUSY or (error.errno == errno.ENOENT and request.sink.ledger is not None)
            permanent = request.token is None and not passing
            child.fail(channel, Failed("open", f"{request.sink.shown} cannot be written: {error.strerror}", permanent=permanent))
        channel.send(SinkOpened(opened.next, opened.token))
        writer = Writer(channel, sink)
        writer.run()
        writer.close()
    except (EOFError, BrokenPipeError):
        os._exit(1)
    except (ConfigError, LedgerError, ValueError) as error:
        child.fail(channel, Failed("open", str(error), permanent=True))
    os._exit(0)


def _create(spec: SinkSpec) -> Sink:
    sink = made_sink(spec)
    return sink if spec.ledger is None else LedgeredSink(sink, Ledger(spec.ledger), spec.kind)


if __name__ == "__main__":
    main()
