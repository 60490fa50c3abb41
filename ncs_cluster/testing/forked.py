"""Programs of this package in processes that are forked from this one: an interpreter of their own would import everything anew,
which takes ten times as long as most of them work in a test.

A forked program has its own arguments, environment, working folder and standard streams, and no other descriptor of this process.
Threads of this process are not in it, and its libraries are in their present state: a program that uses a library with threads
which this process uses too, or a database that this process has open, is started instead.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Optional

from ncs_cluster.processes.child import die_with_parent

UNSEEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that the interpreter does not show unless it is asked to."""


class Forked:
    """A running program, with what tests use of subprocess.Popen."""

    def __init__(
        self,
        main: Callable[[], object],
        argv: Sequence[str],
        *,
        streams: Sequence[int] = (0, 1, 2),
        kept: Collection[int] = (),
        env: Optional[Mapping[str, str]] = None,
        cwd: Optional[Path] = None,
    ) -> None:
        """`main` is called with `argv`, the program's name first. `streams`: descriptors that become its standard input, output
        and error. `kept`: descriptors that it inherits under their numbers. `env`: its whole environment; None: that of this
        process."""
        self.returncode: Optional[int] = None
        parent = os.getpid()
        with warnings.catch_warnings():
            # CPython 3.12 and up warn of a fork beside threads
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            _become(parent, main, argv, streams, kept, env, cwd)
        self._pidfd = os.pidfd_open(self.pid)

    def poll(self) -> Optional[int]:
        """The exit code, as of subprocess; None while it runs."""
        with contextlib.suppress(TimeoutError):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout_s: Optional[float] = None) -> int:
        """The exit code. Raises TimeoutError."""
        if self.returncode is None:
            if not select.select([self._pidfd], [], [], timeout_s)[0]:
                raise TimeoutError(f"still running after {timeout_s:g} s")
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
            os.close(self._pidfd)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _become(
    parent: int,
    main: Callable[[], object],
    argv: Sequence[str],
    streams: Sequence[int],
    kept: Collection[int],
    env: Optional[Mapping[str, str]],
    cwd: Optional[Path],
) -> NoReturn:
    code = 1
    try:
        # garbage of the other process is not collected here: that could close descriptors of this one
        gc.freeze()
        die_with_parent(parent)
        _take_descriptors(streams, kept)
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        warnings.resetwarnings()
        for unseen in UNSEEN:
            warnings.simplefilter("ignore", unseen)
        logging.getLogger().handlers.clear()
        if env is not None:
            os.environ.clear()
            os.environ.update(env)
        if cwd is not None:
            os.chdir(cwd)
        sys.argv = list(argv)
        code = _code_of(main)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _take_descriptors(streams: Sequence[int], kept: Collection[int]) -> None:
    for number, source in enumerate([os.dup(source) for source in streams]):
        os.dup2(source, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                # that of the listing is closed already
                os.close(int(name))


def _code_of(main: Callable[[], object]) -> int:
    """As the interpreter ends with it."""
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
