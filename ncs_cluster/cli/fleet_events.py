"""What `ncsctl fleet events` does: events of all hosts, as text or as JSON."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from ncs_cluster.cli import show_fleet
from ncs_cluster.cli.events import LEVELS
from ncs_cluster.cli.fleet_server import LONGEST_S, asked
from ncs_cluster.cli.text import Terminal
from ncs_cluster.fleet.connection import Connection
from ncs_cluster.fleet.events import FleetEvent, read

EVERY_S = 1.0
MOST = 10_000


def run(given: argparse.Namespace) -> int:
    """Print the newest events, oldest first, and later ones until Ctrl-C where they are followed. Raises as `asked`."""
    wanted = LEVELS[LEVELS.index(given.level) :] if given.level is not None else LEVELS
    terminal = Terminal()

    def show(events: Sequence[FleetEvent]) -> None:
        for each in events:
            if (given.host is None or each.node == given.host) and each.level in wanted:
                print(msgspec.json.encode(each).decode() if given.json else terminal.render(show_fleet.event(each)))
        sys.stdout.flush()

    async def follow(connection: Connection) -> None:
        found = await asyncio.wait_for(read(connection, None, MOST if given.host else given.last), LONGEST_S)
        of_host = [each for each in found.events if given.host in (None, each.node)]
        show(of_host[-given.last :])
        while given.follow:
            await asyncio.sleep(EVERY_S)
            found = await asyncio.wait_for(read(connection, found.last, MOST), LONGEST_S)
            show(found.events)

    try:
        asked(given, follow, None if given.follow else LONGEST_S)
    except KeyboardInterrupt:
        pass
    return 0
