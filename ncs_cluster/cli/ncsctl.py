"""ncsctl: shows and controls the running daemon over its control socket.

Exit codes: 0 healthy, 1 degraded, down or starting (or the daemon refused), 2 wrong usage, 3 not running.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress

from ncs_cluster import msgspec_library
from ncs_cluster.cli import lean
from ncs_cluster.errors import EX_NOT_RUNNING, NcsClusterError, NotRunning, Starting, WrongUsage, format_os_error

OWN_COMMAND_LINES = ("run", "bench", "simulate", "calibrate", "merge", "config")
"""Modules of this package; the other commands share one parser."""


def main() -> None:
    """The command."""
    lean_command = False
    try:
        msgspec_library.load()
        if (own := _own(sys.argv[1:])) is not None:
            name, words = own
            sys.exit(importlib.import_module(f"ncs_cluster.cli.{name}").main(words))
        from ncs_cluster.cli import commands

        if (plain := lean.read_plain(sys.argv[1:], commands.FLAGS)) is not None:
            lean_command = True
            name, runtime_dir, flags = plain
            code = commands.RUN[name](runtime_dir, **flags)
        else:
            from ncs_cluster.cli import parser

            given = parser.make().parse_args()
            code = given.run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # the reader, such as `head`, has closed the pipe; the flush at exit must not fail on it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except NcsClusterError as error:
        print(f"ncsctl: {error}", file=sys.stderr)
        code = EX_NOT_RUNNING if isinstance(error, NotRunning) and not isinstance(error, Starting) else 1
        code = 2 if isinstance(error, WrongUsage) else code
    except OSError as error:
        print(f"ncsctl: {format_os_error(error)}", file=sys.stderr)
        code = 1
    if lean_command:
        # nothing is left to clean up, and the interpreter's own shutdown would be a tenth of the command's CPU
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _own(words: list[str]) -> tuple[str, list[str]] | None:
    """A command with a command line of its own, and its words; --runtime-dir may stand before its name, as for the others."""
    before = 2 if words[:1] == ["--runtime-dir"] else 1 if words[:1] and words[0].startswith("--runtime-dir=") else 0
    if words[before : before + 1] and words[before] in OWN_COMMAND_LINES:
        return words[before], [*words[:before], *words[before + 1 :]]
    return None


if __name__ == "__main__":
    main()
