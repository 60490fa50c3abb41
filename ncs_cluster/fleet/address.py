"""Where a NATS server is. Pure. Runs on CPython 3.9."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

PORT = 4222
NODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names of daemons: one part of a subject, and nothing that a pattern of subjects or a path could be made of."""


class Address(NamedTuple):
    """A server; with `tls` it is spoken to only when it proves who it is."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'nats'}://{host}:{self.port}"


def parse(text: str) -> Address:
    """nats://HOST[:PORT] or tls://HOST[:PORT]. Raises ValueError, one line without a part of the text: it may hold a password."""
    form = "must be nats://HOST[:PORT] or tls://HOST[:PORT]"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(form) from error
    if "@" in text:
        raise ValueError(f"{form}; user and password stand in [nats]")
    if parts.scheme not in ("nats", "tls") or not host or parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
        raise ValueError(form)
    if len(host) > 253 or not host.isprintable() or any(letter.isspace() for letter in host):
        raise ValueError(form)
    return Address(host, PORT if port is None else port, parts.scheme == "tls")
