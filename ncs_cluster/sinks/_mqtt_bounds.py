"""paho's client with a bound on what a broker may send: paho keeps a packet of up to 256 MB until the whole of it is there, and
messages of quality of service 2 until the broker asks for them.

Runs on CPython 3.9.
"""

from __future__ import annotations

from typing import Any

from ncs_cluster.errors import NcsClusterError

MOST_PACKET = 8 * 1024 * 1024
"""Bytes. The longest that a broker has for this client is a picture that an earlier daemon has left there."""
PIECE = 256 * 1024
"""Bytes that are read at once: Python makes room for as many as are asked for."""
_PUBLISH, _KIND, _QUALITY = 0x30, 0xF0, 0x06
"""Of the first byte of a packet: MQTT 3.1.1, section 2.2."""


class BadBroker(NcsClusterError):
    """The broker sends a packet that this client does not accept."""


def bounded(client: Any) -> Any:
    """A subclass of paho's `Client`. Its `loop_read` raises BadBroker, before the packet is read."""

    class Bounded(client):  # type: ignore[misc]
        def _sock_recv(self, bufsize: int) -> bytes:
            """Called for one byte, or for what is missing of a packet whose fixed header was read."""
            packet = self._in_packet
            if packet["have_remaining"]:
                if bufsize > MOST_PACKET:
                    raise BadBroker(f"it sends a packet of {bufsize} bytes, and no more than {MOST_PACKET} are read")
                if packet["command"] & _KIND == _PUBLISH and packet["command"] & _QUALITY:
                    raise BadBroker("it sends a message with a quality of service that was not asked for")
            received: bytes = super()._sock_recv(min(bufsize, PIECE))
            return received

    return Bounded
