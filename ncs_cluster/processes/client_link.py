"""The supervisor's end of one client's connection: what waits for a client that does not read is bounded in bytes and in time."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque

from ncs_cluster.errors import ProtocolError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import Request

LONGEST_REQUEST = 32_768
"""Bytes; a job with its graph and paths is the longest."""
MOST_WAITING_BYTES = 500_000
"""Replies and events that wait for a client. The kernel holds further 200 kB."""
READ_WITHIN_S = 5.0
"""A client for which something waits reads within this time, or is disconnected."""


class ClientLink:
    """One connection. No request is read while a reply waits, so few replies are in flight."""

    def __init__(self, channel: Channel[Request]) -> None:
        self._channel = channel
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self.asked = False
        """The client has sent a request."""
        self.deadline_s: float | None = None
        """When the client must have read what waits for it; None while nothing waits."""

    def fileno(self) -> int:
        return self._channel.fileno()

    @property
    def uid(self) -> int:
        """The user who has connected."""
        credentials = self._channel.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])

    @property
    def waits(self) -> bool:
        """Bytes wait to be sent to the client."""
        return bool(self._waiting)

    def receive(self) -> Request | None:
        """The next request; None when there is none. Raises EOFError and ProtocolError."""
        received = self._channel.receive()
        if received is None:
            return None
        for fd in received.fds:
            # no request carries a descriptor
            os.close(fd)
        self.asked = True
        request: Request = received.message
        return request

    def send(self, message: object, now_s: float) -> bool:
        """Send, or keep it until the client reads. False when too much is kept. Raises OSError when the client has gone."""
        try:
            data = self._channel.encode(message)
        except ProtocolError:
            # a reply too long is a defect; the client sees no answer
            return False
        if not self._waiting and self._channel.send_bytes(data):
            return True
        if self._waiting_bytes + len(data) > MOST_WAITING_BYTES:
            return False
        if self.deadline_s is None:
            self.deadline_s = now_s + READ_WITHIN_S
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        return True

    def flush(self, now_s: float) -> None:
        """Send what waits, as far as the kernel takes it. Raises OSError when the client has gone."""
        while self._waiting and self._channel.send_bytes(self._waiting[0]):
            self._waiting_bytes -= len(self._waiting.popleft())
            self.deadline_s = now_s + READ_WITHIN_S
        if not self._waiting:
            self.deadline_s = None

    def close(self) -> None:
        self._channel.close()
