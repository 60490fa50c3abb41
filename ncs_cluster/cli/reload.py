"""`ncsctl reload`: the running daemon reads its settings again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ncs_cluster.cli.text import printable
from ncs_cluster.client import Client, Refused
from ncs_cluster.control_messages import SETTINGS_REFUSED

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
REFUSED = 2


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    command("reload", _reload, "have the daemon read its file again, and apply what has changed; 2: refused, nothing is changed")


def _reload(given: argparse.Namespace) -> int:
    with Client(getattr(given, "runtime_dir", None)) as daemon:
        try:
            done = daemon.reload()
        except Refused as refused:
            if refused.code != SETTINGS_REFUSED:
                raise
            print(f"ncsctl: the new settings are not applied: {printable(str(refused))}", file=sys.stderr)
            return REFUSED
    for notice in done.notices:
        print(f"ncsctl: {printable(notice)}", file=sys.stderr)
    print(printable("; ".join([*done.changes, "nothing else"])) if done.changes else "no difference")
    return 0
