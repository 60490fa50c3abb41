"""Address, token and host names of the web page."""

from __future__ import annotations

from typing import Optional

from ncs_cluster.config.context import Context
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.token_file import read_token


def gateway(context: Context) -> Optional[GatewaySpec]:
    root = context.root
    host, port = _address(context, root.listen)
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
    spec = GatewaySpec(host, port, token, list(root.allowed_host), token_file, viewer_token, viewer_token_file, list(root.api))
    if token is None and not spec.local:
        context.refuse(
            "listen",
            because=f"{root.listen} can be reached from other machines; give a --token-file, or listen on 127.0.0.1",
        )
    return spec


def _address(context: Context, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        context.refuse("listen", because=f'"{text}": an IPv6 address is written [ADDRESS]:PORT')
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        context.refuse("listen", because=f'"{text}": must be HOST:PORT, as in 127.0.0.1:8080')
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
