"""The results of one source that a program follows with Cluster.stream, between the exchange's thread and the caller.

Of a live source the newest KEPT results wait for a caller that is slower. Where every frame counts, the source gets credit for
AHEAD frames beyond those that the caller has had, so nothing is dropped and little is kept.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future
from typing import Any

from ncs_cluster.api.exchange import Peer, copied
from ncs_cluster.api.results import Result, result_of
from ncs_cluster.errors import NcsClusterError, SourceError
from ncs_cluster.feeding import messages as m
from ncs_cluster.types import Record

log = logging.getLogger(__name__)

KEPT = 8
AHEAD = 32


class Following:
    """One stream. See exchange.Receiver. `next` is for one caller at a time."""

    def __init__(self, shown: str, *, graphs: int, ordered: bool) -> None:
        """`shown`: the source for people. `graphs`: results of each frame."""
        self.ordered = ordered
        self.missed = 0
        """Results of a live source that the caller was too slow for."""
        self._shown, self._graphs = shown, graphs
        self._lock = threading.Lock()
        self._kept: deque[Result] = deque()
        self._waiting: Future[Result | None] | None = None
        self._frames: int | None = None
        """Of the whole source, once it has ended."""
        self._given = 0
        """Results that the caller has had."""
        self._link: Peer | None = None
        self._error: NcsClusterError | None = None
        self._lost: str | None = None

    def next(self) -> Future[Result | None]:
        """The next result. None: the source has ended; of a live one, results that are under way may still come."""
        future: Future[Result | None] = Future()
        with self._lock:
            self._waiting = future
            self._serve()
        return future

    def rest(self) -> list[Result]:
        """The results that are kept, once no more can come."""
        with self._lock:
            rest, self._kept = list(self._kept), deque()
        return rest

    # -- the thread of the exchange

    def connected(self, link: Peer) -> None:
        with self._lock:
            self._link = link
            link.send(m.Credit(self._limit))

    def message(self, link: Peer, message: Any) -> None:
        with self._lock:
            if isinstance(message, m.RelayEnded):
                self._frames = message.frames
            elif isinstance(message, m.RelayLost):
                if message.permanent:
                    self._error = self._error or SourceError(message.detail, permanent=True)
                elif message.detail != self._lost:
                    log.warning("%s: %s; it is opened again", self._shown, message.detail)
                self._lost = message.detail
            self._serve()

    def disconnected(self, link: Peer) -> None:
        with self._lock:
            if self._link is link:
                self._link = None

    def record(self, record: Record) -> None:
        with self._lock:
            self._lost = None
            self._kept.append(result_of(record, record.frame))
            if not self.ordered and len(self._kept) > KEPT:
                self._kept.popleft()
                self.missed += 1
            self._serve()

    def fail(self, error: NcsClusterError) -> None:
        with self._lock:
            self._error = error
            self._serve()

    @property
    def _limit(self) -> int | None:
        return self._given // self._graphs + AHEAD if self.ordered else None

    def _serve(self) -> None:
        """Answer the caller if there is an answer. With the lock."""
        future = self._waiting
        if future is None:
            return
        done = self._frames is not None and (not self.ordered or self._given >= self._frames * self._graphs)
        if not self._kept and self._error is None and not done:
            return
        self._waiting = None
        if not future.set_running_or_notify_cancel():
            return
        if self._kept:
            self._given += 1
            future.set_result(self._kept.popleft())
            if self.ordered and self._given % (AHEAD // 2) == 0:
                self._extend()
        elif self._error is not None:
            future.set_exception(copied(self._error))
        else:
            future.set_result(None)

    def _extend(self) -> None:
        try:
            if self._link is not None:
                self._link.send(m.Credit(self._limit))
        except OSError:
            pass  # its process has ended: the next one is told
