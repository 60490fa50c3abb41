"""Open Inference Protocol v2, REST: the routes. A model is a graph, its input a BGR picture of the graph's size; an error is
`{"error": one line}`.

Paths: the protocol's REST binding, https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol; Triton's
extensions for model configuration, statistics and the repository's index.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Optional

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import ncs_cluster
from ncs_cluster.messages import ServedGraph
from ncs_cluster.processes.gateway.apis import models, tensors
from ncs_cluster.processes.gateway.apis.asking import counted, refusal, while_connected
from ncs_cluster.processes.gateway.apis.bodies import METHODS, Bodies
from ncs_cluster.processes.gateway.apis.clients import Clients
from ncs_cluster.processes.gateway.apis.inference import Models
from ncs_cluster.processes.gateway.visitors import visitor_of

Handler = Callable[[Request], Awaitable[Response]]


class OpenInference:
    """The routes below /v2."""

    def __init__(self, served: Models, bodies: Bodies, clients: Clients) -> None:
        self._models, self._bodies, self._clients = served, bodies, clients

    def routes(self) -> list[Route]:
        one = [
            ("", self.metadata, "GET"),
            ("/ready", self.model_ready, "GET"),
            ("/config", self.config, "GET"),
            ("/stats", self.stats, "GET"),
            ("/infer", self.infer, "POST"),
        ]
        every: list[tuple[str, Handler, str]] = [
            ("/v2", self.server, "GET"),
            ("/v2/health/live", self.live, "GET"),
            ("/v2/health/ready", self.ready, "GET"),
            ("/v2/models/stats", self.all_stats, "GET"),
            ("/v2/repository/index", self.index, "POST"),
            *((f"/v2/models/{{model}}{path}", handler, method) for path, handler, method in one),
            *((f"/v2/models/{{model}}/versions/{{version}}{path}", handler, method) for path, handler, method in one),
        ]
        found = [Route(path, self._answered(handler), methods=[method]) for path, handler, method in every]
        return [*found, Route("/v2/{rest:path}", self._answered(self.unknown), methods=METHODS)]

    async def server(self, request: Request) -> Response:
        return _json(models.server(ncs_cluster.__version__))

    async def live(self, request: Request) -> Response:
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        """As `model_ready`, for a graph at least: the protocol has 4xx for "no"."""
        if not self._models.can_work():
            raise HTTPException(400, "no stick can take a picture now")
        return _json({"ready": True})

    async def metadata(self, request: Request) -> Response:
        return _json(models.metadata(self._graph(request)))

    async def model_ready(self, request: Request) -> Response:
        graph = self._graph(request)
        if not self._models.can_work(graph):
            raise HTTPException(400, f"no stick can take a picture for {graph.name} now")
        return _json({"name": graph.name, "ready": True})

    async def config(self, request: Request) -> Response:
        return _json(models.configuration(self._graph(request)))

    async def stats(self, request: Request) -> Response:
        return _json(self._models.statistics([self._graph(request).name]))

    async def all_stats(self, request: Request) -> Response:
        return _json(self._models.statistics(self._models.names))

    async def index(self, request: Request) -> Response:
        return _json(self._models.index())

    async def unknown(self, request: Request) -> Response:
        if request.method != "POST" and request.scope["path"].endswith(("/infer", "/v2/repository/index")):
            raise HTTPException(405, "send the request with POST", {"Allow": "POST"})
        raise HTTPException(404, "this server has no such endpoint: GET /v2 lists its extensions")

    async def infer(self, request: Request) -> Response:
        with counted(self._clients, visitor_of(request), "oip"):
            return await self._infer(request)

    async def _infer(self, request: Request) -> Response:
        graph = self._graph(request)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "compressed requests are not supported: send it as it is")
        began_s = time.monotonic()
        length = request.headers.get(tensors.HEADER_LENGTH)
        async with self._bodies.read(request) as body:
            content, headers = await self._models.infer(
                graph,
                began_s,
                lambda width, height: tensors.read(body, length, width, height),
                lambda asked, answer: tensors.write(graph.name, asked, answer.outputs),
                wait=lambda work: while_connected(request, work),
            )
        return Response(content, headers=headers)

    def _graph(self, request: Request) -> ServedGraph:
        return self._models.named(str(request.path_params["model"]), str(request.path_params.get("version", "")))

    def _answered(self, handler: Handler) -> Handler:
        """The handler's response, or the refusal that its exception means."""

        async def respond(request: Request) -> Response:
            try:
                return await handler(request)
            except Exception as error:
                refused = refusal(error, request.scope["path"])
            return _json({"error": refused.why}, refused.code, refused.headers)

        return respond


def _json(content: Any, code: int = 200, headers: Optional[dict[str, str]] = None) -> Response:
    return Response(msgspec.json.encode(content), code, headers, tensors.JSON)
