"""Starts a child: a fresh interpreter, one inherited socket, nothing secret on its command line.

Must be called from the loop's own thread: PR_SET_PDEATHSIG fires when the thread that started the child ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ncs_cluster
from ncs_cluster.core.events import Endpoint
from ncs_cluster.ipc import channel
from ncs_cluster.messages import FromCamera, FromGateway, FromSink, FromWorker
from ncs_cluster.specs import RuntimeSpec

INCOMING = {"worker": FromWorker, "camera": FromCamera, "sink": FromSink, "gateway": FromGateway}
"""What each kind of child may say; its module is ncs_cluster.processes.KIND."""
MOST_FROM_WORKER = channel.MAX_MESSAGE // 4
"""A result grows on its way: distances are added, and it becomes a line of text."""


class Process:
    """A started child and our end of its channel."""

    def __init__(self, popen: subprocess.Popen[bytes], wire: channel.Channel[object]) -> None:
        self.popen = popen
        self.wire = wire
        self.pidfd = os.pidfd_open(popen.pid)


def spawn(endpoint: Endpoint, runtime: RuntimeSpec, runtime_dir: Path, log_level: str) -> Process:
    """Start `ncs_cluster.processes.KIND`. Raises OSError when the interpreter cannot be started."""
    ours, theirs = channel.pair()
    try:
        ours.setblocking(False)
        command = [runtime.python, "-m", f"ncs_cluster.processes.{endpoint.kind}", "--channel", str(theirs.fileno())]
        command += ["--parent", str(os.getpid()), "--name", str(endpoint), "--log-level", log_level]
        with _undisturbed():
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                # libraries print on standard output; only a sink may write results there
                stdout=None if endpoint.kind == "sink" else 2,
                env=environment(runtime, runtime_dir),
                pass_fds=[theirs.fileno()],
            )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    most = MOST_FROM_WORKER if endpoint.kind == "worker" else channel.MAX_MESSAGE
    wire: channel.Channel[object] = channel.Channel(ours, INCOMING[endpoint.kind], most)
    return Process(popen, wire)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A child inherits what is blocked, so no Ctrl-C ends it before it ignores them by itself (child.enter)."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def environment(runtime: RuntimeSpec, runtime_dir: Path) -> dict[str, str]:
    """The child's environment. A foreign interpreter sees this package through a folder that holds nothing but a link to it, so
    that it does not meet libraries built for our interpreter."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("NCS_CLUSTER_") and key != "NOTIFY_SOCKET"}
    # a worker's arithmetic is OpenVINO's; idle thread pools of other libraries only cost memory
    env.setdefault("OPENBLAS_NUM_THREADS", "1")
    env.setdefault("OMP_NUM_THREADS", "1")
    # an arena for every thread multiplies what stays behind of large pictures
    env.setdefault("MALLOC_ARENA_MAX", "1")
    if runtime.python != sys.executable:
        folder = runtime_dir / "package"
        folder.mkdir(exist_ok=True)
        link, package = folder / "ncs_cluster", Path(ncs_cluster.__file__).parent
        if not (link.is_symlink() and link.readlink() == package):
            # another installation's, from before
            link.unlink(missing_ok=True)
            link.symlink_to(package)
        env = {key: value for key, value in env.items() if key not in ("PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")}
        env["PYTHONPATH"] = os.fspath(folder)
    return {**env, **runtime.env}
