"""Authentication, host check and cross-site check of every request, before any route; routes contain no check of their own.

    Host         must be a name of this machine, against DNS rebinding (421)
    token        where one is set: `Authorization: Bearer` for programs, a signed cookie after one login for browsers (401)
                 wrong ones are counted by peer: above a rate tokens of that peer are not looked at (429)
    POST         from this page or from a program, never from another site (403); JSON only (415); at most 64 KiB (413)

The cookie holds its expiry, a random number and their HMAC. The HMAC's key is derived from the token, so a cookie stays valid when
the gateway restarts, becomes invalid when the token changes, and does not reveal the token.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ncs_cluster.processes.gateway.hosts import Hosts
from ncs_cluster.processes.gateway.peers import WrongTokens, peer
from ncs_cluster.processes.gateway.server import CannotListen
from ncs_cluster.specs import GatewaySpec

COOKIE = "ncs_session"
SESSION_S = 30 * 24 * 3600
MAX_BODY_BYTES = 64 * 1024
_BODY_TOO_LONG = f"the body is longer than {MAX_BODY_BYTES} bytes"
PUBLIC_PATHS = {"/healthz", "/readyz", "/login"}
PUBLIC_PREFIX = "/static/"

# frames of the same origin: Home Assistant shows the page in one
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Authenticator:
    """The rules for one set of settings. Raises CannotListen when the page would be open to the network without a token."""

    def __init__(self, spec: GatewaySpec) -> None:
        if not spec.token and not spec.local:
            raise CannotListen(
                f"--listen {spec.host}:{spec.port} would show the page to the network:"
                " set a token with --token-file, or listen on 127.0.0.1"
            )
        self._hosts = Hosts(spec.host, spec.allowed_hosts)
        self._token = _digest(spec.token) if spec.token else None
        self._key = hmac.digest((spec.token or "").encode(), b"ncs-cluster session", "sha256")
        self.wrong_tokens = WrongTokens()

    @property
    def needs_token(self) -> bool:
        return self._token is not None

    def accepts_token(self, token: str) -> bool:
        """False for every token where none is set. Compared in constant time."""
        return self._token is not None and hmac.compare_digest(_digest(token), self._token)

    def try_token(self, request: Request, token: str) -> bool:
        """Whether the token is right. Raises HTTPException 429, without looking at it, after too many wrong ones of this peer."""
        visitor, now_s = peer(request), time.monotonic()
        wait_s = self.wrong_tokens.wait_s(visitor, now_s)
        if not wait_s and self.accepts_token(token):
            return True
        self.wrong_tokens.count(visitor, now_s)
        if wait_s:
            raise HTTPException(429, "too many wrong tokens; try again later", {"Retry-After": str(math.ceil(wait_s))})
        return False

    def new_session(self, now: float) -> str:
        """A cookie's value, valid for SESSION_S. `now`: unix time, seconds."""
        payload = f"{int(now) + SESSION_S}.{secrets.token_hex(16)}"
        return f"{payload}.{self._sign(payload)}"

    def accepts_session(self, cookie: str, now: float) -> bool:
        """Whether this gateway's token signed the cookie and it has not expired. `now`: unix time, seconds."""
        payload, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(self._sign(payload).encode(), signature.encode()):
            return False
        expires = payload.partition(".")[0]
        return expires.isdecimal() and now < int(expires)

    def _sign(self, payload: str) -> str:
        return hmac.new(self._key, payload.encode(), hashlib.sha256).hexdigest()

    def refuse(self, request: Request, now: float) -> Response | None:
        """The response to a request that is refused; None when it may pass to its route. `now`: unix time, seconds. Raises
        HTTPException."""
        host = request.headers.get("host")
        server = request.scope.get("server")
        if not self._hosts.accepts(host, server[0] if server else None):
            return _error(421, "the Host header names another machine; add the name with --allowed-host")
        if self.needs_token and not self._is_authenticated(request, now):
            if request.scope["path"] == "/":
                return RedirectResponse("login", 303)
            return _error(401, "a token is required: send Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if request.method not in ("GET", "HEAD"):
            return self._refuse_cross_site(request)
        return None

    def _is_authenticated(self, request: Request, now: float) -> bool:
        # not request.url, which contains the Host header
        path = request.scope["path"]
        if path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIX):
            return True
        if path == "/" and "token" in request.query_params:
            return True  # the route checks the token
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.try_token(request, given.strip())
        return self.accepts_session(request.cookies.get(COOKIE, ""), now)

    def _refuse_cross_site(self, request: Request) -> Response | None:
        origin, host = request.headers.get("origin"), request.headers["host"]
        site = request.headers.get("sec-fetch-site", "none")
        if not (origin is None or self._hosts.accepts_origin(origin, host)) or site not in ("none", "same-origin"):
            return _error(403, "cross-site request refused; behind a proxy, give the name it is called by with --allowed-host")
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
        remaining = MAX_BODY_BYTES

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
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        response: ASGIApp
        try:
            response = self._authenticator.refuse(Request(scope), time.time()) or self._app
        except HTTPException as refused:
            response = _error(refused.status_code, refused.detail, dict(refused.headers or {}))
        with suppress(ClientDisconnect):  # half a body came
            await response(scope, receive_limited, send_with_headers)


def session_cookie(response: Response, value: str) -> None:
    """Without a path: the browser takes the folder of the address it called, which only it knows behind a proxy's sub-path."""
    response.set_cookie(COOKIE, value, max_age=SESSION_S, httponly=True, samesite="strict", path=None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _error(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": why}, status, headers)
