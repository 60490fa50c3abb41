"""A command of this package that a test waits for, forked from the test's process.

A test starts `python -m` where the start of the interpreter is the point, where the command runs on while the test goes on, and
where the test has changed what the command would use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryFile
from typing import IO

import pytest

from ncs_cluster.testing.forked import Forked


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
        process = Forked(main, argv, streams=[file.fileno() for file in (given, out, err)], env=env, cwd=cwd)
        try:
            code = process.wait(timeout_s)
        except TimeoutError:
            pytest.fail(f"the command takes longer than {timeout_s:g} s")
        finally:
            process.kill()
            process.wait()
        return CompletedProcess(argv, code, _read(out), _read(err))


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
