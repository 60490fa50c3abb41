"""The gateway process: receives from the supervisor, sends heartbeats, serves HTTP, in one event loop that nothing may block."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute

from ncs_cluster.errors import ProtocolError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import (
    CameraGone,
    ClientsSeen,
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
from ncs_cluster.processes.gateway.apis.clients import Clients
from ncs_cluster.processes.gateway.auth import Authenticator
from ncs_cluster.processes.gateway.daemon import DaemonCache
from ncs_cluster.processes.gateway.fleet import routes as fleet_routes
from ncs_cluster.processes.gateway.past import Past
from ncs_cluster.processes.gateway.pictures import Pictures
from ncs_cluster.processes.gateway.server import CannotListen, Server, listen
from ncs_cluster.processes.gateway.web import make_app
from ncs_cluster.processes.intake import Intake
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.token_file import TokenFile
from ncs_cluster.types import CameraName

if TYPE_CHECKING:
    from ncs_cluster.processes.gateway.apis.app import Shared
    from ncs_cluster.processes.gateway.apis.grpc_port import GrpcServer

log = logging.getLogger(__name__)

HEARTBEAT_S = 1.0
READ_AGAIN_S = 1.0


class Gateway:
    """A gateway that has opened its port: the channel to the supervisor on one side, the HTTP server on the other."""

    def __init__(
        self,
        channel: Channel[Any],
        servers: Sequence[Server | GrpcServer],
        pictures: Pictures,
        daemon: DaemonCache,
        authenticator: Authenticator,
        spec: GatewaySpec,
        intake: Intake,
        clients: Clients,
    ) -> None:
        """`servers`: of APIs at addresses of their own, and of the page. `clients`: of the APIs."""
        self._channel, self._servers, self._pictures, self._daemon = channel, servers, pictures, daemon
        self._authenticator = authenticator
        files = [(spec.token_file, False), (spec.viewer_token_file, True)]
        self._token_files = [(TokenFile(path), viewer) for path, viewer in files if path is not None]
        self._intake, self._spec = intake, spec
        self._reported: dict[str, tuple[int, bool]] = {}
        self._clients, self._reported_clients = clients, clients.report(0.0)

    async def run(self) -> None:
        """Serve until Stop. The process exits at once when the supervisor closes the channel. Raises CannotListen."""
        loop = asyncio.get_running_loop()
        self._channel.sock.setblocking(False)
        loop.add_reader(self._channel.fileno(), self._receive)
        work = [self._send_heartbeats(), self._daemon.run(), *(self._read_again(*each) for each in self._token_files)]
        tasks = [asyncio.create_task(each) for each in work]
        for task in tasks:
            task.add_done_callback(_exit_on_failure)
        if self._spec.takes_pictures:
            self._intake.start()
        for server in self._servers:
            await server.open()
        await asyncio.gather(*(server.serve() for server in self._servers))

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self.send(Heartbeat())
            self.report_viewers()
            self._report_clients()
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

    def _report_clients(self) -> None:
        """Send what the clients of the APIs did where that has changed, as `report_viewers` does."""
        seen = self._clients.report(time.monotonic())
        if seen != self._reported_clients and self.send(ClientsSeen(seen)):
            self._reported_clients = seen

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
                    for server in self._servers:
                        server.should_exit = True
        except (EOFError, ProtocolError):
            os._exit(0)

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


def _api_server(spec: GatewaySpec, page: Authenticator, apis: list[BaseRoute], sock: socket.socket) -> Server:
    from ncs_cluster.processes.gateway.apis import port

    authenticator = port.PortAuthenticator(spec, page, spec.api_address)
    return Server(port.make_app(authenticator, apis), sock, on_open=lambda host, port: None)


def _grpc_server(spec: GatewaySpec, page: Authenticator, shared: Shared, address: tuple[str, int]) -> GrpcServer:
    # a stranger's malformed request is no line in the log; the library looks at it when it is loaded
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from ncs_cluster.processes.gateway.apis.grpc_port import GrpcServer
    from ncs_cluster.processes.gateway.apis.port import PortAuthenticator

    return GrpcServer(shared, PortAuthenticator(spec, page, spec.grpc_address), address)


def _free_address(address: tuple[str, int]) -> tuple[str, int]:
    """The address in numbers, and a port where it names none. gRPC opens it itself and does not say why it cannot."""
    with listen(*address, "--api-grpc") as sock:
        host, port = sock.getsockname()[:2]
        return host, port


def main() -> int:
    channel = child.enter("gateway", ToGateway)
    opening = child.first_message(channel, OpenGateway)
    spec = opening.gateway
    try:
        authenticator = Authenticator(spec)
        sock = listen(spec.host, spec.port)
        api_sock = None if spec.api_address is None else listen(*spec.api_address, "--api-listen")
        grpc = None if spec.grpc_address is None else _free_address(spec.grpc_address)
    except CannotListen as error:
        channel.send(Failed("open", str(error), permanent=error.permanent))
        return 1
    daemon = DaemonCache(opening.runtime_dir)
    pictures = Pictures(on_watch=lambda: gateway.report_viewers())
    intake = Intake(lambda message: gateway.send(message), "api")
    servers: list[Server | GrpcServer] = []
    apis: list[BaseRoute] = []
    clients = Clients()
    if spec.takes_pictures:
        # a page without APIs does not pay for them
        from ncs_cluster.processes import stray_lines
        from ncs_cluster.processes.gateway.apis.app import Shared, routes

        stray_lines.capture()
        shared = Shared(intake)
        clients = shared.clients
        apis = routes(spec.apis, shared, authenticator)
        if api_sock is not None:
            servers.append(_api_server(spec, authenticator, apis, api_sock))
        if grpc is not None:
            servers.append(_grpc_server(spec, authenticator, shared, grpc))
    past = Past(opening.history)
    app = make_app(
        authenticator, daemon, pictures, simulated=opening.simulated, more=[*past.routes(), *fleet_routes(spec.fleet), *apis]
    )
    api = None if api_sock is None else api_sock.getsockname()[:2]
    servers.append(Server(app, sock, on_open=lambda host, port: gateway.send(GatewayOpened(host, port, api, grpc))))
    gateway = Gateway(channel, servers, pictures, daemon, authenticator, spec, intake, clients)
    try:
        asyncio.run(gateway.run())
    except CannotListen as error:
        channel.send(Failed("open", str(error), permanent=error.permanent))
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # not sys.exit, which joins the thread that waits for the supervisor
