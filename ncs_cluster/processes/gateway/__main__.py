"""The gateway process: receives from the supervisor, sends heartbeats, serves HTTP, in one event loop that nothing may block."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.routing import BaseRoute

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
    TokenReplaced,
    Warned,
    Watch,
)
from ncs_cluster.processes import child
from ncs_cluster.processes.gateway.auth import Authenticator
from ncs_cluster.processes.gateway.daemon import DaemonCache
from ncs_cluster.processes.gateway.past import Past
from ncs_cluster.processes.gateway.pictures import Pictures
from ncs_cluster.processes.gateway.server import CannotListen, Server, listen
from ncs_cluster.processes.gateway.web import make_app
from ncs_cluster.processes.intake import Intake
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.token_file import TokenFile
from ncs_cluster.types import CameraName

log = logging.getLogger(__name__)

HEARTBEAT_S = 1.0
READ_AGAIN_S = 1.0


class Gateway:
    """A gateway that has opened its port: the channel to the supervisor on one side, the HTTP server on the other."""

    def __init__(
        self,
        channel: Channel[Any],
        server: Server,
        pictures: Pictures,
        daemon: DaemonCache,
        authenticator: Authenticator,
        spec: GatewaySpec,
        intake: Intake,
        api_server: Server | None = None,
    ) -> None:
        """`api_server`: serves APIs alone, at an address of their own."""
        self._channel, self._server, self._pictures, self._daemon = channel, server, pictures, daemon
        self._authenticator = authenticator
        files = [(spec.token_file, False), (spec.viewer_token_file, True)]
        self._token_files = [(TokenFile(path), viewer) for path, viewer in files if path is not None]
        self._intake, self._spec, self._api_server = intake, spec, api_server
        self._reported: dict[str, tuple[int, bool]] = {}

    async def run(self) -> None:
        """Serve until Stop. The process exits at once when the supervisor closes the channel."""
        loop = asyncio.get_running_loop()
        self._channel.sock.setblocking(False)
        loop.add_reader(self._channel.fileno(), self._receive)
        work = [self._send_heartbeats(), self._daemon.run(), *(self._read_again(*each) for each in self._token_files)]
        tasks = [asyncio.create_task(each) for each in work]
        for task in tasks:
            task.add_done_callback(_exit_on_failure)
        if self._spec.apis:
            self._intake.start()
        await asyncio.gather(*(server.serve() for server in self._servers()))

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self.send(Heartbeat())
            self.report_viewers()
            if (text := self._authenticator.wrong_tokens.report(time.monotonic())) is not None:
                self.send(Warned(text))

    async def _read_again(self, file: TokenFile, viewer: bool) -> None:
        """Look at the file of a token once a second; a disk that hangs holds up this task alone."""
        tokens = self._authenticator.tokens
        thread = ThreadPoolExecutor(1, "token")
        while True:
            try:
                token = await asyncio.get_running_loop().run_in_executor(thread, file.changed)
            except ValueError as error:
                self.send(Warned(f"the token stays as it was: {error}"[:500]))
                token = None
            opens, set_token = (tokens.opens_pictures, tokens.set_viewer) if viewer else (tokens.opens_page, tokens.set_page)
            other = tokens.opens_page if viewer else tokens.opens_pictures
            if token is not None and other(token):
                self.send(Warned(f"the token stays as it was: {file.path} holds the token of the other file"[:500]))
            elif token is not None and not opens(token):
                set_token(token)
                self.send(TokenReplaced(token, viewer))
            await asyncio.sleep(READ_AGAIN_S)

    def report_viewers(self) -> None:
        """Send each camera's viewers where they have changed. When the channel is full, the next heartbeat tries again."""
        for camera, watched in self._pictures.watched().items():
            if self._reported.get(camera, (0, False)) != watched and self.send(Watch(CameraName(camera), *watched)):
                self._reported[camera] = watched

    def _receive(self) -> None:
        try:
            while (received := self._channel.receive()) is not None:
                message = received.message
                if isinstance(message, PictureReady):
                    self._pictures.ready(message.camera)
                elif isinstance(message, MapPictures):
                    self._pictures.map(message, received.fds)
                elif isinstance(message, CameraGone):
                    self._pictures.gone(message.camera)
                    self._reported.pop(message.camera, None)
                elif self._intake.received(message, received.fds):
                    pass
                elif isinstance(message, Stop):
                    self._daemon.stop()
                    self._pictures.stop()
                    for server in self._servers():
                        server.should_exit = True
        except (EOFError, ProtocolError):
            os._exit(0)

    def _servers(self) -> list[Server]:
        return [self._server] if self._api_server is None else [self._server, self._api_server]

    def send(self, message: Any) -> bool:
        """False when the channel is full."""
        try:
            return self._channel.send(message)
        except OSError:
            os._exit(0)


def _exit_on_failure(task: asyncio.Task[None]) -> None:
    """A gateway without heartbeat or status is useless: exit, so that the supervisor starts another."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("gateway failed: %s", error, exc_info=error)
        os._exit(1)


def _apis(names: list[str], intake: Intake, authenticator: Authenticator) -> list[BaseRoute]:
    if not names:
        return []
    # a page without APIs does not pay for them
    from ncs_cluster.processes.gateway.apis.app import Shared, routes

    return routes(names, Shared(intake), authenticator)


def _api_server(spec: GatewaySpec, page: Authenticator, apis: list[BaseRoute], sock: socket.socket) -> Server:
    from ncs_cluster.processes.gateway.apis import port

    return Server(port.make_app(port.PortAuthenticator(spec, page), apis), sock, on_open=lambda host, port: None)


def main() -> int:
    channel = child.enter("gateway", ToGateway)
    opening = child.first_message(channel, OpenGateway)
    try:
        authenticator = Authenticator(opening.gateway)
        sock = listen(opening.gateway.host, opening.gateway.port)
        address = opening.gateway.api_address
        api_sock = None if address is None else listen(*address, "--api-listen")
    except CannotListen as error:
        channel.send(Failed("open", str(error), permanent=error.permanent))
        return 1
    daemon = DaemonCache(opening.runtime_dir)
    pictures = Pictures(on_watch=lambda: gateway.report_viewers())
    intake = Intake(lambda message: gateway.send(message), "api")
    apis = _apis(opening.gateway.apis, intake, authenticator)
    past = Past(opening.history)
    app = make_app(authenticator, daemon, pictures, simulated=opening.simulated, more=[*past.routes(), *apis])
    api = None if api_sock is None else api_sock.getsockname()[:2]
    server = Server(app, sock, on_open=lambda host, port: gateway.send(GatewayOpened(host, port, api)))
    api_server = None if api_sock is None else _api_server(opening.gateway, authenticator, apis, api_sock)
    gateway = Gateway(channel, server, pictures, daemon, authenticator, opening.gateway, intake, api_server)
    asyncio.run(gateway.run())
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # not sys.exit, which joins the thread that waits for the supervisor
