"""Address, token and host names of the web page."""

from __future__ import annotations

import importlib.util
from typing import Optional

from msgspec import structs

from ncs_cluster.config.context import Context
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.token_file import read_token


def gateway(context: Context) -> Optional[GatewaySpec]:
    root = context.root
    host, port = _address(context, "listen", root.listen)
    _check_apis(context)
    if root.no_web:
        return None
    token, token_file = _token(context, "token_file", root.token_file)
    viewer_token, viewer_token_file = _token(context, "viewer_token_file", root.viewer_token_file)
    if viewer_token is not None and token is None:
        context.refuse("viewer_token_file", because="without --token-file pictures need no token; give one, or leave this out")
    if viewer_token is not None and viewer_token == token:
        context.refuse("viewer_token_file", because="it holds the token of --token-file, which opens more; make another one")
    spec = GatewaySpec(host, port, token, list(root.allowed_host), token_file, viewer_token, viewer_token_file)
    api, grpc = (None if text is None else _address(context, key, text) for key, text in _api_addresses(context))
    apis, clients = list(root.api), list(root.api_client)
    spec = structs.replace(spec, apis=apis, api_address=api, grpc_address=grpc, api_clients=clients, api_weight=root.api_weight)
    if token is None and not spec.local:
        context.refuse(
            "listen",
            because=f"{root.listen} can be reached from other machines; give a --token-file, or listen on 127.0.0.1",
        )
    for key, text in _api_addresses(context):
        local = spec.api_local if key == "api_listen" else spec.grpc_local
        if token is None and not local and not spec.api_clients:
            context.refuse(
                key,
                because=f"{text} can be reached from other machines; give a --token-file or an --api-client, or 127.0.0.1",
            )
    if root.api_grpc is not None and not (_installed("grpc") and _installed("google.protobuf")):
        context.refuse("api_grpc", because="grpcio or protobuf is not installed; pip install 'ncs-cluster[grpc]'")
    return spec


def _api_addresses(context: Context) -> list[tuple[str, Optional[str]]]:
    """The key and the text of each address that APIs have of their own."""
    return [("api_listen", context.root.api_listen), ("api_grpc", context.root.api_grpc)]


def _check_apis(context: Context) -> None:
    """Refuse keys of APIs that do not fit together."""
    root = context.root
    if not root.api and context.given("api_listen"):
        context.refuse("api_listen", because="no API is served; give --api too")
    if root.api_client and root.api_listen is None and root.api_grpc is None:
        context.refuse("api_client", because="it needs no token at --api-listen and --api-grpc, which are missing; give one too")
    if not root.api and root.api_grpc is None and context.given("api_weight"):
        context.refuse("api_weight", because="no API is served; give --api too")
    served = "api" if root.api else "api_grpc" if root.api_grpc is not None else None
    if root.no_web and served is not None:
        context.refuse(served, because="the process of the page answers it; leave out --no-web")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        # the package around it is missing
        return False


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
