"""Authentication, host check and cross-site check of every request, before any route; routes contain no check of their own.

Host         must be a name of this machine, against DNS rebinding (421)
token        where one is set: `Authorization: Bearer` for programs, a signed cookie after one login for browsers (401); the one
             for pictures opens them alone, also as `?token=` or as a password. Wrong ones are counted by visitor: above a rate
             tokens of that visitor are not looked at (429)
POST         from this page or from a program, never from another site (403); JSON only (415); at most 64 KiB (413)

Requests to the APIs of other servers (`API_PREFIXES`) may have any content type and bodies as large as their routes allow; their
Origin must be the very address that is asked. A form may carry the token: a POST without a header passes to its route with
NEEDS_KEY, and the route calls `check_key` first.
"""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ncs_cluster.processes.gateway.hosts import Hosts, is_same_origin
from ncs_cluster.processes.gateway.server import CannotListen
from ncs_cluster.processes.gateway.tokens import SESSION_S, Credential, Tokens
from ncs_cluster.processes.gateway.visitors import WrongTokens, visitor_of
from ncs_cluster.specs import GatewaySpec

COOKIE = "ncs_session"
MAX_BODY_BYTES = 64 * 1024
_BODY_TOO_LONG = f"the body is longer than {MAX_BODY_BYTES} bytes"
PUBLIC_PATHS = {"/healthz", "/readyz", "/login"}
PUBLIC_PREFIX = "/static/"
PAGES = {"/", "/config", "/fleet"}
"""Pages for people: without the token they lead to the login."""
PICTURES_PREFIX = "/cameras/"
API_PREFIXES = ("/v1/", "/v2/")
KEY_PREFIX = "/v1/"
"""Where a form may carry the token."""
NEEDS_KEY = "ncs_cluster.needs_key"
"""Key of a request's scope: True where the token must still be found in its form."""
LET_IN_BY = "ncs_cluster.credential"
"""Key of a request's scope: the Credential it was let in by; None where no token is needed."""

# frames of the same origin: Home Assistant shows the page in one
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PICTURE_REFERRER = "no-referrer"
"""The address of a picture may hold a token."""


class Authenticator:
    """The rules for one set of settings; its tokens may be replaced. Raises CannotListen when the page would be open to the network
    without a token."""

    def __init__(self, spec: GatewaySpec) -> None:
        if not spec.token and not spec.local:
            raise CannotListen(
                f"--listen {spec.host}:{spec.port} would show the page to the network:"
                " set a token with --token-file, or listen on 127.0.0.1"
            )
        self._hosts = Hosts(spec.host, spec.allowed_hosts)
        self.tokens = Tokens(spec.token, spec.viewer_token)
        self.wrong_tokens = WrongTokens()
        self._apis = bool(spec.apis)

    @property
    def needs_token(self) -> bool:
        return self.tokens.page is not None

    def is_api(self, path: str) -> bool:
        """Whether the path is one of another server's API, and such are served."""
        return self._apis and path.startswith(API_PREFIXES)

    def carries_key(self, path: str) -> bool:
        """Whether a form that is sent there may carry the token."""
        return self._apis and path.startswith(KEY_PREFIX)

    def try_token(self, request: Request, token: str, *opens: Callable[[str], Credential | None]) -> Credential | None:
        """As `try_token_of`, for the visitor of a request."""
        return self.try_token_of(visitor_of(request), token, *opens)

    def try_token_of(self, visitor: str, token: str, *opens: Callable[[str], Credential | None]) -> Credential | None:
        """None for a wrong token. Raises HTTPException 429, without looking at it, after too many wrong ones of this visitor."""
        now_s = time.monotonic()
        wait_s = self.wrong_tokens.wait_s(visitor, now_s)
        found = None if wait_s else next((credential for each in opens if (credential := each(token))), None)
        if found is None:
            self.wrong_tokens.count(visitor, now_s)
        if wait_s:
            raise HTTPException(429, "too many wrong tokens; try again later", {"Retry-After": str(math.ceil(wait_s))})
        return found

    def log_in(self, request: Request, token: str, now: float) -> str | None:
        """The value of a session's cookie; None for a wrong token. `now`: unix time, seconds. Raises as `try_token`."""
        return None if self.try_token(request, token, self.tokens.opens_page) is None else self.tokens.new_session(now)

    def needs_credential(self, request: Request) -> bool:
        """Whether a request needs the token, wherever it carries it."""
        return self.needs_token and not _is_public(request)

    def refuse(self, request: Request, now: float) -> Response | None:
        """The response to a request that is refused; None when it may pass to its route. `now`: unix time, seconds. Raises
        HTTPException."""
        host = request.headers.get("host")
        server = request.scope.get("server")
        if not self._hosts.accepts(host, server[0] if server else None):
            return _error(421, "the Host header names another machine; add the name with --allowed-host")
        if not self.needs_credential(request):
            pass
        elif self.carries_key(request.scope["path"]) and _may_carry_key(request):
            request.scope[NEEDS_KEY] = True
            if self.wrong_tokens.wait_s(visitor_of(request), time.monotonic()):
                self.try_token(request, "")
        else:
            found = request.scope[LET_IN_BY] = self._credential(request, now)
            if found is None:
                if request.scope["path"] in PAGES:
                    return RedirectResponse("login", 303)
                return self._ask_for_token(request)
        if request.method not in ("GET", "HEAD"):
            return self._refuse_cross_site(request)
        return None

    def check_key(self, request: Request, key: str) -> None:
        """Check the token that a form carries, where the request needs one. Raises HTTPException 401, and as `try_token`."""
        if request.scope.get(NEEDS_KEY) and (not key or self.try_token(request, key, self.tokens.opens_page) is None):
            raise HTTPException(401, "Incorrect api key: send the token as `api_key`, or as Authorization: Bearer TOKEN")

    def _credential(self, request: Request, now: float) -> Credential | None:
        tokens, picture = self.tokens, _is_picture(request)
        scheme, _, given = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() == "bearer":
            opens = (tokens.opens_page, tokens.opens_pictures) if picture else (tokens.opens_page,)
            return self.try_token(request, given.strip(), *opens)
        if picture and tokens.viewer is not None:
            token = _password(given) if scheme.lower() == "basic" else request.query_params.get("token")
            if token is not None:
                return self.try_token(request, token, tokens.opens_pictures)
        return tokens.session(request.cookies.get(COOKIE, ""), now)

    def _ask_for_token(self, request: Request) -> Response:
        response = _error(401, "a token is required: send Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        # not to the page, whose session may have ended: the browser would ask for a name and a password for each of its pictures
        if _is_picture(request) and self.tokens.viewer is not None and COOKIE not in request.cookies:
            response.headers.append("WWW-Authenticate", 'Basic realm="pictures of ncs_cluster", charset="UTF-8"')
        return response

    def _refuse_cross_site(self, request: Request) -> Response | None:
        origin, host = request.headers.get("origin"), request.headers["host"]
        site, api = request.headers.get("sec-fetch-site", "none"), self.is_api(request.scope["path"])
        # pictures may have any content type, so a page of another port could send them without the browser's asking first
        if api and origin is not None and not is_same_origin(origin, host):
            return _error(403, "cross-site request refused: send no Origin, or the address that is asked")
        if not (origin is None or self._hosts.accepts_origin(origin, host)) or site not in ("none", "same-origin"):
            return _error(403, "cross-site request refused; behind a proxy, give the name it is called by with --allowed-host")
        if api:
            return None
        form = request.scope["path"] == "/login"
        wanted = "application/x-www-form-urlencoded" if form else "application/json"
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != wanted:
            return _error(415, f"send Content-Type: {wanted}")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return _error(413, _BODY_TOO_LONG, {"Connection": "close"})
        return None


class Guard:
    """ASGI middleware: asks the Authenticator, limits bodies to MAX_BODY_BYTES, adds HEADERS to every response."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app, self._authenticator = app, authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        remaining = math.inf if self._authenticator.is_api(scope["path"]) else MAX_BODY_BYTES

        async def receive_limited() -> Message:
            nonlocal remaining
            message = await receive()
            remaining -= len(message.get("body", b""))
            if remaining < 0:
                raise HTTPException(413, _BODY_TOO_LONG)
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if scope["path"].startswith(PICTURES_PREFIX):
                    headers["Referrer-Policy"] = PICTURE_REFERRER
                    if (credential := scope.get(LET_IN_BY)) is not None and credential == self._authenticator.tokens.viewer:
                        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        response: ASGIApp
        try:
            response = self._authenticator.refuse(Request(scope), time.time()) or self._app
        except HTTPException as refused:
            response = _error(refused.status_code, refused.detail, dict(refused.headers or {}))
        if self._authenticator.carries_key(scope["path"]) and isinstance(response, JSONResponse):
            response = _unsuccessful(response)
        with suppress(ClientDisconnect):  # half a body came
            await response(scope, receive_limited, send_with_headers)


def _is_public(request: Request) -> bool:
    # not request.url, which contains the Host header
    path = request.scope["path"]
    # the route of "/" checks a token in its address
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX) or (path == "/" and "token" in request.query_params)


def _is_picture(request: Request) -> bool:
    return request.method in ("GET", "HEAD") and str(request.scope["path"]).startswith(PICTURES_PREFIX)


def _password(given: str) -> str:
    """The password of HTTP Basic; the user's name where it is empty. "" for anything else."""
    try:
        user, _, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except ValueError:
        return ""
    return password or user


def session_cookie(response: Response, value: str) -> None:
    """Without a path: the browser takes the folder of the address it called, which only it knows behind a proxy's sub-path."""
    response.set_cookie(COOKIE, value, max_age=SESSION_S, httponly=True, samesite="strict", path=None)


def _may_carry_key(request: Request) -> bool:
    return request.method == "POST" and "authorization" not in request.headers


def _unsuccessful(response: JSONResponse) -> JSONResponse:
    """The refusal as clients of DeepStack read it."""
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return JSONResponse({"success": False, **json.loads(bytes(response.body))}, response.status_code, headers)


def _error(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": why}, status, headers)
