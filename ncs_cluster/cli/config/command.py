"""`ncsctl config check` and `ncsctl config show`: flags, environment and file as ncs-clusterd reads them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

from ncs_cluster.cli import options
from ncs_cluster.cli.settings import printable, try_all_graphs
from ncs_cluster.cli.suggesting import Parser
from ncs_cluster.cli.text import Cell, Terminal
from ncs_cluster.client import Client
from ncs_cluster.control_messages import Setting
from ncs_cluster.errors import EX_NOT_RUNNING, ConfigError, NcsClusterError, NotRunning, Starting, format_os_error

WRONG = 2
SERVICE_FILE = "/etc/ncs-cluster/ncs-cluster.toml"
"""The settings of the shipped unit, read where no other file is named."""


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code: 0, 2 with a line for each fault, 3 where no daemon runs."""
    given, flags = parser().parse_known_args(argv)
    try:
        if given.what == "show" and given.live:
            if flags:
                parser().error(f"{flags[0]}: --live shows what the daemon was started with; leave it out")
            with Client(getattr(given, "runtime_dir", None)) as daemon:
                _print(daemon.settings(), as_json=given.json)
            return 0
        if getattr(given, "runtime_dir", None) is not None:
            flags += ["--runtime-dir", given.runtime_dir]
        flags = _with_file(flags)
        return _check(flags) if given.what == "check" else _show(flags, as_json=given.json)
    except NcsClusterError as error:
        print(f"ncsctl: {printable(str(error))}", file=sys.stderr)
        return EX_NOT_RUNNING if isinstance(error, NotRunning) and not isinstance(error, Starting) else 1


def parser() -> Any:
    """Of the flags of ncs-clusterd, which may follow, it knows none."""
    place = options.runtime_dir()
    made: Any = Parser(
        "ncsctl config",
        description="Judges settings without a daemon, or shows them. Flags of ncs-clusterd may follow.",
        epilog=f"Without --config and NCS_CLUSTER_CONFIG: {SERVICE_FILE}, where it is. Exit codes: 0; 2, a line for each fault.",
        allow_abbrev=False,
        parents=[place],
    )
    what: Any = made.add_subparsers(dest="what", metavar="WHAT", required=True)
    what.add_parser(
        "check", parents=[place], allow_abbrev=False, help="whether ncs-clusterd would take them; a line for each fault"
    )
    show = what.add_parser("show", parents=[place], allow_abbrev=False, help="every key, its value, and what has set it")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.add_argument("--live", action="store_true", help="those in effect in the running daemon")
    return made


def _with_file(flags: list[str]) -> list[str]:
    named = any(word == "--config" or word.startswith("--config=") for word in flags) or os.environ.get("NCS_CLUSTER_CONFIG")
    return flags if named or not os.path.exists(SERVICE_FILE) else ["--config", SERVICE_FILE, *flags]


def _check(flags: list[str]) -> int:
    from ncs_cluster.config.faults import faults

    try:
        found, settings, notices = faults(flags, os.environ)
        if settings is not None:
            try_all_graphs(settings)
    except ConfigError as error:
        found = [str(error)]
    except OSError as error:
        found = [f"{format_os_error(error)}; give this user access, or try again"]
    for line in found:
        print(printable(line))
    if found:
        return WRONG
    for notice in notices:
        print(f"ncsctl: {printable(notice)}", file=sys.stderr)
    file = next((after for word, after in pairwise(flags) if word == "--config"), None)
    print(f"{printable(file)}: no fault" if file is not None else "no fault")
    return 0


def _show(flags: list[str], *, as_json: bool) -> int:
    from ncs_cluster import config

    try:
        _, shown = config.read(flags, os.environ, numbered=True)
    except ConfigError as error:
        print(f"ncsctl: {printable(str(error))}", file=sys.stderr)
        return WRONG
    _print(shown, as_json=as_json)
    return 0


def _print(shown: list[Setting], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([msgspec.to_builtins(each) for each in shown], indent=1, ensure_ascii=False))
        return
    terminal = Terminal()
    keys = max((len(each.key) for each in shown), default=0)
    values = [_text(each.value) for each in shown]
    width = min(40, max(map(len, values), default=0))
    for each, value in zip(shown, values, strict=True):
        style = "dim" if each.origin == "default" else ""
        print(terminal.render([Cell(f"{printable(each.key):{keys}}  {printable(value):{width}}  {printable(each.origin)}", style)]))


def _text(value: object) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
