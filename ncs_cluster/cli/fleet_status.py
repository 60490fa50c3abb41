"""What `ncsctl fleet status` and `fleet top` do: all hosts that a NATS server knows, also from a machine without a daemon."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

import msgspec

from ncs_cluster.cli import show_fleet
from ncs_cluster.cli.fleet_server import LONGEST_S, asked
from ncs_cluster.cli.live import Screen
from ncs_cluster.cli.text import Terminal
from ncs_cluster.fleet.bucket import Host, Hosts, read
from ncs_cluster.fleet.connection import Connection, Unusable, is_forbidden
from ncs_cluster.fleet.drained import drained
from ncs_cluster.fleet.entry import Entry

EVERY_S = 2.0


async def look(connection: Connection) -> Hosts:
    """All hosts, with those that shall be drained. Raises Unusable."""
    try:
        away = await drained(connection)
    except Unusable as error:
        if not is_forbidden(error):
            raise
        # with the rights of an older version a reader knows what the hosts say of themselves
        away = frozenset()
    return (await read(connection))._replace(drained=away)


def status(given: argparse.Namespace) -> int:
    """Print all hosts. Raises ConfigError, Unusable, NoServer."""
    found = asked(given, look)
    if given.json:
        print(json.dumps(_document(found), indent=2, ensure_ascii=False))
    else:
        terminal = Terminal()
        for line in show_fleet.hosts(found):
            print(terminal.render(line))
    return _code(found)


def top(given: argparse.Namespace) -> int:
    """Show all hosts until Ctrl-C, or once where nobody looks. Raises as `status`; a server that goes away ends it."""
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
    return isinstance(host.entry, Entry) and host.entry.state == "ok" and not show_fleet.gone(host)


def _document(found: Hosts) -> dict[str, Any]:
    hosts = []
    for host in found.hosts:
        told = msgspec.to_builtins(host.entry) if isinstance(host.entry, Entry) else None
        other = None if isinstance(host.entry, Entry) else {"protocol": host.entry.protocol, "version": host.entry.version}
        hosts.append(
            {
                "node": host.node,
                "age_s": round(host.age_s, 1),
                "gone": show_fleet.gone(host),
                "drained": host.node in found.drained,
                "entry": told,
                "unreadable": other,
            }
        )
    return {"hosts": hosts, "left_out": found.left_out}
