"""The fork server: imports what workers and cameras need, and forks one for each request.

A child forked here shares those pages with the others, and starts in milliseconds. It is forked twice, so that the kernel makes it
a child of the supervisor, the nearest subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): pidfd, exit status and PR_SET_PDEATHSIG work
as for a process that the supervisor has started itself, and the death of the fork server touches no child.

    fork server    --fork-->  intermediate  --fork-->  child
         |                         | exit                 | sends its pid, waits
         | waitpid <---------------+                      |
         | Forked(pid) to the supervisor                  |
         | "go" ----------------------------------------> | PR_SET_PDEATHSIG, Hello

The child goes on only after Forked was sent, so an unanswered request has no child. No vendor library is imported here and no
thread runs: neither survives a fork. Where a preloaded module has started threads, the process executes itself again without it.
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
from ncs_cluster.messages import Fork, Forked, ForkFailed, ToCamera, ToForkServer, ToWorker
from ncs_cluster.processes import child

log = logging.getLogger(__name__)

KINDS = ("worker", "camera")
_ARG_START, _ARG_END = 47, 48
"""Fields of /proc/self/stat (proc(5)), counted from 0."""


def main() -> NoReturn:
    """The process. Exit code 0 after Stop or when the supervisor is gone; a forked child goes on as its module's main."""
    options = child.options()
    for name in filter(None, options.pop("--preload", "").split(",")):
        _preload(name)
    if len(os.listdir("/proc/self/task")) > 1:
        # OpenBLAS was asked for more than one
        again = [argument for option in options.items() for argument in option]
        os.execv(sys.executable, [sys.executable, "-m", "ncs_cluster.processes.fork_server", *again])
    channel = child.enter("fork-server", ToForkServer)
    # msgspec keeps what it has compiled of a message type on the type: 0.4 MiB that no child compiles again
    msgspec.msgpack.Decoder(ToWorker)
    msgspec.msgpack.Decoder(ToCamera)
    gc.collect()
    # a collection in a child would write into every object's header, and so copy every page
    gc.freeze()
    try:
        request, fd = _serve(channel)
    except (EOFError, BrokenPipeError):
        os._exit(0)
    module = f"ncs_cluster.processes.{request.kind}"
    sys.argv = [module, "--channel", str(fd), "--name", request.name]
    for option in ("--parent", "--log-level"):
        sys.argv += [option, options[option]]
    _set_command_line(sys.executable, "-m", module, "--name", request.name)
    import_module(module).main()
    os._exit(0)


def _preload(name: str) -> None:
    try:
        import_module(name)
    except ImportError as error:
        # the child that needs the module reports it
        log.debug("%s is not preloaded: %s", name, error)


def _serve(channel: Channel[Any]) -> Tuple[Fork, int]:
    """Answer requests until the supervisor says Stop or is gone. Returns in each forked child, with its request and channel."""
    while True:
        received = channel.receive()
        if received is None or not isinstance(received.message, Fork):
            os._exit(0)
        request, (fd,) = received.message, received.fds
        if request.kind not in KINDS:
            os.close(fd)
            channel.send(ForkFailed(request.ticket, f"unknown kind of child: {request.kind}"))
            continue
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
    """None in the child. In the fork server: the error, or "" when the intermediate process reports none."""
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
    """In the child: send the process id, and wait until the supervisor has been sent it. The intermediate process has exited by
    then, so PR_SET_PDEATHSIG refers to the supervisor."""
    try:
        theirs.send(str(os.getpid()).encode())
        if not theirs.recv(1):
            os._exit(1)
    except OSError:
        # the fork server was killed
        os._exit(1)
    theirs.close()


def _let_go(ours: socket.socket) -> None:
    try:
        ours.send(b"1")
    except OSError as error:
        # the child was killed meanwhile; the supervisor sees its exit
        log.debug("a forked child has exited already: %s", error)


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
