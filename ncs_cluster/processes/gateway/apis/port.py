"""The port of --api-listen, which has the APIs and not the page: who may ask there, and its application."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from ncs_cluster.processes.gateway.auth import Authenticator, Guard
from ncs_cluster.processes.gateway.hosts import Hosts
from ncs_cluster.specs import GatewaySpec, is_local


class PortAuthenticator(Authenticator):
    """The page's rules and tokens, except that some clients need no token: those of --api-client, by the address of their
    connection, and where no token is set those of this machine's own port."""

    def __init__(self, spec: GatewaySpec, page: Authenticator, address: tuple[str, int] | None) -> None:
        """`address`: host and port where it listens."""
        super().__init__(spec)
        self.tokens, self.wrong_tokens = page.tokens, page.wrong_tokens
        self._hosts = Hosts(address[0] if address else "", spec.allowed_hosts)
        self._local = address is None or is_local(address[0])
        self._clients = [ipaddress.ip_network(each, strict=False) for each in spec.api_clients]

    def needs_credential(self, request: Request) -> bool:
        return self.needs_token_from(request.client.host if request.client else "")

    def needs_token_from(self, client: str) -> bool:
        """`client`: the address at the other end of a connection."""
        return (self.needs_token or not self._local) and not is_among(client, self._clients)


def is_among(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether an address of a connection is in one of the networks."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    # a dual-stack socket reports an IPv4 address as ::ffff:1.2.3.4
    ip = ip.ipv4_mapped or ip if ip.version == 6 else ip
    return any(ip in network for network in networks)


def make_app(authenticator: PortAuthenticator, routes: Iterable[BaseRoute]) -> ASGIApp:
    app = Starlette(routes=[Route("/", _root), *routes])
    app.router.redirect_slashes = False
    return Guard(app, authenticator)


async def _root(request: Request) -> Response:
    """Who configures a client looks with a browser whether something answers; clients of CodeProject.AI look there too."""
    return PlainTextResponse("ncs_cluster: APIs of inference servers alone; its page is at the address of --listen\n")
