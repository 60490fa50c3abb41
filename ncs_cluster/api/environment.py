"""The environment of the processes that a program starts: they find the package where the program has found it."""

from __future__ import annotations

import os
import site
from pathlib import Path

import ncs_cluster

NOT_THEIRS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM")
"""What systemd says to the program is not for the host: it would answer in its place."""


def environment() -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if key not in NOT_THEIRS}
    home = os.fspath(Path(ncs_cluster.__file__).resolve().parent.parent)
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    if home not in map(os.path.realpath, installed):
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [home, env.get("PYTHONPATH")]))
    return env
