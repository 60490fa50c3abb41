"""`python -m tests.soak.many_hosts URL --hosts N --sticks N --switch-s S`: hosts of a fleet as the NATS server sees them, with the
product's own connection, bucket and entries, without daemons. Prints "ready" once each has written its entry, and runs until it is
killed.

A host writes its entry every 5 s, and when its sticks change their states: one cluster hands over to the other every S seconds, as
`--policy ring` does. It asks with each entry whether it is drained.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
from collections.abc import Iterator

from ncs_cluster.fleet import address
from ncs_cluster.fleet.bucket import Place
from ncs_cluster.fleet.connection import Server, connected
from ncs_cluster.fleet.drained import is_drained
from ncs_cluster.fleet.entry import encoded, entry_of
from ncs_cluster.sinks.fleet import AGAIN_S
from tests.sinks.onefleet import in_fleet
from tests.sinks.onestatus import camera, status, stick

CONNECTING = 8
"""Connections that are opened at the same time."""


def entries(node: str, sticks: int, chance: random.Random) -> Iterator[bytes]:
    """Entry after entry; the next one has the other cluster at work."""
    first = True
    while True:
        pool = [
            stick(
                f"ncs-1-1.{number}",
                state="active" if (number <= sticks / 2) == first else "standby",
                temperature_c=round(chance.uniform(40.0, 65.0), 1),
                fps=round(chance.uniform(8.0, 10.0), 1),
            )
            for number in range(1, sticks + 1)
        ]
        yield encoded(entry_of(in_fleet(status(pool, [camera("door"), camera("yard")]), node), node, f"http://{node}:8080/"))
        first = not first


async def host(server: Server, node: str, given: argparse.Namespace, gate: asyncio.Semaphore, ready: asyncio.Queue[str]) -> None:
    chance = random.Random(node)
    loop = asyncio.get_running_loop()
    following = entries(node, given.sticks, chance)
    await gate.acquire()
    async with connected(server, f"ncs_cluster {node}") as connection:
        place = Place(connection, node)
        await place.prepare()
        switch_s = loop.time() + chance.uniform(0, given.switch_s)
        current = next(following)
        written = False
        while True:
            now_s = loop.time()
            if now_s >= switch_s:
                current, switch_s = next(following), switch_s + given.switch_s
            await is_drained(connection, node)
            await place.put(current)
            if not written:
                written = True
                gate.release()
                ready.put_nowait(node)
            await asyncio.sleep(max(0.0, min(now_s + AGAIN_S, switch_s) - loop.time()))


async def run(given: argparse.Namespace) -> None:
    server, gate, ready = Server(address.parse(given.url)), asyncio.Semaphore(CONNECTING), asyncio.Queue[str]()
    async with asyncio.TaskGroup() as group:
        for number in range(given.hosts):
            group.create_task(host(server, f"host-{number:04d}", given, gate, ready))
        for _ in range(given.hosts):
            await ready.get()
        print("ready", flush=True)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m tests.soak.many_hosts", description=__doc__)
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--sticks", type=int, default=4)
    parser.add_argument("--switch-s", type=float, default=10.0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
