"""Folders, files and the page's address."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Optional

from ncs_cluster.config.asked import Asked
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET, default_runtime_dir
from ncs_cluster.provision import places
from ncs_cluster.specs import GatewaySpec, RuntimeSpec, SinkSpec

LONGEST_SOCKET_PATH = 107
"""sockaddr_un holds 108 bytes with the closing zero."""
SHORTEST_TOKEN = 16


def runtime_dir(asked: Asked) -> str:
    """Where nothing was asked: where clients look."""
    if asked.root.runtime_dir is not None:
        path = asked.path(asked.root.runtime_dir, "runtime_dir")
    else:
        path = Path(default_runtime_dir(asked.environ))
    if len(os.fsencode(path / CONTROL_SOCKET)) > LONGEST_SOCKET_PATH:
        asked.refuse("runtime_dir", because=f"{path} is too long for a socket's path; choose a shorter folder")
    if path.exists() and not path.is_dir():
        asked.refuse("runtime_dir", because=f"{path} is not a folder; choose another")
    return str(path)


def state_dir(asked: Asked) -> str:
    """As provision.places.state_dir, where nothing was asked."""
    if asked.root.state_dir is not None:
        path = asked.path(asked.root.state_dir, "state_dir")
        if path.exists() and not path.is_dir():
            asked.refuse("state_dir", because=f"{path} is not a folder; choose another")
        return str(path)
    return str(places.state_dir(asked.environ))


def results(asked: Asked) -> Optional[SinkSpec]:
    text = asked.root.results
    if text is None:
        return None
    if text == "-":
        return SinkSpec("jsonl", {"path": text}, text)
    path = asked.path(text, "results")
    if path.is_dir():
        asked.refuse("results", because=f'"{text}" is a folder; name a file in it')
    if not path.parent.is_dir():
        asked.refuse("results", because=f"there is no folder {path.parent}; make it first")
    there = path if path.exists() else path.parent
    if not os.access(there, os.W_OK):
        if os.statvfs(there).f_flag & os.ST_RDONLY:
            because = f"{path} is on a file system that may only be read here; choose another place, or let the unit write there"
            asked.refuse("results", because=f"{because} (ReadWritePaths=)")
        asked.refuse("results", because=f"{path} may not be written by this user; change its owner or choose another place")
    return SinkSpec("jsonl", {"path": str(path)}, str(path))


def gateway(asked: Asked) -> Optional[GatewaySpec]:
    root = asked.root
    host, port = _address(asked, root.listen)
    if root.no_web:
        return None
    token = _token(asked, root.token_file) if root.token_file is not None else None
    spec = GatewaySpec(host=host, port=port, token=token, allowed_hosts=list(root.allowed_host))
    if token is None and not spec.local:
        asked.refuse(
            "listen",
            because=f"{root.listen} can be reached from other machines; give a --token-file, or listen on 127.0.0.1",
        )
    return spec


def _address(asked: Asked, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        asked.refuse("listen", because=f'"{text}": an IPv6 address is written [ADDRESS]:PORT')
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        asked.refuse("listen", because=f'"{text}": must be HOST:PORT, as in 127.0.0.1:8080')
    return host, int(port)


def _token(asked: Asked, text: str) -> str:
    path = asked.path(text, "token_file")
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                asked.refuse("token_file", because=f"{path} is not a file")
            if mode & stat.S_IROTH:
                asked.refuse("token_file", because=f"{path} can be read by everybody; chmod o-rwx {path}")
            token = file.read(4097).decode("ascii").strip()
    except UnicodeDecodeError:
        asked.refuse("token_file", because=f"{path}: a token is made of ASCII letters and digits")
    except OSError as error:
        asked.refuse("token_file", because=f"{path} cannot be read: {error.strerror}")
    if not SHORTEST_TOKEN <= len(token) <= 4096 or not all("!" <= c <= "~" for c in token):
        asked.refuse(
            "token_file",
            because=f"{path}: a token is {SHORTEST_TOKEN} characters or more on one line; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe())'",
        )
    return token


def runtimes(asked: Asked) -> dict[str, RuntimeSpec]:
    made = {}
    for name, table in asked.root.runtimes.items():
        key = ("runtimes", name, "python")
        python = interpreter(asked, name)
        if python is None or not os.access(python, os.X_OK) or os.path.isdir(python):
            asked.refuse(*key, because=f"{table.python} is no program that can be started; give an interpreter's path")
        if (complaint := _cannot_serve(python, {**asked.environ, **table.env})) is not None:
            asked.refuse(
                *key, because=f"{python} cannot run our processes: {complaint}; it must be Python 3.9 or newer with msgspec"
            )
        made[name] = RuntimeSpec(python=python, env=dict(table.env))
    return made


def interpreter(asked: Asked, name: str) -> Optional[str]:
    """The path of [runtimes.NAME] python. None: the system finds no program of this name."""
    text = asked.root.runtimes[name].python
    return str(asked.path(text, "runtimes", name, "python")) if "/" in text else shutil.which(text)


def _cannot_serve(python: str, environ: dict[str, str]) -> Optional[str]:
    """Why an interpreter cannot run a child. It is really tried: what a name leads to may be a shim without a Python behind it."""
    environ = {name: value for name, value in environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    command = [python, "-c", "import sys; assert sys.version_info >= (3, 9), sys.version.split()[0]; import msgspec"]
    try:
        tried = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, env=environ, check=False)
    except OSError as error:
        return error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return "it does not answer"
    if tried.returncode == 0:
        return None
    said = tried.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"exit code {tried.returncode}"
