"""`ncsctl events`: the daemon's events since a moment, of a level, as text or as JSON. Imports little: see lean.py."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ncs_cluster.cli import show
from ncs_cluster.cli.text import Terminal
from ncs_cluster.client import Client
from ncs_cluster.status import Event

if TYPE_CHECKING:
    import argparse

LEVELS = ("info", "warning", "error")
"""By weight."""


def show_events(
    runtime_dir: str | None, *, follow: bool, json: bool = False, since: str | None = None, level: str | None = None
) -> int:
    """`since`: as moment.earlier. `level`: this one and heavier ones. Without both, as many as one reply of the daemon holds."""
    since_at = 0.0
    if since is not None:
        from ncs_cluster.cli import moment

        since_at = moment.earlier(since, time.time())
    wanted = LEVELS[LEVELS.index(level) :] if level is not None else ()
    with Client(runtime_dir) as daemon:
        events = _kept(daemon, since_at) if since is not None or level is not None else daemon.events()
        _print(events, since_at, wanted, json=json)
        if follow:
            for several in daemon.follow(events[-1].id if events else 0):
                _print(several, since_at, wanted, json=json)
                sys.stdout.flush()
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options beside those of commands.FLAGS. They are set only where they are given."""
    import argparse

    parser.add_argument(
        "--since", metavar="WHEN", default=argparse.SUPPRESS, help="not older than: 90s, 15m, 2h, 3d, 22:30, 2025-01-31 22:30"
    )
    parser.add_argument("--level", choices=LEVELS, default=argparse.SUPPRESS, help="of this level and above")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="a JSON object on each line")


def _kept(daemon: Client, since_at: float) -> list[Event]:
    """All events that the daemon keeps, oldest first, back to the first reply with one before `since_at`."""
    events = daemon.events()
    while events and events[0].id > 1 and events[0].at >= since_at:
        older = daemon.events(before=events[0].id)
        if not older or older[-1].id >= events[0].id:
            # nothing older is kept, or the daemon is of a version that does not know `before`
            break
        events = older + events
    return events


def _print(events: Iterable[Event], since_at: float, levels: tuple[str, ...], *, json: bool) -> None:
    for line in _lines([each for each in events if each.at >= since_at and (not levels or each.level in levels)], json=json):
        print(line)


def _lines(events: list[Event], *, json: bool) -> Iterator[str]:
    if json:
        import msgspec

        yield from (msgspec.json.encode(each).decode() for each in events)
    else:
        terminal = Terminal()
        yield from (terminal.render(show.event(each)) for each in events)
