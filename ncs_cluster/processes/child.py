"""How a child process begins: the same few steps for every kind. Runs on CPython 3.9.

It dies with its parent (PR_SET_PDEATHSIG, and a look whether the parent was gone already), ignores Ctrl-C and SIGTERM (the
supervisor decides when to stop), gets its channel as an inherited descriptor named on the command line, and says Hello. Standard
output belongs to libraries that print; messages go over the channel only.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
from typing import Any, Dict, NoReturn, Optional, Type, TypeVar

from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import PROTOCOL, Failed, Hello, Stop

log = logging.getLogger(__name__)

M = TypeVar("M")

LAST_WORD_S = 1.0
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


def enter(kind: str, incoming: Any) -> Channel[Any]:
    """Become a child of the supervisor; returns the channel to it (blocking). `incoming` is the union of what it may say."""
    arguments = options()
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(_PR_SET_NAME, ("ncs-" + kind).encode()[:15])
    if os.getppid() != int(arguments["--parent"]):
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    log_to_stderr(arguments.get("--name", kind), arguments.get("--log-level", "info"))
    channel: Channel[Any] = Channel(socket.socket(fileno=int(arguments["--channel"])), incoming)
    channel.send(Hello(PROTOCOL, os.getpid(), ".".join(map(str, sys.version_info[:3]))))
    return channel


def options() -> Dict[str, str]:
    """Pairs of --option and value; argparse would cost every stick's process half a megabyte."""
    return dict(zip(sys.argv[1::2], sys.argv[2::2]))


def first_word(channel: Channel[Any], kind: Type[M]) -> M:
    """What this child is to be. The process ends where it is told to stop before that, or the supervisor is gone."""
    try:
        received = channel.receive()
    except EOFError:
        os._exit(1)
    if received is None or isinstance(received.message, Stop):
        os._exit(0)
    if not isinstance(received.message, kind):
        fail(channel, Failed("protocol", f"the first word must be {kind.__name__}, not {type(received.message).__name__}"))
    return received.message


def fail(channel: Channel[Any], failed: Failed) -> NoReturn:
    """The last word, then out at once with exit code 1: to close what hangs would hang too. The supervisor tells it to people."""
    try:
        channel.sock.settimeout(LAST_WORD_S)
        channel.send(failed)
    except OSError:
        log.error("%s", failed.detail)
    os._exit(1)


def unexpected(error: Exception, where: str = "") -> Failed:
    """The last word about an error that no door should raise."""
    log.debug("unexpected", exc_info=error)
    return Failed("protocol", f"{where}unexpected {type(error).__name__}: {' '.join(str(error).split())}")


def trim_memory() -> None:
    """Give back what opening has used for a moment and freed; glibc would keep it for later (malloc_trim(3))."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def log_to_stderr(name: str, level: str, handler: Optional[logging.Handler] = None) -> None:
    """One line per event on standard error, with the process's name. Under systemd the priority goes in front as `<N>`."""
    prefix = "<%(priority)d>" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s "
    handler = handler or logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(prefix + name + ": %(message)s", "%H:%M:%S"))
    handler.addFilter(_priority)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # ours as asked for; libraries only when something is wrong
    for ours in ("ncs_cluster", "__main__"):
        logging.getLogger(ours).setLevel(level.upper())


def _priority(record: logging.LogRecord) -> bool:
    record.priority = {"ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}.get(record.levelname, 5)
    return True
