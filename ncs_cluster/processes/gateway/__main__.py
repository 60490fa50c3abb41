"""The gateway process: hear the supervisor, beat, serve. Everything runs in one event loop that nothing may block."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from ncs_cluster.errors import ProtocolError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import (
    CameraGone,
    Failed,
    GatewayOpened,
    Heartbeat,
    MapPictures,
    OpenGateway,
    PictureReady,
    Stop,
    ToGateway,
    Watch,
)
from ncs_cluster.processes import child
from ncs_cluster.processes.gateway.auth import Door
from ncs_cluster.processes.gateway.daemon import Daemon
from ncs_cluster.processes.gateway.pictures import Pictures
from ncs_cluster.processes.gateway.server import CannotListen, Server, listen
from ncs_cluster.processes.gateway.web import make_app
from ncs_cluster.types import CameraName

log = logging.getLogger(__name__)

HEARTBEAT_S = 1.0


class Gateway:
    """The open gateway between its supervisor and its visitors."""

    def __init__(self, channel: Channel[Any], server: Server, pictures: Pictures, daemon: Daemon) -> None:
        self._channel, self._server, self._pictures, self._daemon = channel, server, pictures, daemon
        self._told: dict[str, int] = {}

    async def run(self) -> None:
        """Serve until Stop; the process is gone at once when the supervisor is."""
        loop = asyncio.get_running_loop()
        self._channel.sock.setblocking(False)
        loop.add_reader(self._channel.fileno(), self._hear)
        tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._daemon.run())]
        for task in tasks:
            task.add_done_callback(_end_with_it)
        await self._server.serve()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self.say(Heartbeat())
            self.tell_watched()

    def tell_watched(self) -> None:
        """Say how many look at each camera, where that is news. What a full channel refused is said at the next beat."""
        for camera, viewers in self._pictures.watched().items():
            if self._told.get(camera, 0) != viewers and self.say(Watch(CameraName(camera), viewers)):
                self._told[camera] = viewers

    def _hear(self) -> None:
        try:
            while (received := self._channel.receive()) is not None:
                message = received.message
                if isinstance(message, PictureReady):
                    self._pictures.ready(message.camera)
                elif isinstance(message, MapPictures):
                    self._pictures.map(message, received.fds)
                elif isinstance(message, CameraGone):
                    self._pictures.gone(message.camera)
                    self._told.pop(message.camera, None)
                elif isinstance(message, Stop):
                    self._daemon.stop()
                    self._pictures.stop()
                    self._server.should_exit = True
        except (EOFError, ProtocolError):
            os._exit(0)

    def say(self, message: Any) -> bool:
        """False when the channel is full."""
        try:
            return self._channel.send(message)
        except OSError:
            os._exit(0)


def _end_with_it(task: asyncio.Task[None]) -> None:
    """Without its heartbeat or its view of the daemon the gateway is worth nothing: end, and be started again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the gateway failed: %s", error, exc_info=error)
        os._exit(1)


def main() -> int:
    channel = child.enter("gateway", ToGateway)
    asked = child.first_word(channel, OpenGateway)
    try:
        door = Door(asked.gateway)
        sock = listen(asked.gateway.host, asked.gateway.port)
    except CannotListen as error:
        channel.send(Failed("open", str(error), permanent=error.permanent))
        return 1
    daemon = Daemon(asked.runtime_dir)
    pictures = Pictures(on_watch=lambda: gateway.tell_watched())
    app = make_app(door, daemon, pictures, simulated=asked.simulated)
    server = Server(app, sock, on_open=lambda host, port: gateway.say(GatewayOpened(host, port)))
    gateway = Gateway(channel, server, pictures, daemon)
    asyncio.run(gateway.run())
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # a thread that waits for the supervisor must not hold the process
