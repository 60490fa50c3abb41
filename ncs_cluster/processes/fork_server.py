"""The fork server: one process that has imported what workers import, and forks a worker for each request.

A worker forked here shares those pages with all others, and starts in milliseconds. It is forked twice, so that the kernel hands
it to the supervisor, the nearest subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): pidfd, exit status and PR_SET_PDEATHSIG work as
for a worker the supervisor has started itself, and the end of the fork server touches no worker.

    fork server    --fork-->  intermediate  --fork-->  worker
         |                         | exit                 | tells its pid, waits
         | waitpid <---------------+                      |
         | Forked(pid) to the supervisor                  |
         | "go" ----------------------------------------> | PR_SET_PDEATHSIG, Hello

The worker goes on only when Forked has been sent, so a request without an answer has no worker. No vendor library is imported here
and no thread runs: neither survives a fork. Where a preloaded module has started threads the process begins again without any.
Runs on CPython 3.9.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Optional, Tuple

import msgspec

from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import Forked, ForkFailed, ForkWorker, ToForkServer, ToWorker
from ncs_cluster.processes import child, worker

log = logging.getLogger(__name__)

_ARG_START, _ARG_END = 47, 48
"""Fields of /proc/self/stat (proc(5)), counted from 0."""


def main() -> NoReturn:
    """The process. Exit code 0 after Stop or when the supervisor is gone; a forked worker goes on as worker.main."""
    options = child.options()
    for name in filter(None, options.pop("--preload", "").split(",")):
        _preload(name)
    if len(os.listdir("/proc/self/task")) > 1:
        # OpenBLAS was asked for more than one
        again = [argument for option in options.items() for argument in option]
        os.execv(sys.executable, [sys.executable, "-m", "ncs_cluster.processes.fork_server", *again])
    channel = child.enter("fork-server", ToForkServer)
    # msgspec keeps what it has compiled of a message type on the type: 0.4 MiB that no worker compiles again
    msgspec.msgpack.Decoder(ToWorker)
    gc.collect()
    # a collection in a worker would write into every object's header, and so copy every page
    gc.freeze()
    try:
        request, fd = _serve(channel)
    except (EOFError, BrokenPipeError):
        os._exit(0)
    sys.argv = [worker.__name__, "--channel", str(fd), "--name", request.name]
    for option in ("--parent", "--log-level"):
        sys.argv += [option, options[option]]
    _set_command_line(sys.executable, "-m", worker.__name__, "--name", request.name)
    worker.main()


def _preload(name: str) -> None:
    try:
        import_module(name)
    except ImportError as error:
        # the worker that needs it says so in its own words
        log.debug("%s is not preloaded: %s", name, error)


def _serve(channel: Channel[Any]) -> Tuple[ForkWorker, int]:
    """Answer requests until the supervisor says Stop or is gone. Returns in each forked worker, with its request and channel."""
    while True:
        received = channel.receive()
        if received is None or not isinstance(received.message, ForkWorker):
            os._exit(0)
        request, (fd,) = received.message, received.fds
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        refused = _fork_twice()
        if refused is None:
            ours.close()
            channel.close()
            _wait_for_go(theirs)
            return request, fd
        theirs.close()
        os.close(fd)
        told = ours.recv(32)
        if told:
            channel.send(Forked(request.ticket, int(told)))
            _let_go(ours)
        else:
            channel.send(ForkFailed(request.ticket, refused or "the new process died at once"))
        ours.close()


def _fork_twice() -> Optional[str]:
    """None in the worker, whose parent is the supervisor then. Here: why there is no worker, or ""."""
    try:
        intermediate = os.fork()
    except OSError as error:
        return str(error)
    if intermediate == 0:
        try:
            if os.fork() == 0:
                return None
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    _, status = os.waitpid(intermediate, 0)
    errno = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
    return os.strerror(errno) if errno else ""


def _wait_for_go(theirs: socket.socket) -> None:
    """In the worker: tell the process id, and wait until the supervisor has been sent it. The intermediate process has exited by
    then, so PR_SET_PDEATHSIG will mean the supervisor."""
    theirs.send(str(os.getpid()).encode())
    if not theirs.recv(1):
        os._exit(1)
    theirs.close()


def _let_go(ours: socket.socket) -> None:
    try:
        ours.send(b"1")
    except OSError as error:
        # the worker was killed meanwhile; the supervisor sees its end
        log.debug("a worker is gone already: %s", error)


def _set_command_line(*arguments: str) -> None:
    """What ps shows, in place of the fork server's own (as setproctitle does)."""
    try:
        # the name in field 2 may hold spaces
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARG_START - 2]), int(fields[_ARG_END - 2])
    except (OSError, ValueError, IndexError):
        return
    room = end - start
    if start and room > 1:
        data = "\0".join(arguments).encode(errors="replace")[: room - 1]
        ctypes.memmove(start, data.ljust(room, b"\0"), room)


if __name__ == "__main__":
    main()
