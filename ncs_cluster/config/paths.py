"""Folders of the control socket and of the state."""

from __future__ import annotations

import os
from pathlib import Path

from ncs_cluster.config.context import Context
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET, default_runtime_dir
from ncs_cluster.provision import places

LONGEST_SOCKET_PATH = 107
"""sockaddr_un holds 108 bytes with the closing zero."""


def runtime_dir(context: Context) -> str:
    """The folder of the control socket. The default is the folder in which `ncsctl` looks for it."""
    if context.root.runtime_dir is not None:
        path = context.path(context.root.runtime_dir, "runtime_dir")
    else:
        path = Path(default_runtime_dir(context.environ))
    if len(os.fsencode(path / CONTROL_SOCKET)) > LONGEST_SOCKET_PATH:
        context.refuse("runtime_dir", because=f"{path} is too long for a socket's path; choose a shorter folder")
    if path.exists() and not path.is_dir():
        context.refuse("runtime_dir", because=f"{path} is not a folder; choose another")
    return str(path)


def state_dir(context: Context) -> str:
    """The state directory. Without a setting: see provision.places.state_dir."""
    if context.root.state_dir is not None:
        path = context.path(context.root.state_dir, "state_dir")
        if path.exists() and not path.is_dir():
            context.refuse("state_dir", because=f"{path} is not a folder; choose another")
        return str(path)
    return str(places.state_dir(context.environ))
