"""Tells systemd how it goes: READY, STATUS, WATCHDOG, STOPPING as datagrams to $NOTIFY_SOCKET (sd_notify(3)). Silent elsewhere."""

from __future__ import annotations

import os
import socket


class Notifier:
    """One service's line to systemd."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.ping_every_s = int(microseconds) / 2e6 if microseconds.isdigit() and mine else None
        """Half the watchdog's time, as sd_watchdog_enabled(3) advises; None when there is no watchdog."""
        self._status = ""

    def say(self, *lines: str) -> None:
        if self._socket is not None:
            try:
                self._socket.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                pass

    def status(self, text: str) -> None:
        """Shown by `systemctl status`; sent when it changes."""
        if text != self._status:
            self._status = text
            self.say(f"STATUS={text}")
