"""Routes. Each answers from the cache (daemon.py); auth.py has checked the request before.

Every address that is sent is relative: behind a proxy the page may be served below a path that only the browser knows.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from importlib import resources
from typing import Literal, get_args
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ncs_cluster.client import Refused
from ncs_cluster.errors import NotRunning
from ncs_cluster.processes.gateway import metrics, settings, sticks
from ncs_cluster.processes.gateway.auth import LET_IN_BY, Authenticator, Guard, session_cookie
from ncs_cluster.processes.gateway.bodies import json_object, refusal
from ncs_cluster.processes.gateway.daemon import DaemonCache
from ncs_cluster.processes.gateway.pictures import Pictures
from ncs_cluster.processes.gateway.server import STREAMING
from ncs_cluster.processes.gateway.visitors import visitor_of
from ncs_cluster.status import CameraStatus

SNAPSHOT_S = 2.0
RECENT_S = 10.0
"""A snapshot may be so old where pictures come slowly: one for each result, of a graph that takes seconds."""
MAX_STREAMS = 48
MAX_STREAMS_EACH = 32
"""Live streams of one visitor."""
SHOWN_EVENTS = 100
MAX_ID_DIGITS = 18
"""Enough for any id; int() raises ValueError on thousands of digits."""
FaultKind = Literal["heat", "unplug", "hang"]
FAULTS = get_args(FaultKind)
_json = msgspec.json.encode
MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
TO_HOSTS = b'href="fleet" hidden', b'href="fleet"'
"""What makes the page lead to that of all hosts, where there is one."""
BOUNDARY = "ncs-cluster-picture"
NOT_ANSWERING = "the daemon does not answer"


class FaultRequest(msgspec.Struct, frozen=True):
    """The body of POST /api/trouble. `stick`: its id; None: the daemon takes an active one."""

    kind: FaultKind
    stick: str | None = None


class Web:
    """The routes and what they share."""

    def __init__(
        self, authenticator: Authenticator, daemon: DaemonCache, pictures: Pictures, *, simulated: bool, hosts: bool
    ) -> None:
        self._authenticator, self._daemon, self._pictures, self._simulated = authenticator, daemon, pictures, simulated
        self.streams: Counter[str] = Counter()
        """Live streams by visitor."""
        self._files = {
            file.name: file.read_bytes() for file in (resources.files(__package__) / "static").iterdir() if _media_type(file.name)
        }
        if hosts:
            self._files["index.html"] = self._files["index.html"].replace(*TO_HOSTS)

    def routes(self) -> list[Route]:
        return [
            Route("/", self.page),
            Route("/config", self.config_page),
            Route("/login", self.login_page, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/static/{name}", self.static),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/api/status", self.status),
            Route("/api/events", self.events),
            Route("/api/live", self.live),
            Route("/api/switch", self.switch, methods=["POST"]),
            Route("/api/trouble", self.trouble, methods=["POST"]),
            Route("/cameras/{name}.mjpg", self.stream),
            Route("/cameras/{name}.jpg", self.snapshot),
        ]

    # -- page and login --

    async def page(self, request: Request) -> Response:
        if "token" not in request.query_params:
            return self._file(request, "index.html")
        if not self._authenticator.needs_token:
            return RedirectResponse("./", 303)
        return self._log_in(request, request.query_params["token"])

    async def config_page(self, request: Request) -> Response:
        return self._file(request, "config.html")

    async def login_page(self, request: Request) -> Response:
        return self._file(request, "login.html") if self._authenticator.needs_token else RedirectResponse("./", 303)

    async def login(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode(errors="replace"))
        return self._log_in(request, form.get("token", [""])[0].strip())

    def _log_in(self, request: Request, token: str) -> Response:
        session = self._authenticator.log_in(request, token, time.time())
        if session is None:
            return RedirectResponse("login#wrong", 303)
        response = RedirectResponse("./", 303)
        session_cookie(response, session)
        return response

    async def static(self, request: Request) -> Response:
        return self._file(request, request.path_params["name"])

    def _file(self, request: Request, name: str) -> Response:
        data, kind = self._files.get(name), _media_type(name)
        if data is None or kind is None:
            raise HTTPException(404)
        tag = '"' + hashlib.sha256(data).hexdigest()[:16] + '"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=kind, headers=headers)

    # -- for programs --

    async def healthz(self, request: Request) -> Response:
        status = await self._daemon.refreshed()
        if status is None:
            return PlainTextResponse(NOT_ANSWERING + "\n", 503)
        return PlainTextResponse("alive\n") if status.daemon.alive else PlainTextResponse("not alive\n", 503)

    async def readyz(self, request: Request) -> Response:
        status = await self._daemon.refreshed()
        if status is None:
            return PlainTextResponse(NOT_ANSWERING + "\n", 503)
        if status.daemon.ready:
            return PlainTextResponse("ready\n")
        reasons = status.daemon.reasons or ["no inference in the last seconds"]
        retry_s = status.load.retry_after_s if status.load else None
        return PlainTextResponse("\n".join(reasons) + "\n", 503, {} if retry_s is None else {"Retry-After": str(retry_s)})

    async def metrics(self, request: Request) -> Response:
        return Response(metrics.text(await self._daemon.refreshed()), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def status(self, request: Request) -> Response:
        if await self._daemon.refreshed() is None:
            return refusal(503, f"{NOT_ANSWERING}: {self._daemon.last_error}")
        return Response(self._daemon.status_json, media_type="application/json")

    async def events(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdecimal() and len(after) <= MAX_ID_DIGITS):
            return refusal(400, f"`after` must be the id of an event, a number of at most {MAX_ID_DIGITS} digits")
        if await self._daemon.refreshed() is None:
            return refusal(503, f"{NOT_ANSWERING}: {self._daemon.last_error}")
        news = [event for event in self._daemon.events if event.id > int(after)]
        return Response(_json(news), media_type="application/json")

    async def switch(self, request: Request) -> Response:
        await json_object(request)
        try:
            return JSONResponse({"text": await self._daemon.switch()})
        except Refused as error:
            return refusal(409, str(error))
        except NotRunning as error:
            return refusal(503, str(error))

    async def trouble(self, request: Request) -> Response:
        if not self._simulated:
            raise HTTPException(404)
        body = await json_object(request)
        try:
            fault = msgspec.convert(body, FaultRequest)
        except msgspec.ValidationError:
            return refusal(400, f'send {{"kind": {" | ".join(FAULTS)}, "stick": an id or null}}')
        try:
            return JSONResponse({"text": await self._daemon.inject_fault(fault.kind, fault.stick)})
        except Refused as error:
            return refusal(409, str(error))
        except NotRunning as error:
            return refusal(503, str(error))

    # -- live --

    async def live(self, request: Request) -> Response:
        """Server-sent events: `hello` (history, last events) once; then `status` after each poll and new `events`; `lost` while the
        daemon does not answer."""
        return Stream(self, self._stream_visitor(request), self._live(self._counts(request)), "text/event-stream")

    def _counts(self, request: Request) -> Callable[[], bool]:
        """Whether the credential of the request is still valid: a stream ends with its token."""
        credential = request.scope.get(LET_IN_BY)
        return lambda: self._authenticator.tokens.holds(credential)

    async def _live(self, counts: Callable[[], bool]) -> AsyncGenerator[bytes]:
        daemon = self._daemon
        await daemon.refreshed()
        known = daemon.events[-1].id if daemon.events else 0
        hello = {"history": daemon.history.lines(time.monotonic()), "events": list(daemon.events)[-SHOWN_EVENTS:]}
        yield sse("hello", _json(hello))
        if daemon.is_fresh:
            yield sse("status", daemon.status_json)
        async with aclosing(daemon.updates()) as updates:
            async for _ in updates:
                if not counts():
                    return
                yield sse("status", daemon.status_json) if daemon.is_fresh else sse("lost", _json({"reason": daemon.last_error}))
                if news := [event for event in daemon.events if event.id > known]:
                    known = news[-1].id
                    yield sse("events", _json(news))

    async def stream(self, request: Request) -> Response:
        name = await self._camera(request)
        return Stream(
            self,
            self._stream_visitor(request),
            self._parts(name, self._counts(request)),
            f"multipart/x-mixed-replace; boundary={BOUNDARY}",
        )

    async def _parts(self, name: str, counts: Callable[[], bool]) -> AsyncGenerator[bytes]:
        """Each part ends with the boundary of the next: a browser shows a picture only after its boundary."""
        with self._pictures.watch(name, stream=True):
            yield f"--{BOUNDARY}\r\n".encode()
            recent = self._pictures.recent(name, RECENT_S)
            number = self._pictures.newest(name) - int(recent is not None)
            while not self._daemon.stopping and (jpeg := await self._pictures.next(name, number)) is not None:
                if not counts():
                    return
                number = jpeg.number
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg.data)}\r\n\r\n"
                yield head.encode() + jpeg.data + f"\r\n--{BOUNDARY}\r\n".encode()

    async def snapshot(self, request: Request) -> Response:
        name = await self._camera(request)
        with self._pictures.watch(name, stream=False):
            try:
                jpeg = await asyncio.wait_for(self._pictures.next(name, self._pictures.newest(name)), SNAPSHOT_S)
            except TimeoutError:
                if (jpeg := self._pictures.recent(name, RECENT_S)) is not None:
                    return Response(jpeg.data, media_type="image/jpeg")
                return PlainTextResponse(self._no_picture_reason(name) + "\n", 503)
        if jpeg is None:
            raise HTTPException(404)
        return Response(jpeg.data, media_type="image/jpeg")

    async def _camera(self, request: Request) -> str:
        name = str(request.path_params["name"])
        if self._status_of(name) is None and name not in self._pictures:
            # new settings may have added it since the cached status
            await self._daemon.refreshed()
        if self._status_of(name) is not None:
            self._pictures.expect(name)
        if name not in self._pictures:
            raise HTTPException(404, "no such camera")
        return name

    def _no_picture_reason(self, name: str) -> str:
        if (camera := self._status_of(name)) is None:
            return "no picture"
        if camera.state == "running":
            return "no picture yet, though the camera is running; ask again in a moment"
        return f"no picture: the camera is {camera.state}" + (f" ({camera.detail})" if camera.detail else "")

    def _status_of(self, name: str) -> CameraStatus | None:
        status = self._daemon.status
        return None if status is None else next((each for each in status.cameras if each.name == name), None)

    def _stream_visitor(self, request: Request) -> str:
        """The visitor of a request for a stream. Raises HTTPException at the limits."""
        visitor = visitor_of(request)
        if self.streams.total() >= MAX_STREAMS:
            raise HTTPException(503, f"all {MAX_STREAMS} live streams are in use")
        if self.streams[visitor] >= MAX_STREAMS_EACH:
            raise HTTPException(429, f"{visitor} has {MAX_STREAMS_EACH} live streams already")
        return visitor


class Stream(StreamingResponse):
    """An endless response. Counted in `Web.streams` until the client disconnects; its generator is closed then."""

    def __init__(self, web: Web, visitor: str, parts: AsyncGenerator[bytes], media_type: str) -> None:
        super().__init__(parts, media_type=media_type, headers={"X-Accel-Buffering": "no"})
        self._web, self._visitor, self._parts = web, visitor, parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._web.streams[self._visitor] += 1
        scope[STREAMING] = True
        try:
            if scope["method"] == "HEAD":
                await Response(headers=dict(self.headers))(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)
        finally:
            self._web.streams[self._visitor] -= 1
            self._web.streams += Counter()  # drops a visitor without streams
            await self._parts.aclose()


def make_app(
    authenticator: Authenticator, daemon: DaemonCache, pictures: Pictures, *, simulated: bool, more: Iterable[BaseRoute] = ()
) -> ASGIApp:
    """The ASGI application with authentication. `more`: routes beside those of Web."""
    beside = list(more)
    hosts = any(isinstance(route, Route) and route.path == "/fleet" for route in beside)
    own = Web(authenticator, daemon, pictures, simulated=simulated, hosts=hosts).routes()
    app = Starlette(routes=[*own, *settings.routes(daemon), *sticks.routes(daemon), *beside])
    app.router.redirect_slashes = False  # such a redirect would name the Host that the proxy calls
    return Guard(app, authenticator)


def sse(event: str, data: bytes) -> bytes:
    """One server-sent event. `data` is compact JSON, so it contains no line break."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), data)


def _media_type(name: str) -> str | None:
    return MEDIA_TYPES.get(name.rpartition(".")[2])
