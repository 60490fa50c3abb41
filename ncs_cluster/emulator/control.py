"""Commands to a running emulator, over the socket its clients use."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from ncs_cluster.emulator import wire
from ncs_cluster.emulator.wire import HEAD, Op


class Control:
    """A connection. Raises OSError when there is no emulator."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
            self._socket.settimeout(60)
            self._socket.sendall(HEAD.pack(0, 0, Op.HELLO, 0, 0, wire.VERSION, os.getpid()))
        except OSError:
            self._socket.close()
            raise
        self._id = 0

    def command(self, do: str, **what: Any) -> Any:
        """The server's answer. On return every client sees the devices that came or left.

        Raises ValueError with the emulator's reason, ConnectionError when it has gone.
        """
        data = json.dumps({"do": do, **what}).encode()
        self._id += 1
        self._socket.sendall(HEAD.pack(len(data), self._id, Op.CONTROL, 0, 0, 0, 0) + data)
        while True:
            size, id, op, *_ = HEAD.unpack(self._read(HEAD.size))
            answer = self._read(size)
            if op == Op.CONTROL and id == self._id:
                break
        result = json.loads(answer)
        if "error" in result:
            raise ValueError(result["error"])
        return result["ok"]

    def close(self) -> None:
        self._socket.close()

    def _read(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("the emulator has gone")
            parts += part
        return parts
