"""Processes that outlive their supervisor: residents. An intake whose clients would not survive its absence is one.

A resident waits at a socket of its own for the next supervisor, which takes it over instead of starting another. It ends the
channel when it gets Stop, and lives on; the supervisor's exit ends the channel too, and never the process.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from ncs_cluster.core.events import Endpoint
from ncs_cluster.processes.process import Process
from ncs_cluster.specs import Settings

OPTION = "socket"
"""The option of an intake that names the place where its process waits; without it the process is an ordinary child."""
_NOBODY = (ConnectionRefusedError, FileNotFoundError, NotADirectoryError)


def residents(settings: Settings) -> dict[Endpoint, Path]:
    """Where each resident waits."""
    named = [spec for spec in settings.intakes if spec.options.get(OPTION)]
    return {Endpoint("intake", spec.name): Path(spec.options[OPTION]) for spec in named}


def found(endpoint: Endpoint, place: Path) -> Process | None:
    """The resident that waits at `place`, with a channel to it; None where nobody does. Raises PermissionError for another user's,
    OSError where no descriptor is left."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.setblocking(False)
        sock.connect(os.fspath(place))
        pid, uid = peer(sock)
        if uid != os.geteuid():
            raise PermissionError(f"{place} belongs to user {uid}: run both as one user, or set another socket")
        process = Process(endpoint, (sock, None))
        process.started(pid)
    except (*_NOBODY, ProcessLookupError):
        sock.close()
        return None
    except OSError:
        sock.close()
        raise
    return process


def peer(sock: socket.socket) -> tuple[int, int]:
    """Process and user id of the other end."""
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return pid, uid


def listen(place: Path) -> socket.socket:
    """The socket at which this process waits for supervisors, for its user alone. Raises OSError, FileExistsError where another
    process waits there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(os.fspath(place))
        except _NOBODY:
            place.unlink(missing_ok=True)
        else:
            raise FileExistsError(f"process {peer(probe)[0]} serves it already")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        before = os.umask(0o077)
        try:
            sock.bind(os.fspath(place))
        finally:
            os.umask(before)
        sock.listen(4)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
