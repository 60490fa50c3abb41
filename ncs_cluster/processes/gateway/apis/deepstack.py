"""DeepStack and CodeProject.AI: the routes. Every answer is JSON with `success`, and a status as DeepStack's server has it.

Fields, paths and statuses: DeepStack's Go server and its client deepstack-python, CodeProject.AI's API reference, and what Frigate
and Blue Iris ask for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional
from urllib.parse import parse_qs

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import ncs_cluster
from ncs_cluster.messages import ServedGraph
from ncs_cluster.processes.gateway.apis.asking import ANSWER_S, Refusal, check_sticks, counted, refusal, while_connected
from ncs_cluster.processes.gateway.apis.bodies import FORM_BYTES, METHODS, Bodies
from ncs_cluster.processes.gateway.apis.clients import Clients
from ncs_cluster.processes.gateway.apis.multipart import BadForm, parse
from ncs_cluster.processes.gateway.apis.predictions import (
    answer,
    api_key,
    asked,
    current_version,
    default_graph,
    model_list,
    named_graph,
    predictions,
    unsuccessful,
    update_available,
)
from ncs_cluster.processes.gateway.visitors import visitor_of
from ncs_cluster.processes.intake import Intake, fit
from ncs_cluster.sources._picture import Decoded, Unreadable, decode_bytes

MOST_SIZE = (1920, 1080)
"""A larger picture is scaled down; boxes are of the picture that was sent all the same."""
MOST_DECODED = 128 * 1024 * 1024
"""Bytes of one decoded picture, three per pixel."""

PICTURES = 32
"""Decoded pictures in memory at once, 6 MB each at most once they are scaled down; further ones wait as the files they are."""

CheckKey = Callable[[Request, str], None]
"""Raises HTTPException for a request that needs a key and has a wrong one."""


class DeepStack:
    """The routes below /v1."""

    def __init__(self, intake: Intake, bodies: Bodies, threads: ThreadPoolExecutor, check_key: CheckKey, clients: Clients) -> None:
        self._intake, self._bodies, self._threads, self._check_key = intake, bodies, threads, check_key
        self._clients = clients
        self._room = asyncio.Semaphore(PICTURES)

    def routes(self) -> list[Route]:
        return [
            Route("/v1/vision/detection", self._answered(self.detection), methods=["POST"]),
            Route("/v1/vision/custom/list", self._answered(self.custom_list), methods=["GET", "POST"]),
            Route("/v1/vision/custom/{model}", self._answered(self.custom), methods=["POST"]),
            *self._status_routes(),
            Route("/v1/{rest:path}", self._answered(self.unknown), methods=METHODS),
        ]

    def _status_routes(self) -> list[Route]:
        # CodeProject.AI moved them with its version 2.4, and serves both
        return [
            Route(f"{place}/{word}", self._answered(handler))
            for place in ("/v1/status", "/v1/server/status")
            for word, handler in (
                ("updateavailable", self.update_available),
                ("version", self.current_version),
                ("ping", self.current_version),
            )
        ]

    async def detection(self, request: Request) -> dict[str, Any]:
        return await self._predictions(request, lambda: default_graph(self._intake.graphs), "finds objects")

    async def custom(self, request: Request) -> dict[str, Any]:
        name = str(request.path_params["model"])
        return await self._predictions(request, lambda: named_graph(self._intake.graphs, name), f"is named {name[:80]!r}")

    async def custom_list(self, request: Request) -> dict[str, Any]:
        if request.method == "POST":
            async with self._bodies.read(request) as body:
                if len(body) > FORM_BYTES:
                    raise HTTPException(413, f"a form without a picture has {FORM_BYTES} bytes at most")
                self._check_key(request, _key(request, body))
        return model_list(self._intake.graphs)

    async def update_available(self, request: Request) -> dict[str, Any]:
        return update_available(ncs_cluster.__version__)

    async def current_version(self, request: Request) -> dict[str, Any]:
        return current_version(ncs_cluster.__version__)

    async def unknown(self, request: Request) -> dict[str, Any]:
        if request.method != "POST" and request.scope["path"].startswith(("/v1/vision/detection", "/v1/vision/custom/")):
            raise HTTPException(405, "send the picture with POST", {"Allow": "POST"})
        raise HTTPException(404, "no such endpoint: ncs_cluster has /v1/vision/detection, /v1/vision/custom/MODEL and .../list")

    async def _predictions(self, request: Request, choose: Callable[[], Optional[ServedGraph]], wanted: str) -> dict[str, Any]:
        began_s = time.monotonic()
        async with self._bodies.read(request) as body:
            parts = await self._in_thread(parse, body, request.headers.get("content-type", ""))
            self._check_key(request, api_key(parts))
            with counted(self._clients, visitor_of(request), "deepstack"):
                sent = asked(parts)
                check_sticks(self._intake)
                if (graph := choose()) is None:
                    names = ", ".join(self._intake.graphs) or "none"
                    raise HTTPException(404, f"no graph {wanted}; the daemon serves: {names}")
                async with self._room:
                    picture: Decoded = await self._in_thread(_decoded, sent.image)
                    work = self._intake.infer(graph.name, picture.pixels, timeout_s=ANSWER_S, insist=True)
                    found = await while_connected(request, work)
        boxes = predictions(found.outcome, picture.size, sent.min_confidence)
        return answer(boxes, graph.name, found.stick, found.latency_s, time.monotonic() - began_s)

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    def _answered(self, handler: Callable[[Request], Awaitable[dict[str, Any]]]) -> Callable[[Request], Awaitable[Response]]:
        """The handler's answer, or the refusal that its exception means."""

        async def respond(request: Request) -> Response:
            try:
                return _json(await handler(request), 200)
            except BadForm as error:
                refused = Refusal(400, str(error))
            except Exception as error:
                refused = refusal(error, request.scope["path"])
            return _json(unsuccessful(refused.why, refused.code), refused.code, refused.headers)

        return respond


def _decoded(image: bytes) -> Decoded:
    """The picture as small as the sticks get it, and the size it was sent in. Raises BadForm."""
    try:
        picture = decode_bytes(image, MOST_SIZE, MOST_DECODED)
    except Unreadable as error:
        raise BadForm(f"invalid image file: it {error}") from None
    return Decoded(fit(picture.pixels, MOST_SIZE[0] * MOST_SIZE[1]), picture.size)


def _key(request: Request, body: bytes) -> str:
    """The key of a form without a picture; "" where the body is no form."""
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("application/x-www-form-urlencoded"):
        return parse_qs(body.decode("utf-8", "replace")).get("api_key", [""])[0].strip()
    try:
        return api_key(parse(body, content_type))
    except BadForm:
        return ""


def _json(content: dict[str, Any], code: int, headers: Optional[dict[str, str]] = None) -> Response:
    return Response(msgspec.json.encode(content), code, headers, "application/json")
