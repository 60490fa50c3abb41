"""A real gateway process in front of a FakeControl, with cameras that draw while there is a viewer."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import os
import select
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ncs_cluster.messages import FromGateway, GatewayOpened, OpenGateway, PictureReady, Watch
from ncs_cluster.processes.gateway.__main__ import main
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.testing.children import WAIT_S, Child, forked, running
from ncs_cluster.testing.control import FakeControl, PictureWriter, control
from ncs_cluster.types import CameraName

GATEWAY = "ncs_cluster.processes.gateway"
TOKEN = "a-token-of-some-length"
VIEWER_TOKEN = "a-token-for-pictures-alone"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Site:
    """A running gateway, seen by its supervisor and by its HTTP clients."""

    def __init__(self, child: Child, fake: FakeControl, opened: GatewayOpened) -> None:
        self.child, self.control = child, fake
        self.port = opened.port
        self.api_port = opened.api[1] if opened.api is not None else None
        """Of the APIs alone."""
        self.grpc_port = opened.grpc[1] if opened.grpc is not None else None
        self.writers: dict[str, PictureWriter] = {}
        self.watched: dict[str, list[int]] = {}
        """Each number of viewers that a camera had, one after another."""
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: str | bytes | None = None, *, host: str | None = None, **headers: str
    ) -> Answer:
        """One request on a connection of its own. Underscores in header names are dashes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            sent = {"Host": host or f"127.0.0.1:{self.port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """POST JSON, as a program does."""
        return self.request("POST", path, json.dumps(body or {}), **{"Content_Type": "application/json", **headers})

    def at_api_port(self) -> Site:
        """The same gateway, asked at its port for APIs alone."""
        assert self.api_port is not None
        other = copy.copy(self)
        other.port = self.api_port
        return other

    def add_camera(self, name: str, width: int = 320, height: int = 240) -> PictureWriter:
        """Create the camera's ring, or replace it."""
        writer = PictureWriter(name, width, height)
        self.child.send(writer.map, writer.fd)
        self.writers[name] = writer
        return writer

    def draw(self, name: str, colour: tuple[int, int, int] = (120, 90, 40)) -> None:
        frame = self.writers[name].draw(colour)
        self.child.send(PictureReady(CameraName(name), frame))

    def live(self, pictures_per_s: float = 20.0) -> None:
        """Start threads that receive from the gateway and draw for each camera that has viewers, until the site is closed."""
        self._threads = [threading.Thread(target=self._receive, daemon=True)]
        self._threads.append(threading.Thread(target=self._draw, args=(1 / pictures_per_s,), daemon=True))
        for thread in self._threads:
            thread.start()

    def _receive(self) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError):
            while not self._ending.is_set():
                if select.select([self.child.channel.fileno()], [], [], 0.1)[0]:
                    message = self.child.receive()
                    if isinstance(message, Watch):
                        viewers = self.watched.setdefault(message.camera, [])
                        if viewers[-1:] != [message.viewers]:
                            viewers.append(message.viewers)

    def _draw(self, period_s: float) -> None:
        with contextlib.suppress(OSError):
            while not self._ending.wait(period_s):
                for name in list(self.writers):
                    if self.watched.get(name, [0])[-1]:
                        self.draw(name)

    def until_watched(self, name: str, viewers: int, timeout_s: float = WAIT_S) -> None:
        """Wait until the camera has that many viewers. Raises TimeoutError."""
        until_s = time.monotonic() + timeout_s
        while self.watched.get(name, [0])[-1] != viewers:
            if time.monotonic() > until_s:
                raise TimeoutError(f"{name} has had {self.watched.get(name)} viewers, not {viewers}")
            time.sleep(0.02)

    def close(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        for writer in self.writers.values():
            writer.close()


def _gateway() -> None:
    """As the module, when it is started."""
    os._exit(main())


@contextmanager
def site(
    runtime_dir: Path,
    *,
    token: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    simulated: bool = True,
    cameras: tuple[str, ...] = ("cam0",),
    allowed_hosts: tuple[str, ...] = (),
    viewer_token: str | None = None,
    token_file: Path | None = None,
    viewer_token_file: Path | None = None,
    history: Path | None = None,
    alone: bool = False,
    **more: Any,
) -> Iterator[Site]:
    """A gateway that has opened its port. `alone`: it has imported nothing but what it needs. `more`: other fields of
    GatewaySpec. Everything is closed when the block is left."""
    paths = [None if path is None else str(path) for path in (token_file, viewer_token_file)]
    spec = GatewaySpec(host, port, token, list(allowed_hosts), paths[0], viewer_token, paths[1], **more)
    # the threads of gRPC do not survive a fork
    started = running(GATEWAY, FromGateway) if alone or spec.grpc_address is not None else forked(_gateway, FromGateway)
    with control(runtime_dir) as fake, started as child:
        child.send(OpenGateway(spec, str(runtime_dir), simulated, None if history is None else str(history)))
        opened = Site(child, fake, child.expect(GatewayOpened))
        try:
            for name in cameras:
                opened.add_camera(name)
            yield opened
        finally:
            opened.close()
