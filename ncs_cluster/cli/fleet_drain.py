"""What `ncsctl fleet drain` and `fleet return` do: take a host out of the work of the fleet, as for an upgrade, and put it back."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable

from ncs_cluster.cli.fleet_server import asked
from ncs_cluster.cli.show_fleet_work import in_hand
from ncs_cluster.cli.text import duration, printable
from ncs_cluster.errors import ConfigError
from ncs_cluster.fleet import drained
from ncs_cluster.fleet.address import NODE
from ncs_cluster.fleet.bucket import read
from ncs_cluster.fleet.connection import Connection
from ncs_cluster.fleet.entry import Entry, Other

CONFIRMED_S = 15.0
"""A host reads whether it is drained with each entry, every 5 s."""
AGAIN_S = 0.5
TAKES_NONE = "it takes no chunks of jobs and no frames of other hosts"

Told = Entry | Other | None
"""The entry of a host in the fleet; None: no host of this name has one."""


def drain(given: argparse.Namespace) -> int:
    """Exit code 0 once the host says that it has no work of the fleet in hand, or takes none where more is not waited for; also
    where it is not there. 1 where it does not say so in time. Raises as `asked`."""
    node = _node(given)

    async def change(connection: Connection) -> Told:
        await drained.drain(connection, node)
        told = await _until(connection, node, _takes_none, CONFIRMED_S)
        if given.no_wait or not isinstance(told, Entry) or not told.draining:
            return told
        return await _until(connection, node, lambda entry: bool(entry.drained), given.timeout, _Waiting(node).show)

    told = asked(given, change, CONFIRMED_S + given.timeout + 20.0)
    if told is None:
        print(f"{node} is drained: {TAKES_NONE}, once it is there: no host of this name is announced at present")
    elif not isinstance(told, Entry) or not _takes_none(told):
        return _silent(node)
    elif told.drained:
        print(f"{node} is drained: {TAKES_NONE}")
    elif given.no_wait:
        print(f"{node} is draining: {TAKES_NONE}; it still has {_has(told)}")
    else:
        print(
            f"{node} still has {_has(told)} after {duration(given.timeout)}, and takes no more; give the command again to wait "
            "on, or restart the host: it goes on with its chunks"
        )
        return 1
    return 0


def give_back(given: argparse.Namespace) -> int:
    """Exit code 0 once the host says that it is not drained, or is not there; 1 where it does not say so. Raises as `asked`."""
    node = _node(given)

    async def change(connection: Connection) -> tuple[bool, Told]:
        changed = await drained.give_back(connection, node)
        return changed, await _until(connection, node, _takes_some, CONFIRMED_S)

    changed, told = asked(given, change, CONFIRMED_S + 20.0)
    if not changed:
        print(f"{node} was not drained")
    elif told is None:
        print(f"{node} takes work of the fleet again, once it is there: no host of this name is announced at present")
    elif isinstance(told, Entry) and _takes_some(told):
        print(f"{node} takes work of the fleet again")
    else:
        return _silent(node)
    return 0


class _Waiting:
    """Says what is waited for, when it changes."""

    def __init__(self, node: str) -> None:
        self._node, self._said = node, ""

    def show(self, entry: Entry) -> None:
        has = in_hand(entry.chunks, entry.frames)
        line = f"{self._node} still has {has}"
        if has and line != self._said:
            self._said = line
            print(f"ncsctl: {line}", file=sys.stderr, flush=True)


def _node(given: argparse.Namespace) -> str:
    node = str(given.host)
    if not NODE.fullmatch(node):
        raise ConfigError(f"{printable(node)} is no name of a host: letters, digits, _ and - only, 64 at most")
    return node


def _has(entry: Entry) -> str:
    # the last chunk has ended, and the processes that take work have not all said so
    return in_hand(entry.chunks, entry.frames) or "work of other hosts"


def _takes_none(entry: Entry) -> bool:
    return bool(entry.drained or entry.draining)


def _takes_some(entry: Entry) -> bool:
    return entry.drained is False and not entry.draining


def _silent(node: str) -> int:
    print(
        f"{node} has not told so within {CONFIRMED_S:.0f} s: its version is older, or it may not read "
        f"ncs.drained.{node} (docs/fleet.md, rights)"
    )
    return 1


async def _until(
    connection: Connection,
    node: str,
    holds: Callable[[Entry], bool],
    longest_s: float,
    show: Callable[[Entry], None] = lambda _: None,
) -> Told:
    """What the host tells once it `holds`, or after `longest_s`."""
    until_s = time.monotonic() + longest_s
    while True:
        host = next((each for each in (await read(connection)).hosts if each.node == node), None)
        if host is None or host.gone:
            return None
        if isinstance(host.entry, Entry):
            if holds(host.entry):
                return host.entry
            show(host.entry)
        if time.monotonic() > until_s:
            return host.entry
        await asyncio.sleep(AGAIN_S)
