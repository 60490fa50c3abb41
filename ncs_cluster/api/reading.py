"""Reads settings for a program, in a process that exits afterwards: pydantic and a backend's library stay out of the program.

The process gets its command line as msgpack on standard input and writes an Answer on standard output.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Optional

import msgspec

from ncs_cluster.api.environment import environment
from ncs_cluster.errors import ConfigError, format_os_error
from ncs_cluster.specs import Settings


class Answer(msgspec.Struct, frozen=True):
    """Settings, or what is wrong with them in one line."""

    settings: Optional[Settings] = None
    error: Optional[str] = None


def read(argv: Sequence[str], log: IO[bytes], *, graphs: bool = True) -> Settings:
    """Checked settings of a command line and this process's environment. `graphs`: load each graph once. Raises ConfigError."""
    ended = subprocess.run(
        # not from the working folder: a file there may have the name of a module
        [sys.executable, "-P", "-m", "ncs_cluster.api.reading", str(os.getpid())],
        input=msgspec.msgpack.encode((list(argv), graphs)),
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment(),
        check=False,
    )
    try:
        answer = msgspec.msgpack.decode(ended.stdout, type=Answer)
    except msgspec.DecodeError as error:
        raise ConfigError(f"settings cannot be read: the process that reads them has ended with code {ended.returncode}") from error
    if answer.settings is None:
        raise ConfigError(str(answer.error))
    return answer.settings


def main() -> None:
    """The process."""
    from ncs_cluster.cli.settings import checked, encoded
    from ncs_cluster.processes.child import ask_for_one_thread, die_with_parent

    die_with_parent(int(sys.argv[1]))
    ask_for_one_thread(os.environ)
    out = os.dup(1)
    os.dup2(2, 1)  # libraries print to standard output, which is for the answer only
    argv, graphs = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=tuple[list[str], bool])
    try:
        settings = checked("ncs_cluster", argv, graphs=graphs).settings
        encoded(settings)
        answer = Answer(settings)
    except ConfigError as error:
        answer = Answer(error="".join(c if c.isprintable() else "?" for c in str(error)))
    except OSError as error:
        answer = Answer(error=format_os_error(error))
    with os.fdopen(out, "wb") as pipe:
        pipe.write(msgspec.msgpack.encode(answer))
    sys.stderr.flush()
    # threads of a backend's library may hang at a regular exit
    os._exit(0)


if __name__ == "__main__":
    main()
