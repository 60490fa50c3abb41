"""`python -m tests.hosts.relay HOST:PORT [--delay-ms MS] [--loss SHARE] [--seed N]`: passes TCP connections on to a server, as a
long or bad line would. Prints its own address.

What arrives is passed on after the delay, in order. TCP loses nothing: a lost packet is sent again after 200 ms (the least that
Linux waits), and all that follows waits for it. So a share of the pieces, of 64 KiB at most, is held for so long.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random

PIECE = 64 << 10
AGAIN_S = 0.2
MOST_WAITING = 256
"""Pieces on the line: a sender that is faster waits."""


class Line:
    """One direction of one connection."""

    def __init__(self, delay_s: float, loss: float, chance: random.Random) -> None:
        self._delay_s, self._loss, self._chance = delay_s, loss, chance
        self._waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MOST_WAITING)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one end closes; then both are closed."""
        with contextlib.suppress(OSError):
            await asyncio.gather(self._take(reader), self._give(writer))
        writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        piece = b"first"
        while piece:
            piece = await reader.read(PIECE)
            await self._waiting.put((loop.time() + self._delay_s, piece))

    async def _give(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, piece = await self._waiting.get()
            lost = AGAIN_S if self._chance.random() < self._loss else 0.0
            await asyncio.sleep(max(0.0, due_s - loop.time()) + lost)
            if not piece:
                return
            writer.write(piece)
            await writer.drain()


async def relay(host: str, port: int, delay_s: float, loss: float, seed: int) -> None:
    """Serve for ever."""
    chance = random.Random(seed)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        there, back = Line(delay_s, loss, chance), Line(delay_s, loss, chance)
        await asyncio.gather(there.carry(reader, far_writer), back.carry(far_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print("{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await server.serve_forever()


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m tests.hosts.relay", description=__doc__)
    parser.add_argument("server", metavar="HOST:PORT")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="of each direction")
    parser.add_argument("--loss", type=float, default=0.0, help="0 to 1")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    host, _, port = given.server.rpartition(":")
    asyncio.run(relay(host, int(port), given.delay_ms / 1000, given.loss, given.seed))


if __name__ == "__main__":
    main()
