"""Notifications: a program is run, and a webhook called, when the daemon's state changes and stays so. Gets no records. Runs on
CPython 3.9.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import List, Optional
from urllib.parse import urlsplit

from ncs_cluster import __version__
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.plugins import reason
from ncs_cluster.sinks._notify_edges import Edges, Notification, notification
from ncs_cluster.sinks._notify_ways import NotSent, Program, Way, Webhook
from ncs_cluster.sinks.base import Observer, Opened, Parsed, Place
from ncs_cluster.types import Record

POLL_S = 1.0
"""Seconds between two reads of the status while no event wakes the observer."""
LEAST_S = 0.5
"""Least seconds between two reads of the status."""
AGAIN_S, LONGEST_AGAIN_S = 10.0, 300.0
"""Pause after a notification that was not sent; it doubles with each one that follows."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The command and the webhook of notifications, and their times in seconds."""

    __pydantic_config__ = {"extra": "forbid"}

    command: List[str] = field(default_factory=list)
    webhook: Optional[str] = None
    hold_off_s: float = 60.0
    timeout_s: float = 10.0
    host: str = ""
    """Name of this machine, for people."""
    runtime_dir: str = ""
    """Runtime directory of the daemon whose state is sent."""

    def __post_init__(self) -> None:
        if not self.command and self.webhook is None:
            raise ValueError("command and webhook are missing; give one of them")
        if any("\0" in word for word in self.command) or (self.command and not self.command[0]):
            raise ValueError("command must be a program and its arguments")
        if self.webhook is not None:
            try:
                parts = urlsplit(self.webhook)
                known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            except ValueError:
                known = False
            if not known or not self.webhook.isascii() or any(letter <= " " for letter in self.webhook):
                raise ValueError("webhook must be an address that begins with https:// or http://")


def parse(spec: str, place: Place) -> Parsed:
    """Raises ValueError: no SPEC of --results means notifications."""
    raise ValueError("notifications are set in the table [notify], not by --results")


class Pending:
    """The newest notification that one way has not sent; a newer notification replaces it."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.next: Optional[Notification] = None
        self.failed: Optional[str] = None
        """Why the last attempt has failed; None: it has not."""
        self._due_s = 0.0
        self._failures = 0

    def put(self, told: Notification) -> None:
        """Replace the notification; `attempt` tries it at once."""
        self.next, self._due_s = told, 0.0

    def attempt(self, now_s: float) -> None:
        """Send the notification if it is due."""
        if self.next is None or now_s < self._due_s:
            return
        try:
            self.way.send(self.next)
        except NotSent as error:
            self.failed = str(error)
            self._due_s = now_s + min(LONGEST_AGAIN_S, AGAIN_S * 2.0 ** min(self._failures, 10))
            self._failures += 1
        else:
            self.next, self.failed, self._failures = None, None, 0


class Notify:
    """See base.Sink and base.Remote. The resume token is empty: the sink gets no records."""

    def __init__(self, options: Options, observer: Observer) -> None:
        self._options, self._observer = options, observer
        self._edges = Edges(options.hold_off_s)
        ways: List[Way] = []
        if options.command:
            ways.append(Program(options.command, options.timeout_s))
        if options.webhook is not None:
            ways.append(Webhook(options.webhook, options.timeout_s))
        self._pending = [Pending(way) for way in ways]
        self._closing = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._defect: Optional[str] = None

    def open(self, first: int, token: Optional[bytes]) -> Opened:
        """Never waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="status", daemon=True)
            self._thread.start()
        return Opened(first, b"")

    def follow(self) -> Optional[bytes]:
        return None

    def write(self, record: Record) -> bytes:
        return b""

    def trouble(self) -> Optional[str]:
        failed = [each.failed for each in self._pending if each.failed is not None]
        return self._defect or ("; ".join(failed) if failed else None)

    def close(self) -> None:
        self._closing.set()
        self._observer.wake()

    def _watch(self) -> None:
        """The thread that follows the status and notifies."""
        while not self._closing.is_set():
            began_s = time.monotonic()
            try:
                self._look(began_s)
            except NcsClusterError as error:
                log.debug("%s", error)
            except Exception as error:
                self._defect = f"the state cannot be told: unexpected {reason(error)}"
            else:
                self._defect = None
            self._closing.wait(max(0.0, began_s + LEAST_S - time.monotonic()))
            self._observer.wait(max(0.0, began_s + POLL_S - time.monotonic()))

    def _look(self, now_s: float) -> None:
        about = self._observer.status().daemon
        # a failed notification must not cause another one
        reasons = [text for text in about.reasons if not text.startswith(OWN_REASON)]
        state = about.state if reasons or about.state == "down" else "ok"
        before = self._edges.look(state, now_s)
        if before is not None:
            told = notification(state, before, reasons, self._options.host, __version__, time.time())
            for each in self._pending:
                each.put(told)
        for each in self._pending:
            each.attempt(time.monotonic())


OWN_REASON = "notifications cannot be sent: "
"""Begin of the reason in the status that a failed notification causes (core/reasons.py)."""
