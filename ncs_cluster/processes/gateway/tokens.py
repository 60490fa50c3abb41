"""The tokens that count, and the sessions of browsers that have logged in with one.

A session is a cookie: its expiry, a random number and their HMAC. The HMAC's key is derived from the page's token, so a cookie
stays valid when the gateway restarts, becomes invalid when the token changes, and does not reveal the token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

SESSION_S = 30 * 24 * 3600

Credential = bytes
"""The credential of a request: the digest of the token it came with."""


class Tokens:
    """The page's token, and the one for pictures alone. None: none is set."""

    def __init__(self, page: str | None, viewer: str | None = None) -> None:
        self.set_page(page)
        self.set_viewer(viewer)

    def set_page(self, token: str | None) -> None:
        """Replace the token. Sessions of the former token end."""
        self.page = _digest(token) if token else None
        self._key = hmac.digest((token or "").encode(), b"ncs-cluster session", "sha256")

    def set_viewer(self, token: str | None) -> None:
        self.viewer = _digest(token) if token else None

    def opens_page(self, token: str) -> Credential | None:
        """None for a wrong token, and for every token where none is set. Compared in constant time."""
        return self.page if self.page is not None and hmac.compare_digest(_digest(token), self.page) else None

    def opens_pictures(self, token: str) -> Credential | None:
        """As `opens_page`, for the token that opens pictures alone."""
        return self.viewer if self.viewer is not None and hmac.compare_digest(_digest(token), self.viewer) else None

    def holds(self, credential: Credential | None) -> bool:
        """Whether a credential is still valid. None, the credential of requests that need no token, always is."""
        return self.page is None if credential is None else credential in (self.page, self.viewer)

    def new_session(self, now: float) -> str:
        """A cookie's value, valid for SESSION_S. `now`: unix time, seconds."""
        payload = f"{int(now) + SESSION_S}.{secrets.token_hex(16)}"
        return f"{payload}.{self._sign(payload)}"

    def session(self, cookie: str, now: float) -> Credential | None:
        """None unless the present token signed the cookie and it has not expired. `now`: unix time, seconds."""
        payload, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(self._sign(payload).encode(), signature.encode()):
            return None
        expires = payload.partition(".")[0]
        return self.page if expires.isdecimal() and now < int(expires) else None

    def _sign(self, payload: str) -> str:
        return hmac.new(self._key, payload.encode(), hashlib.sha256).hexdigest()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
