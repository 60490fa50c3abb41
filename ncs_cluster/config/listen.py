"""Address, token and host names of the web page."""

from __future__ import annotations

import os
import stat
from typing import Optional

from ncs_cluster.config.context import Context
from ncs_cluster.specs import GatewaySpec

SHORTEST_TOKEN = 16


def gateway(context: Context) -> Optional[GatewaySpec]:
    root = context.root
    host, port = _address(context, root.listen)
    if root.no_web:
        return None
    token = _token(context, root.token_file) if root.token_file is not None else None
    spec = GatewaySpec(host=host, port=port, token=token, allowed_hosts=list(root.allowed_host))
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


def _token(context: Context, text: str) -> str:
    path = context.path(text, "token_file")
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                context.refuse("token_file", because=f"{path} is not a file")
            if mode & stat.S_IROTH:
                context.refuse("token_file", because=f"{path} can be read by everybody; chmod o-rwx {path}")
            token = file.read(4097).decode("ascii").strip()
    except UnicodeDecodeError:
        context.refuse("token_file", because=f"{path}: a token is made of ASCII letters and digits")
    except OSError as error:
        context.refuse("token_file", because=f"{path} cannot be read: {error.strerror}")
    if not SHORTEST_TOKEN <= len(token) <= 4096 or not all("!" <= c <= "~" for c in token):
        context.refuse(
            "token_file",
            because=f"{path}: a token is {SHORTEST_TOKEN} characters or more on one line; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    return token
