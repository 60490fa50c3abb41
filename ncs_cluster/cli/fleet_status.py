"""What `ncsctl fleet status` and `fleet top` do: all hosts that a NATS server knows, also from a machine without a daemon."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from ncs_cluster.cli import show_fleet
from ncs_cluster.cli.fleet_server import LONGEST_S, asked
from ncs_cluster.cli.live import Screen
from ncs_cluster.cli.text import Terminal
from ncs_cluster.fleet.bucket import Host, Hosts
from ncs_cluster.fleet.connection import Connection
from ncs_cluster.fleet.entry import Entry
from ncs_cluster.fleet.overview import document, look

EVERY_S = 2.0


def status(given: argparse.Namespace) -> int:
    """Print all hosts. Raises ConfigError, Unusable, NoServer."""
    found = asked(given, look)
    if given.json:
        print(json.dumps(document(found), indent=2, ensure_ascii=False))
    else:
        terminal = Terminal()
        for line in show_fleet.hosts(found):
            print(terminal.render(line))
    return _code(found)


def top(given: argparse.Namespace) -> int:
    """Renew the table of all hosts until Ctrl-C; print it once where standard output is no terminal. Raises as `status`, also when
    the connection to the server is lost."""
    if not sys.stdout.isatty():
        terminal = Terminal()
        found = asked(given, look)
        for line in show_fleet.top(found):
            print(terminal.render(line))
        return _code(found)
    seen = 0

    async def follow(connection: Connection) -> None:
        nonlocal seen
        while True:
            found = await asyncio.wait_for(look(connection), LONGEST_S)
            seen = _code(found)
            screen.show(show_fleet.top(found))
            await asyncio.sleep(EVERY_S)

    try:
        with Screen() as screen:
            asked(given, follow, None)
    except KeyboardInterrupt:
        pass
    return seen


def _code(found: Hosts) -> int:
    return 0 if found.hosts and all(map(_healthy, found.hosts)) else 1


def _healthy(host: Host) -> bool:
    return isinstance(host.entry, Entry) and host.entry.state == "ok" and not host.gone
