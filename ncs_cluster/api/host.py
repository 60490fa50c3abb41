"""The host: the supervisor of one program's cluster, `python -m ncs_cluster.api.host PID`.

Settings come over its standard input, each message with its length in front; later ones replace the present ones. It ends when that
closes, or when the program has ended: a process that the program has forked may hold the pipe open. It does not use
PR_SET_PDEATHSIG, which follows the thread that started it.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import struct
import sys
import threading
import time
from typing import NoReturn

import msgspec

from ncs_cluster.core.shutdown import LONGEST_S
from ncs_cluster.errors import EX_CONFIG, ConfigError
from ncs_cluster.specs import Settings

LENGTH = struct.Struct("<I")
"""Of the message that follows, bytes."""
MARGIN_S = 3.0
"""After LONGEST_S and this time the host exits without waiting for its supervisor."""


class Host:
    """The settings, the newest of which the supervisor takes at SIGHUP."""

    def __init__(self, program: int) -> None:
        """`program`: process id of the program."""
        self._program = os.pidfd_open(program)
        if os.getppid() != program:
            os._exit(1)
        self.settings = self._receive()

    def watch(self) -> None:
        """Take new settings until the program ends or closes the pipe, then stop. In a thread."""
        poll = select.poll()
        for fd in (0, self._program):
            poll.register(fd, select.POLLIN)
        try:
            while self._program not in (ready := dict(poll.poll())):
                if 0 in ready:
                    self.settings = self._receive()
                    os.kill(os.getpid(), signal.SIGHUP)
        except (EOFError, msgspec.DecodeError):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LONGEST_S + MARGIN_S)
        self.leave(1)

    def leave(self, code: int) -> NoReturn:
        """Remove the runtime directory, which a killed program leaves behind, and exit."""
        shutil.rmtree(self.settings.runtime_dir, ignore_errors=True)
        os._exit(code)

    def _receive(self) -> Settings:
        """Raises EOFError at the end of the pipe."""
        return msgspec.msgpack.decode(_read(LENGTH.unpack(_read(LENGTH.size))[0]), type=Settings)


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def main() -> NoReturn:
    """The process. Exit code 0 when the program wanted its end, 78 and a line in the log where it cannot work."""
    # ignored until the supervisor handles it: settings that come before are taken with the first SIGHUP after
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # imported before the settings come: another process reads those at the same time
    from ncs_cluster.processes import supervisor

    try:
        host = Host(int(sys.argv[1]))
    except EOFError:
        os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: host.leave(0))
    threading.Thread(target=host.watch, name="watch", daemon=True).start()
    try:
        code = supervisor.run(host.settings, reload=lambda: host.settings)
    except ConfigError as error:
        print(error, file=sys.stderr, flush=True)
        code = EX_CONFIG
    host.leave(code)


if __name__ == "__main__":
    main()
