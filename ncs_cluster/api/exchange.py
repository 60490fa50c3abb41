"""The program's end of the connections to its plugins: one thread that accepts, receives and hands on; it never waits for anybody.

The thread ends with `close`. When the host ends, every receiver gets the error at once.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ncs_cluster.errors import ClusterClosed, NcsClusterError, ProtocolError
from ncs_cluster.feeding import messages as m
from ncs_cluster.feeding.link import Link
from ncs_cluster.plugins import reason
from ncs_cluster.types import Record

MOST_AT_ONCE = 64
"""Messages of one connection in one turn, so that none keeps the others waiting."""
FULL_S = 0.05
"""Pause of the thread while the program has no file descriptor left."""

Peer = Link[m.FromPlugin]


class Receiver(Protocol):
    """One stream of this program."""

    def connected(self, link: Peer) -> None:
        """A source process has opened it."""

    def message(self, link: Peer, message: Any) -> None:
        """From its source process."""

    def disconnected(self, link: Peer) -> None: ...

    def record(self, record: Record) -> None: ...

    def fail(self, error: NcsClusterError) -> None:
        """No record comes any more: every waiting call raises this."""


class Exchange:
    """Listens on `path` and knows the receivers by the names of their streams."""

    def __init__(self, path: str, pidfd: int, ended: Callable[[], NcsClusterError]) -> None:
        """`pidfd`: of the host. `ended` gives the error when it has ended by itself."""
        self._host, self._ended = pidfd, ended
        self._lock = threading.Lock()
        self._receivers: dict[str, Receiver] = {}
        self._links: dict[int, Peer] = {}
        self._streams: dict[int, str] = {}
        """The stream of each connection of a source."""
        self._sink: Peer | None = None
        self._next = 0
        """The number of the first record that has not come."""
        self._error: NcsClusterError | None = None
        self.changed = threading.Condition(self._lock)
        """Notified when a connection is there, when the host has ended, and after a flush."""
        self._flushes = self._flushed = 0
        self._closing = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        for fd in (self._listener.fileno(), self._wake, pidfd):
            self._epoll.register(fd, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="ncs-cluster", daemon=True)
        self._thread.start()

    # -- other threads

    def add(self, name: str, receiver: Receiver) -> None:
        """Raises the error of a host that has ended."""
        with self._lock:
            if self._error is not None:
                raise copied(self._error)
            self._receivers[name] = receiver

    def remove(self, name: str) -> None:
        with self._lock:
            self._receivers.pop(name, None)

    def wait_open(self, name: str, timeout_s: float) -> bool:
        """Wait until the sink and this stream's source are connected. False after `timeout_s`; raises the host's error."""
        with self.changed:
            return self.changed.wait_for(lambda: self._raise() or self._is_open(name), timeout_s)

    def flush(self) -> None:
        """Returns when every record that has arrived by now is handed on."""
        with self.changed:
            self._flushes += 1
            wanted = self._flushes
            os.eventfd_write(self._wake, 1)
            self.changed.wait_for(lambda: self._flushed >= wanted or self._error is not None or self._closing)

    def close(self, error: NcsClusterError) -> None:
        """End the thread and the connections; the receivers get the error."""
        self._fail(error)
        with self.changed:
            self._closing = True
            self.changed.notify_all()
        os.eventfd_write(self._wake, 1)
        if self._thread is not threading.current_thread():
            self._thread.join()
        self.forget()

    def forget(self) -> None:
        """Close the descriptors. In a forked process too, where there is no thread and a lock may be held for ever."""
        for link in self._links.values():
            link.close()
        self._listener.close()
        if not self._epoll.closed:
            self._epoll.close()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    def _raise(self) -> bool:
        if self._error is not None:
            raise copied(self._error)
        return False

    def _is_open(self, name: str) -> bool:
        return self._sink is not None and name in self._streams.values()

    # -- the thread

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:
            # no receiver may wait for a thread that has ended
            self._fail(ClusterClosed(f"the connection to the processes of this Cluster has failed: {reason(error)}"))

    def _loop(self) -> None:
        while not self._closing:
            ready = [fd for fd, _ in self._epoll.poll()]
            for fd in ready:
                if fd == self._host:
                    self._epoll.unregister(fd)
                    self._drain()
                    self._fail(self._ended())
                elif fd == self._wake:
                    self._woken()
                elif fd == self._listener.fileno():
                    self._accept()
                elif fd in self._links:
                    self._serve(self._links[fd], MOST_AT_ONCE)

    def _woken(self) -> None:
        os.eventfd_read(self._wake)
        with self.changed:
            wanted = self._flushes
        self._drain()
        with self.changed:
            self._flushed = wanted
            self.changed.notify_all()

    def _drain(self) -> None:
        """Receive everything that the sink has sent."""
        if self._sink is not None:
            self._serve(self._sink, None)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            # no descriptor is left: the connection waits until there is one
            time.sleep(FULL_S)
            return
        sock.setblocking(False)
        self._links[sock.fileno()] = Link(sock, m.FromPlugin)
        self._epoll.register(sock, select.EPOLLIN)

    def _serve(self, link: Peer, most: int | None) -> None:
        count = 0
        while most is None or count < most:
            count += 1
            try:
                received = link.receive()
                if received is None:
                    return
                if received.fd >= 0:
                    os.close(received.fd)
                self._handle(link, received.message)
            except (EOFError, ProtocolError, OSError):
                self._gone(link)
                return

    def _handle(self, link: Peer, message: m.FromPlugin) -> None:
        if isinstance(message, m.Written):
            self._written(message)
        elif isinstance(message, (m.FeedOpens, m.RelayOpens)):
            receiver = self._receiver(message.name)
            if receiver is None:
                # its stream has ended meanwhile
                self._gone(link)
                return
            with self.changed:
                self._streams[link.fileno()] = message.name
                self.changed.notify_all()
            receiver.connected(link)
        elif isinstance(message, m.SinkOpens):
            if self._sink is not None:
                # the process before has ended: what it has sent is here
                self._serve(self._sink, None)
            self._next = max(self._next, message.first)
            link.send(m.WriteFrom(self._next))
            with self.changed:
                self._sink = link
                self.changed.notify_all()
        else:
            receiver = self._receiver(self._streams.get(link.fileno(), ""))
            if receiver is not None:
                receiver.message(link, message)

    def _written(self, message: m.Written) -> None:
        self._next = message.number + 1
        receiver = self._receiver(message.record.stream)
        if receiver is not None:
            receiver.record(message.record)

    def _receiver(self, name: str) -> Receiver | None:
        with self._lock:
            return self._receivers.get(name)

    def _gone(self, link: Peer) -> None:
        fd = link.fileno()
        if self._links.pop(fd, None) is None:
            return
        with self.changed:
            stream = self._streams.pop(fd, "")
            if self._sink is link:
                self._sink = None
        self._epoll.unregister(fd)
        link.close()
        receiver = self._receiver(stream)
        if receiver is not None:
            receiver.disconnected(link)

    def _fail(self, error: NcsClusterError) -> None:
        with self.changed:
            if self._error is not None:
                return
            self._error = error
            receivers = list(self._receivers.values())
            self.changed.notify_all()
        for receiver in receivers:
            with contextlib.suppress(OSError):
                receiver.fail(error)


def copied(error: NcsClusterError) -> NcsClusterError:
    """The error for one more caller: an exception that is raised twice collects the tracebacks of both."""
    return type(error)(*error.args)
