"""Open Inference Protocol v2, REST: the routes. A model is a graph, its input a BGR picture of the graph's size; an error is
`{"error": one line}`.

Paths: the protocol's REST binding, https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol; Triton's
extensions for model configuration, statistics and the repository's index.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import ncs_cluster
from ncs_cluster.messages import ServedGraph
from ncs_cluster.processes.gateway.apis import models, tensors
from ncs_cluster.processes.gateway.apis.asking import ANSWER_S, Refusal, check_sticks, refusal, while_connected
from ncs_cluster.processes.gateway.apis.bodies import METHODS, Bodies
from ncs_cluster.processes.gateway.apis.models import Statistics
from ncs_cluster.processes.intake import NO_STICK_RETRY_S, Intake, Overloaded

Handler = Callable[[Request], Awaitable[Response]]


class OpenInference:
    """The routes below /v2."""

    def __init__(self, intake: Intake, bodies: Bodies, threads: ThreadPoolExecutor) -> None:
        self._intake, self._bodies, self._threads = intake, bodies, threads
        self._statistics: defaultdict[str, Statistics] = defaultdict(Statistics)

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
        if not (self._has_sticks() and any(map(models.is_ready, self._intake.graphs.values()))):
            raise HTTPException(400, "no stick can take a picture now")
        return _json({"ready": True})

    async def metadata(self, request: Request) -> Response:
        return _json(models.metadata(self._graph(request)))

    async def model_ready(self, request: Request) -> Response:
        graph = self._graph(request)
        if not (self._has_sticks() and models.is_ready(graph)):
            raise HTTPException(400, f"no stick can take a picture for {graph.name} now")
        return _json({"name": graph.name, "ready": True})

    async def config(self, request: Request) -> Response:
        return _json(models.configuration(self._graph(request)))

    async def stats(self, request: Request) -> Response:
        name = self._graph(request).name
        return _json({"model_stats": [self._statistics[name].document(name)]})

    async def all_stats(self, request: Request) -> Response:
        return _json({"model_stats": [self._statistics[name].document(name) for name in self._intake.graphs]})

    async def index(self, request: Request) -> Response:
        return _json([{"name": name, "version": "1", "state": "READY"} for name in self._intake.graphs])

    async def unknown(self, request: Request) -> Response:
        if request.method != "POST" and request.scope["path"].endswith(("/infer", "/v2/repository/index")):
            raise HTTPException(405, "send the request with POST", {"Allow": "POST"})
        raise HTTPException(404, "this server has no such endpoint: GET /v2 lists its extensions")

    async def infer(self, request: Request) -> Response:
        graph = self._graph(request)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "compressed requests are not supported: send it as it is")
        began_s = time.monotonic()
        try:
            body, headers = await self._infer(request, graph, began_s)
        except Exception:
            statistics = self._statistics[graph.name]
            statistics.failed += 1
            statistics.failed_s += time.monotonic() - began_s
            raise
        return Response(body, headers=headers)

    async def _infer(self, request: Request, graph: ServedGraph, began_s: float) -> tuple[bytes, dict[str, str]]:
        async with self._bodies.read(request) as body:
            check_sticks(self._intake)
            if not models.is_ready(graph):
                raise Overloaded(f"no stick has opened {graph.name} yet", NO_STICK_RETRY_S)
            received_s = time.monotonic()
            length = request.headers.get(tensors.HEADER_LENGTH)
            asked = await self._in_thread(tensors.read, body, length, graph.width, graph.height)
            tensors.check_outputs(asked, [output.name for output in graph.outputs])
            read_s = time.monotonic() - received_s
            timeout_s = min(ANSWER_S, asked.timeout_s or ANSWER_S)
            work = self._intake.infer(graph.name, asked.tensor, timeout_s=timeout_s, raw=True, insist=True)
            answer = await while_connected(request, work)
        answered_s = time.monotonic()
        response: tuple[bytes, dict[str, str]] = await self._in_thread(tensors.write, graph.name, asked, answer.outputs)
        now_s = time.monotonic()
        self._statistics[graph.name].succeeded(now_s - began_s, answer.latency_s, read_s, now_s - answered_s)
        return response

    def _graph(self, request: Request) -> ServedGraph:
        name, version = str(request.path_params["model"]), str(request.path_params.get("version", "1"))
        graph = self._intake.graphs.get(name)
        if graph is None:
            names = ", ".join(self._intake.graphs) or "none"
            raise HTTPException(404, f"there is no model {name[:80]!r}; the daemon serves: {names}")
        if version != "1":
            raise HTTPException(404, f"{name} has version 1 alone")
        return graph

    def _has_sticks(self) -> bool:
        return self._intake.served is not None and self._intake.served.sticks > 0

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    def _answered(self, handler: Handler) -> Handler:
        """The handler's response, or the refusal that its exception means."""

        async def respond(request: Request) -> Response:
            try:
                return await handler(request)
            except tensors.BadTensors as error:
                refused = Refusal(400, str(error))
            except Exception as error:
                refused = refusal(error, request.scope["path"])
            return _json({"error": refused.why}, refused.code, refused.headers)

        return respond


def _json(content: Any, code: int = 200, headers: Optional[dict[str, str]] = None) -> Response:
    return Response(msgspec.json.encode(content), code, headers, tensors.JSON)
