"""Notifies systemd: READY, STATUS, WATCHDOG and STOPPING as datagrams to $NOTIFY_SOCKET (sd_notify(3)), if that is set."""

from __future__ import annotations

import os
import socket


class Notifier:
    """The service's socket to systemd."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.ping_every_s = int(microseconds) / 2e6 if microseconds.isdigit() and ours else None
        """Seconds between watchdog pings: half the watchdog's time-out (sd_watchdog_enabled(3)); None without a watchdog."""
        self._status = ""

    def send(self, *lines: str) -> None:
        """Send assignments such as "READY=1" in one datagram."""
        if self._socket is not None:
            try:
                self._socket.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                pass

    def status(self, text: str) -> None:
        """The text in `systemctl status`; sent when it changes."""
        if text != self._status:
            self._status = text
            self.send(f"STATUS={text}")
