"""A command of this package in a process of its own that is forked from the test's: an interpreter would import everything anew,
which takes ten times as long as most commands.

The command has its own arguments, environment, working folder and standard streams, and whatever it changes ends with it. A test
starts `python -m` where the start of the interpreter is the point, where the command runs on while the test goes on, and where the
test has changed what the command would use.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryFile
from typing import IO, NoReturn

import pytest

from ncs_cluster.processes.child import die_with_parent


def run(
    main: Callable[[], object],
    argv: Sequence[str],
    *,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60.0,
) -> CompletedProcess[str]:
    """The exit code of `main` with these arguments, the program's name first, and what it has written. `text`: its standard input,
    empty without it. `env`: its whole environment, that of the test without it. Fails where it takes longer than `timeout_s`."""
    done = run_bytes(main, argv, text=text, env=env, cwd=cwd, timeout_s=timeout_s)
    return CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def run_bytes(
    main: Callable[[], object],
    argv: Sequence[str],
    *,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60.0,
) -> CompletedProcess[bytes]:
    """As `run`, for a command that writes what is no text."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write((text or "").encode())
        given.seek(0)
        parent = os.getpid()
        with warnings.catch_warnings():
            # Python warns of a fork beside threads; the child uses nothing that one of them may hold
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _become(parent, main, argv, (given, out, err), env, cwd)
        code = _ended(pid, timeout_s)
        return CompletedProcess(argv, code, _read(out), _read(err))


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _ended(pid: int, timeout_s: float) -> int:
    """The exit code, as of subprocess."""
    process = os.pidfd_open(pid)
    try:
        late = not select.select([process], [], [], timeout_s)[0]
        if late:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(process)
    if late:
        pytest.fail(f"the command takes longer than {timeout_s:g} s")
    return os.waitstatus_to_exitcode(status)


def _become(
    parent: int,
    main: Callable[[], object],
    argv: Sequence[str],
    streams: tuple[IO[bytes], ...],
    env: Mapping[str, str] | None,
    cwd: Path | None,
) -> NoReturn:
    code = 1
    try:
        # what the test has left behind is not collected here: that could close files of the command
        gc.freeze()
        die_with_parent(parent)
        for number, file in enumerate(streams):
            os.dup2(file.fileno(), number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 1 << 16 else 1 << 16)
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        warnings.resetwarnings()
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
