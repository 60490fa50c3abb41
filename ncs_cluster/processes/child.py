"""The start and the end of every child process. Runs on CPython 3.9.

A child dies with its parent (PR_SET_PDEATHSIG, then a check that the parent is still there), ignores SIGINT, SIGTERM and SIGHUP
(the supervisor sends Stop), takes its channel from the descriptor that the command line names, and sends Hello. Libraries may
print on standard output; messages go over the channel only.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
from typing import Any, Dict, MutableMapping, NoReturn, Optional, Type, TypeVar

from ncs_cluster.errors import one_line
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import PROTOCOL, Failed, Hello, Stop

log = logging.getLogger(__name__)

M = TypeVar("M")

SEND_FAILED_S = 1.0
ALL_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that a terminal or an operator may send to all processes: the supervisor stops its children in order."""
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


def enter(kind: str, incoming: Any) -> Channel[Any]:
    """Become a child of the supervisor; returns the blocking channel to it. `incoming`: the union of its messages."""
    arguments = options()
    ctypes.CDLL(None).prctl(_PR_SET_NAME, ("ncs-" + kind).encode()[:15])
    die_with_parent(int(arguments["--parent"]))
    for number in ALL_STOPS:
        signal.signal(number, signal.SIG_IGN)
    log_to_stderr(arguments.get("--name", kind), arguments.get("--log-level", "info"))
    channel: Channel[Any] = Channel(socket.socket(fileno=int(arguments["--channel"])), incoming)
    channel.send(Hello(PROTOCOL, os.getpid(), ".".join(map(str, sys.version_info[:3]))))
    return channel


def die_with_parent(parent: int) -> None:
    """This process gets SIGKILL when its parent, whose process id this is, ends; it exits where that has ended already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def ask_for_one_thread(env: MutableMapping[str, str]) -> None:
    """Libraries that are loaded under this environment start no thread pool, unless it asks for one already."""
    # workers compute with OpenVINO; thread pools of other libraries only cost memory, and time when numpy is imported
    env.setdefault("OPENBLAS_NUM_THREADS", "1")
    env.setdefault("OMP_NUM_THREADS", "1")
    # threads of OpenCV save no time on one picture, and take the cores from the sticks
    env.setdefault("OPENCV_FOR_THREADS_NUM", "1")


def options() -> Dict[str, str]:
    """Pairs of --option and value; argparse would cost every stick's process half a megabyte."""
    return dict(zip(sys.argv[1::2], sys.argv[2::2]))


def first_message(channel: Channel[Any], kind: Type[M]) -> M:
    """The settings of this child. The process exits when Stop or the end of the channel comes first."""
    try:
        received = channel.receive()
    except EOFError:
        os._exit(1)
    if received is None or isinstance(received.message, Stop):
        os._exit(0)
    if not isinstance(received.message, kind):
        fail(channel, Failed("protocol", f"the first message must be {kind.__name__}, not {type(received.message).__name__}"))
    return received.message


def fail(channel: Channel[Any], failed: Failed) -> NoReturn:
    """Send Failed and exit at once with code 1: closing a device that hangs would hang too. The supervisor logs the detail."""
    try:
        channel.sock.settimeout(SEND_FAILED_S)
        channel.send(failed)
    except OSError:
        log.error("%s", failed.detail)
    os._exit(1)


def unexpected(error: Exception, where: str = "") -> Failed:
    """Failed for an exception that no plugin may raise."""
    log.debug("unexpected", exc_info=error)
    return Failed("protocol", f"{where}unexpected {type(error).__name__}: {' '.join(str(error).split())}")


def trim_memory() -> None:
    """Return freed memory to the kernel, which glibc would keep (malloc_trim(3)): opening a device needs much for a moment."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def log_to_stderr(name: str, level: str, handler: Optional[logging.Handler] = None) -> None:
    """Log to standard error, one line per event, with the process's name; under systemd with the priority as `<N>` in front."""
    prefix = "<%(priority)d>" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s "
    handler = handler or logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(prefix + name + ": %(message)s", "%H:%M:%S"))
    handler.addFilter(_priority)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # the level is for this package; libraries log warnings and errors only
    for ours in ("ncs_cluster", "__main__"):
        logging.getLogger(ours).setLevel(level.upper())


class OneLine(logging.Formatter):
    """One line per record, whatever a message quotes; a traceback, at level debug, follows it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))


def _priority(record: logging.LogRecord) -> bool:
    record.priority = {"ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}.get(record.levelname, 5)
    return True
