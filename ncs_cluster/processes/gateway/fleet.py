"""GET /api/fleet and the page /fleet: all hosts at the NATS server of [nats], read when somebody looks. Neither is there without
[nats]. nats-py is imported with the first look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from importlib import resources
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.fleet import address, bucket, overview
from ncs_cluster.fleet.connection import Connection, Server
from ncs_cluster.fleet.login import Key

KEPT_S = 2.0
"""For which an answer is reused, whoever asks."""
LONGEST_S = 20.0
UNUSED_S = 30.0
"""A connection that nobody has asked for so long is closed."""


def routes(options: Mapping[str, Any]) -> list[Route]:
    """`options`: those of the sink that announces this daemon; empty: it does not."""
    if not options:
        return []
    hosts = Hosts(options)
    return [Route("/fleet", hosts.page), Route("/api/fleet", hosts.hosts)]


class Hosts:
    """What is known of them, and the connection while somebody looks."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        key = None if options["seed"] is None else Key(options["seed"], options["jwt"])
        where = address.parse(options["url"])
        self._server = Server(where, options["user"], options["password"], options["ca_file"], key)
        self._connection: Connection | None = None
        self._asking = asyncio.Lock()
        self._kept: tuple[float, int, bytes] = (-KEPT_S, 503, b"")
        self._asked_s = 0.0
        self._closer: asyncio.Task[None] | None = None

    async def page(self, request: Request) -> Response:
        data = (resources.files(__package__) / "static" / "fleet.html").read_bytes()
        return Response(data, media_type="text/html", headers={"Cache-Control": "no-cache"})

    async def hosts(self, request: Request) -> Response:
        async with self._asking:
            self._asked_s = time.monotonic()
            if self._asked_s - self._kept[0] >= KEPT_S:
                code, body = await self._look()
                self._kept = time.monotonic(), code, body
        return Response(self._kept[2], self._kept[1], media_type="application/json")

    async def _look(self) -> tuple[int, bytes]:
        try:
            found = await asyncio.wait_for(self._ask(), LONGEST_S)
        except (NcsClusterError, TimeoutError) as error:
            await self._close()
            why = str(error) or f"it has not answered all questions within {LONGEST_S:.0f} s"
            told = {"error": f"the NATS server {self._server.address} cannot be used: {why}"}
            return 503, bytes(JSONResponse(told).body)
        return 200, msgspec.json.encode(overview.document(found))

    async def _ask(self) -> bucket.Hosts:
        if self._connection is None or self._connection.closed:
            self._connection = Connection(self._server, "ncs_cluster page")
            await self._connection.open()
        if self._closer is None or self._closer.done():
            self._closer = asyncio.create_task(self._close_unused())
        return await overview.look(self._connection)

    async def _close_unused(self) -> None:
        left_s = UNUSED_S
        while left_s > 0:
            await asyncio.sleep(left_s)
            left_s = self._asked_s + UNUSED_S - time.monotonic()
        async with self._asking:
            await self._close()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
