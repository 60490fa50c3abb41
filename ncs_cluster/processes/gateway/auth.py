"""Who may come in. Checked here, before any route is looked at; a route never asks again.

    Host         must be a name of this machine (421): a stranger's domain that points here reads nothing
    token        with one: `Authorization: Bearer` for programs, a signed cookie after one login for browsers (401)
    POST         from this page or from a program, never from another site (403); JSON only (415); at most 64 KiB (413)

The cookie holds its expiry, a random number and their HMAC under a key derived from the token: it outlives a restart of the
gateway, tells nothing about the token, and dies with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import time
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ncs_cluster.processes.gateway.server import CannotListen
from ncs_cluster.specs import GatewaySpec

COOKIE = "ncs_session"
SESSION_S = 30 * 24 * 3600
MAX_BODY = 64 * 1024
_TOO_LONG = f"at most {MAX_BODY} bytes"
OPEN_PATHS = {"/healthz", "/readyz", "/login"}
OPEN_PREFIX = "/static/"

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Door:
    """The rules, made of the settings. Raises CannotListen when the page would be open to the network without a token."""

    def __init__(self, spec: GatewaySpec) -> None:
        if not spec.token and not spec.local:
            raise CannotListen(
                f"--listen {spec.host}:{spec.port} would show the page to the network:"
                " set a token with --token-file, or listen on 127.0.0.1"
            )
        name = socket.gethostname().lower()
        self._hosts = {
            "localhost",
            "127.0.0.1",
            "::1",
            name,
            f"{name}.local",
            spec.host.lower(),
            *map(str.lower, spec.allowed_hosts),
        }
        self._hosts -= {"", "0.0.0.0", "::"}
        self._token = _digest(spec.token) if spec.token else None
        self._key = hmac.digest((spec.token or "").encode(), b"ncs-cluster session", "sha256")

    @property
    def needs_token(self) -> bool:
        return self._token is not None

    def knows_host(self, host: str | None, own_address: str | None = None) -> bool:
        """`host` as in the Host header. The address the visitor connected to is always right: no domain can pretend to be it."""
        name = host_name(host)
        # a socket for both families tells an IPv4 address in the form of the other
        return name is not None and (name in self._hosts or name == (own_address or "").removeprefix("::ffff:"))

    def fits(self, token: str) -> bool:
        """Compared in constant time."""
        return self._token is not None and hmac.compare_digest(_digest(token), self._token)

    def new_session(self, now: float) -> str:
        """A cookie's value, good for SESSION_S. `now` in unix seconds."""
        words = f"{int(now) + SESSION_S}.{secrets.token_hex(16)}"
        return f"{words}.{self._sign(words)}"

    def knows_session(self, cookie: str, now: float) -> bool:
        words, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(self._sign(words).encode(), signature.encode()):
            return False
        expires = words.partition(".")[0]
        return expires.isdecimal() and now < int(expires)

    def _sign(self, words: str) -> str:
        return hmac.new(self._key, words.encode(), hashlib.sha256).hexdigest()

    def refusal(self, request: Request, now: float) -> Response | None:
        """Why this request may not pass, as the answer to it; None: come in."""
        host = request.headers.get("host")
        server = request.scope.get("server")
        if not self.knows_host(host, server[0] if server else None):
            return _no(421, "this is not a name of this machine: add it with --allowed-host")
        if self.needs_token and not self._may_enter(request, now):
            if request.scope["path"] == "/":
                return RedirectResponse("/login", 303)
            return _no(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        if request.method not in ("GET", "HEAD"):
            return self._refuse_change(request)
        return None

    def _may_enter(self, request: Request, now: float) -> bool:
        # not request.url: that is made of the Host header too
        path = request.scope["path"]
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            return True
        if path == "/" and "token" in request.query_params:
            return True  # the route answers with a cookie or the login page
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.fits(given.strip())
        return self.knows_session(request.cookies.get(COOKIE, ""), now)

    def _refuse_change(self, request: Request) -> Response | None:
        origin, host = request.headers.get("origin"), request.headers["host"]
        site = request.headers.get("sec-fetch-site", "none")
        if origin not in (None, f"http://{host}", f"https://{host}") or site not in ("none", "same-origin"):
            return _no(403, "another site may not do this")
        form = request.scope["path"] == "/login"
        wanted = "application/x-www-form-urlencoded" if form else "application/json"
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != wanted:
            return _no(415, f"send Content-Type: {wanted}")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return _no(413, _TOO_LONG, {"Connection": "close"})
        return None


class Guarded:
    """ASGI: nothing passes but by the door, no body is longer than MAX_BODY, every answer carries HEADERS."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        room = MAX_BODY

        async def receive_some() -> Message:
            nonlocal room
            message = await receive()
            room -= len(message.get("body", b""))
            if room < 0:
                raise HTTPException(413, _TOO_LONG)
            return message

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer: ASGIApp = self._door.refusal(Request(scope), time.time()) or self._app
        await answer(scope, receive_some, send_guarded)


def host_name(header: str | None) -> str | None:
    """The name in a Host header, without port and brackets, in small letters."""
    if not header or any(c in "/?#@\\" for c in header):
        return None
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def session_cookie(response: Response, value: str) -> None:
    response.set_cookie(COOKIE, value, max_age=SESSION_S, httponly=True, samesite="strict", path="/")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _no(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": why}, status, headers)
