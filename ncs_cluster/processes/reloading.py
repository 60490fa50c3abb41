"""Reads the settings again while the daemon runs, in a process of its own: files may be on a slow disk, and graphs are tried.

    SIGHUP, AskReload --> ask() --> the process: file, environment, flags --> Answer --> Configured, or a refusal
                                                                                        \\--> the core applies it, or refuses

One process at a time: what is asked for meanwhile, it may have read too early, so it is read once more for all who wait. Guests,
graphs of other machines, come by the same way (ChangeGuests), without the file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Optional

import msgspec

import ncs_cluster
from ncs_cluster.control_messages import Setting
from ncs_cluster.processes.loop import Loop
from ncs_cluster.processes.process import describe_exit
from ncs_cluster.specs import Settings

LIMIT_S = 150.0
"""Longest time of a process: two backends may each take a minute to try the graphs (preflight.LIMIT_S)."""
LARGEST = 4 << 20
"""Bytes of an answer."""
CHUNK = 1 << 16


class Again(msgspec.Struct, frozen=True):
    """The input of the process: the flags that the daemon was started with, and the settings that are in effect."""

    argv: list[str]
    running: Settings
    guests: Optional[list[tuple[str, str]]] = None
    """Names and folders: only these are read, and all else stays as it is."""


class Answer(msgspec.Struct, frozen=True):
    """The output of the process."""

    version: str
    """Of the package that has read them."""
    error: Optional[str] = None
    """Why they are refused, one line."""
    settings: msgspec.Raw = msgspec.Raw(b"\xc0")
    shown: list[Setting] = []
    """Every key with its origin."""


class Reread(NamedTuple):
    """How the settings of a daemon are read again."""

    command: list[str]
    """Starts the process, whose standard input is an Again and whose standard output an Answer."""
    argv: list[str]
    """The daemon's flags."""
    shown: list[Setting] = []
    """Those in effect, each with its origin."""


class Reloading:
    """Starts the process, and hands over what it has found."""

    def __init__(
        self,
        reread: Reread,
        loop: Loop,
        *,
        running: Callable[[], Settings],
        read: Callable[[Settings, tuple[str, ...]], None],
        refuse: Callable[[str, str], None],
        log: Callable[[str, str], None],
    ) -> None:
        """`running` tells the settings in effect; `read` gets new ones and the names of the clients that wait, `refuse` a client
        and the reason; `log` a level and a text."""
        self._reread, self._loop = reread, loop
        self._running, self._read, self._refuse, self._log = running, read, refuse, log
        self.shown = reread.shown
        """Those in effect, each with its origin."""
        self._next_shown: list[Setting] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline_s = 0.0
        self._answer = b""
        self._clients: list[str] = []
        self._guests: list[tuple[str, str]] | None = None
        """Those that are read at present; None: the settings are."""
        self._waiting: list[str] | None = None
        """Clients of the next reading; None: nobody has asked for one."""
        self._guests_waiting: list[tuple[str, list[tuple[str, str]]]] = []

    def ask(self, client: str | None = None, guests: list[tuple[str, str]] | None = None) -> None:
        """Read the settings, or only these guests; `client` waits for what becomes of it."""
        if self._process is None:
            self._start([client] if client else [], guests)
        elif guests is not None and client is not None:
            self._guests_waiting.append((client, guests))
        else:
            self._waiting = [*(self._waiting or []), *([client] if client else [])]

    def applied(self) -> None:
        """The settings that were read last are in effect now."""
        self.shown = self._next_shown

    def tick(self, now_s: float) -> None:
        """End a process that takes too long."""
        if self._process is not None and now_s >= self._deadline_s:
            self._process.kill()
            self._ended(f"reading them takes longer than {LIMIT_S:.0f} s; is a disk or a model's library hanging?")

    def pids(self) -> set[int]:
        return {self._process.pid} if self._process is not None else set()

    def close(self) -> None:
        """End the process; those who wait get no answer."""
        if self._process is not None:
            self._forget()

    def _start(self, clients: list[str], guests: list[tuple[str, str]] | None = None) -> None:
        self._clients, self._guests, self._answer = clients, guests, b""
        self._deadline_s = time.monotonic() + LIMIT_S
        given = os.memfd_create("settings", os.MFD_CLOEXEC)
        try:
            # a pipe would hold 64 kB, and then wait
            with open(given, "wb", closefd=False) as file:
                file.write(msgspec.msgpack.encode(Again(self._reread.argv, self._running(), guests)))
            os.lseek(given, 0, os.SEEK_SET)
            self._process = subprocess.Popen([*self._reread.command, str(os.getpid())], stdin=given, stdout=subprocess.PIPE)
        except OSError as error:
            self._refused(f"they cannot be read: {error.strerror}; try again")
            return
        finally:
            os.close(given)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._loop.watch(self._process.stdout.fileno(), lambda _ready: self._receive())

    def _receive(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with suppress(BlockingIOError):
            more = os.read(self._process.stdout.fileno(), CHUNK)
            self._answer += more
            if len(self._answer) > LARGEST:
                self._ended(f"what was read has more than {LARGEST >> 20} MB")
            elif not more:
                self._ended(None)

    def _ended(self, why: str | None) -> None:
        """The process has closed its output, or is given up for this reason."""
        code = self._forget()
        if why is not None:
            self._refused(why)
        elif not self._answer:
            self._refused(f"the process that reads them has ended without an answer ({describe_exit(code)}); the log says why")
        else:
            self._judge()
        if self._waiting is not None:
            clients, self._waiting = self._waiting, None
            self._start(clients)
        elif self._guests_waiting:
            client, guests = self._guests_waiting.pop(0)
            self._start([client], guests)

    def _judge(self) -> None:
        try:
            answer = msgspec.msgpack.decode(self._answer, type=Answer)
            if answer.version != ncs_cluster.__version__:
                here = f"{answer.version} is installed now, {ncs_cluster.__version__} runs"
                self._refused(f"ncs_cluster {here}; restart the daemon")
                return
            if answer.error is not None:
                self._refused(answer.error)
                return
            settings = msgspec.msgpack.decode(answer.settings, type=Settings)
        except msgspec.DecodeError as error:
            self._refused(f"another version of ncs_cluster is installed now ({error}); restart the daemon")
            return
        self._next_shown = answer.shown if self._guests is None else self.shown
        self._read(settings, tuple(self._clients))

    def _refused(self, why: str) -> None:
        what = "new settings are not applied" if self._guests is None else "a graph of another machine is not loaded"
        self._log("error" if self._guests is None else "warning", f"{what}: {why}")
        for client in self._clients:
            self._refuse(client, why)

    def _forget(self) -> int:
        """Reap the process, which has closed its output or is killed now. Returns its exit code."""
        process, self._process = self._process, None
        assert process is not None
        assert process.stdout is not None
        self._loop.forget(process.stdout.fileno())
        process.stdout.close()
        with suppress(subprocess.TimeoutExpired):
            # its output is closed when it exits
            return process.wait(0.2)
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            return process.wait(0.2)
        return -signal.SIGKILL
