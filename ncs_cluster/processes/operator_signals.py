"""SIGTERM, SIGINT and SIGHUP as events of the supervisor's loop."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from ncs_cluster.core.events import Configured, StopRequested
from ncs_cluster.errors import ConfigError
from ncs_cluster.processes.loop import Loop
from ncs_cluster.specs import Settings


class OperatorSignals:
    """Catches the signals from its construction on. Events and log lines are given in turns of the loop."""

    def __init__(
        self,
        loop: Loop,
        on_event: Callable[[Any], None],
        log: Callable[[str, str], None],
        given: Callable[[], Settings] | None,
        reload: Callable[[], None] | None,
    ) -> None:
        """`log` gets a level and a text. `given` returns new settings at once: SIGHUP always means them, and is heeded also
        where it was ignored before. `reload` begins to read the settings again. Without both they are read at the start only."""
        self._on_event, self._log, self._given, self._reload = on_event, log, given, reload
        self._had_terminal = has_terminal()
        # attributes: a socket that is collected is closed
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        # started by nohup(1), SIGHUP stays ignored
        hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN and given is None else [signal.SIGHUP]
        for number in (signal.SIGTERM, signal.SIGINT, *hangup):
            signal.signal(number, lambda *_: None)
        # ncs-clusterd blocks it while it starts
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        loop.watch(self._ours.fileno(), lambda _ready: self._signalled())

    def _signalled(self) -> None:
        for number in self._ours.recv(64):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._on_event(StopRequested())
            elif number == signal.SIGHUP:
                self._hung_up()

    def _hung_up(self) -> None:
        """SIGHUP: new settings; or the end of the terminal from which the daemon was started."""
        if self._given is not None:
            try:
                self._on_event(Configured(self._given()))
            except (ConfigError, OSError) as error:
                self._log("error", f"new settings are not applied: {error}")
        elif self._had_terminal and (self._reload is None or not has_terminal()):
            self._log("warning", "SIGHUP, as from a terminal that is closed: stopping")
            self._on_event(StopRequested())
        elif self._reload is not None:
            self._reload()
        else:
            self._log("warning", "SIGHUP ignored: settings are read at the start only; restart the daemon")


def has_terminal() -> bool:
    """Whether this process has a controlling terminal; the kernel takes it away when it is closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
