"""ncs-clusterd: read the settings, load the graphs once, become the supervisor."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import ncs_cluster
from ncs_cluster.cli.settings import loaded, refuse
from ncs_cluster.errors import ConfigError
from ncs_cluster.processes.operator_signals import has_terminal


def main() -> None:
    """The command. Exit code 78 and one line on standard error when a setting or a graph is refused."""
    if sys.argv[1:] == ["--version"]:
        print(f"ncs-clusterd {ncs_cluster.__version__}")
        sys.exit(0)
    # until the supervisor handles signals; nothing has been started yet that outlives this process
    signal.signal(signal.SIGTERM, _stopped)
    if not has_terminal():
        # `kill -HUP` and `systemctl reload` before the supervisor handles it: it is not lost
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    found = loaded("ncs-clusterd", sys.argv[1:])
    if os.getuid() == 0:
        print(
            "ncs-clusterd: running as root, which is not needed; deploy/ has a systemd unit with a user of its own", file=sys.stderr
        )
    try:
        from ncs_cluster.processes.reloading import Reread
        from ncs_cluster.processes.supervisor import run

        command = [sys.executable, "-m", "ncs_cluster.cli.reread"]
        code = run(found.settings, reread=Reread(command, sys.argv[1:], found.shown), keep_jobs=True)
    except ConfigError as error:
        refuse("ncs-clusterd", error)
    except KeyboardInterrupt:
        # only before the supervisor handles signals; no process has been started yet
        code = 130
    sys.exit(code)


def _stopped(_number: int, _frame: object) -> NoReturn:
    print("ncs-clusterd: stopped before it was ready", file=sys.stderr)
    sys.exit(0)


if __name__ == "__main__":
    main()
