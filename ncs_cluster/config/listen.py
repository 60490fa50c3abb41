"""Address, token and host names of the web page."""

from __future__ import annotations

from typing import Optional

from msgspec import structs

from ncs_cluster.config.context import Context
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.token_file import read_token


def gateway(context: Context) -> Optional[GatewaySpec]:
    root = context.root
    host, port = _address(context, "listen", root.listen)
    if not root.api:
        for key in ("api_listen", "api_client", "api_weight"):
            if context.given(key):
                context.refuse(key, because="no API is served; give --api too")
    if root.no_web:
        if root.api:
            context.refuse("api", because="the process of the page answers it; leave out --no-web")
        return None
    token, token_file = _token(context, "token_file", root.token_file)
    viewer_token, viewer_token_file = _token(context, "viewer_token_file", root.viewer_token_file)
    if viewer_token is not None and token is None:
        context.refuse("viewer_token_file", because="without --token-file pictures need no token; give one, or leave this out")
    if viewer_token is not None and viewer_token == token:
        context.refuse("viewer_token_file", because="it holds the token of --token-file, which opens more; make another one")
    spec = GatewaySpec(host, port, token, list(root.allowed_host), token_file, viewer_token, viewer_token_file)
    if root.api:
        address = None if root.api_listen is None else _address(context, "api_listen", root.api_listen)
        spec = structs.replace(
            spec, apis=list(root.api), api_address=address, api_clients=list(root.api_client), api_weight=root.api_weight
        )
    if token is None and not spec.local:
        context.refuse(
            "listen",
            because=f"{root.listen} can be reached from other machines; give a --token-file, or listen on 127.0.0.1",
        )
    if token is None and not spec.api_local and not spec.api_clients:
        context.refuse(
            "api_listen",
            because=f"{root.api_listen} can be reached from other machines; give a --token-file or an --api-client, or 127.0.0.1",
        )
    if root.api_client and root.api_listen is None:
        context.refuse("api_client", because="it needs no token at --api-listen, which is missing; give it too")
    return spec


def _address(context: Context, key: str, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        context.refuse(key, because=f'"{text}": an IPv6 address is written [ADDRESS]:PORT')
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        context.refuse(key, because=f'"{text}": must be HOST:PORT, as in 127.0.0.1:8080')
    return host, int(port)


def _token(context: Context, key: str, text: Optional[str]) -> tuple[Optional[str], Optional[str]]:
    """The token in a file, and the file's absolute path."""
    if text is None:
        return None, None
    path = context.path(text, key)
    try:
        return read_token(path), str(path)
    except ValueError as error:
        context.refuse(key, because=str(error))
