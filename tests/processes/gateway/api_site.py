"""APIs of other servers over real HTTP, in a thread, in front of sticks that are not there."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import cv2
import numpy as np
from starlette.applications import Starlette

from ncs_cluster.messages import Served, ServedGraph
from ncs_cluster.processes.gateway.apis.app import Shared, routes
from ncs_cluster.processes.gateway.apis.port import PortAuthenticator
from ncs_cluster.processes.gateway.auth import Authenticator, Guard
from ncs_cluster.processes.gateway.server import Server, listen
from ncs_cluster.processes.intake import Answer, Intake
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.testing.gateway import Answer as Response
from ncs_cluster.types import Detection, GraphName, Outcome, Tensor

WIDTH, HEIGHT = 40, 30
DETECTOR = ServedGraph(GraphName("Finder"), "ssd", {1: "aeroplane"}, WIDTH, HEIGHT, [Tensor("out", [1, 4]), Tensor("more", [2])])
CLASSIFIER = ServedGraph(GraphName("namer"), "classification", {}, WIDTH, HEIGHT, [Tensor("scores", [1, 2])])


class FakeIntake:
    """Sticks whose answer is set, or made of the picture; every picture is kept."""

    def __init__(self) -> None:
        self.served: Served | None = Served([CLASSIFIER, DETECTOR], 2)
        self.outcome = Outcome()
        self.error: Exception | None = None
        self.hangs = False
        self.pictures: list[tuple[str, np.ndarray, bool]] = []
        self.withdrawn = threading.Event()

    @property
    def graphs(self) -> dict[str, ServedGraph]:
        return {graph.name: graph for graph in self.served.graphs} if self.served else {}

    @property
    def retry_after_s(self) -> int | None:
        return None if self.served and self.served.sticks else 10

    async def infer(self, graph: str, image: np.ndarray, *, timeout_s: float, raw: bool = False, insist: bool = False) -> Answer:
        self.pictures.append((graph, image.copy(), raw))
        if self.hangs:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.withdrawn.set()
                raise
        if self.error is not None:
            raise self.error
        outputs = {
            "out": np.array([[image.min(), image.max(), image.mean(), 0.5]], np.float32),
            "more": image[0, 0, :2].astype("f4"),
        }
        return Answer(self.outcome, "sim-1", 0.05, outputs if raw else {})


class ApiSite:
    def __init__(self, port: int, shared: Shared) -> None:
        self.port, self.clients = port, shared.clients
        self.intake: Any = shared.intake

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
        """Underscores in header names are dashes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def form(self, path: str, *, image: bytes | None = None, headers: Mapping[str, str] = {}, **fields: str) -> Response:
        content_type, body = form(image, **fields)
        return self.request("POST", path, body, Content_Type=content_type, **headers)


def form(image: bytes | None, **fields: str) -> tuple[str, bytes]:
    """A form as requests and curl write it: its content type and its body."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    if image is not None:
        head = b'Content-Disposition: form-data; name="image"; filename="image.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        parts.append(head + image)
    body = b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + b"--frontier--\r\n"
    return "multipart/form-data; boundary=frontier", body


def jpeg(width: int = WIDTH, height: int = HEIGHT, suffix: str = ".jpg") -> bytes:
    picture = np.full((height, width, 3), (10, 120, 200), np.uint8)
    return cv2.imencode(suffix, picture)[1].tobytes()


def detection(label: str, score: float, box: tuple[float, float, float, float] = (0.25, 0.5, 0.75, 1.0)) -> Detection:
    return Detection(label, 1, score, box)


@contextmanager
def api_site(*apis: str, token: str | None = None) -> Iterator[ApiSite]:
    """The APIs on a port of their own; closed when the block is left."""
    shared, opened = Shared(cast("Intake", FakeIntake())), threading.Event()
    authenticator = Authenticator(GatewaySpec("127.0.0.1", 0, token, apis=list(apis)))
    sock = listen("127.0.0.1", 0)
    app = Guard(Starlette(routes=routes(apis, shared, authenticator)), authenticator)
    server = Server(app, sock, on_open=lambda host, port: opened.set())
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        assert opened.wait(60)
        yield ApiSite(sock.getsockname()[1], shared)
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def grpc_site(*, token: str | None = None, clients: tuple[str, ...] = ()) -> Iterator[ApiSite]:
    """The Open Inference Protocol over gRPC, in a thread; closed when the block is left."""
    from ncs_cluster.processes.gateway.apis.grpc_port import GrpcServer

    spec = GatewaySpec("127.0.0.1", 0, token, grpc_address=("127.0.0.1", 0), api_clients=list(clients))
    with listen("127.0.0.1", 0) as sock:
        address = sock.getsockname()[:2]
    shared, opened = Shared(cast("Intake", FakeIntake())), threading.Event()
    authenticator = PortAuthenticator(spec, Authenticator(spec), spec.grpc_address)
    server, loop = GrpcServer(shared, authenticator, address), asyncio.new_event_loop()

    async def serve() -> None:
        await server.open()
        opened.set()
        await server.serve()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert opened.wait(60)
        yield ApiSite(address[1], shared)
    finally:
        loop.call_soon_threadsafe(setattr, server, "should_exit", True)
        thread.join()
        loop.close()
