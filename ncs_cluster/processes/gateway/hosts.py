"""The names of this machine: which Host header a request may have, and which Origin a change may come from.

Behind a reverse proxy the two differ: Host may be the address the proxy calls, Origin is the one the browser shows.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit


class Hosts:
    """Names under which the page may be called. `listened`: the host of --listen; `allowed`: those of --allowed-host."""

    def __init__(self, listened: str, allowed: Iterable[str]) -> None:
        name = socket.gethostname().lower()
        own = {"localhost", "127.0.0.1", "::1", name, f"{name}.local", listened.lower(), *map(str.lower, allowed)}
        self._names = own - {"", "0.0.0.0", "::"}

    def accepts(self, host: str | None, own_address: str | None = None) -> bool:
        """`host`: the Host header. The connection's local address is accepted too: a rebound domain still sends its own name."""
        name = host_name(host)
        # a dual-stack socket reports an IPv4 address as ::ffff:1.2.3.4
        return name is not None and (name in self._names or name == (own_address or "").removeprefix("::ffff:"))

    def accepts_origin(self, origin: str, host: str) -> bool:
        """`origin`: the Origin header of a request that has the accepted Host header `host`. It is the host itself, or a name or
        address of this machine: a proxy that does not pass on Host answers to it. A page of another port of this machine is
        refused by Sec-Fetch-Site and the content type; where neither is required, use `is_same_origin`."""
        scheme, _, place = origin.lower().partition("://")
        if scheme not in ("http", "https"):
            return False
        name = host_name(place)
        return place == host.lower() or (name is not None and (name in self._names or is_own_address(name)))


def is_same_origin(origin: str, host: str) -> bool:
    """Whether the Origin header of a request names the host and port of its Host header."""
    scheme, _, place = origin.lower().partition("://")
    return scheme in ("http", "https") and place == host.lower()


def host_name(header: str | None) -> str | None:
    """The name in a Host header: lower case, without port and brackets. None when it is no host name."""
    if not header or any(c in "/?#@\\" for c in header):
        return None
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def is_own_address(name: str) -> bool:
    """True for an IP address of this machine: only to such a one can a socket be bound."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((name, 0))
    except OSError:
        return False
    return not address.is_unspecified and not address.is_multicast
