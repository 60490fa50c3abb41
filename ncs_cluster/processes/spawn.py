"""Starts children, each with one inherited socket and nothing secret on its command line: workers and cameras by the fork server of
their runtime (processes/forking.py), the others with an interpreter of their own.

Must be called from the loop's own thread: PR_SET_PDEATHSIG fires when the thread that started the child ends.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import ncs_cluster
from ncs_cluster.backends import BACKENDS
from ncs_cluster.core.events import Endpoint
from ncs_cluster.processes.child import ALL_STOPS, ask_for_one_thread
from ncs_cluster.processes.fork_server import KINDS
from ncs_cluster.processes.forking import ForkServer
from ncs_cluster.processes.loop import Loop
from ncs_cluster.processes.process import Process
from ncs_cluster.processes.resident import residents
from ncs_cluster.specs import RuntimeSpec, Settings
from ncs_cluster.status import ProcessStatus

_PR_SET_CHILD_SUBREAPER = 36
CLOSE_S = 1.0
PASSING = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
"""Errors of a machine that has no descriptor, process or memory left at the moment."""


class Failed(Protocol):
    """Called where a process could not be started. `permanent`: another try would fail too."""

    def __call__(self, process: Process, detail: str, *, permanent: bool) -> None: ...


class Spawner:
    """Starts every child, keeps the fork servers, and reaps orphans."""

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        started: Callable[[Process], None],
        failed: Failed,
        note: Callable[[str, str, str], None],
    ) -> None:
        """Each `start` is answered by `started(process)` or `failed(process, detail)`, at once or later. `note` logs a line, as
        EventLog.add does."""
        self._runtimes = {"default": RuntimeSpec(sys.executable), **settings.runtimes}
        self._runtime_dir = Path(settings.runtime_dir)
        self._log_level = settings.log_level
        self._preload = ",".join(preloaded(settings))
        self._loop, self._started, self._failed, self._note = loop, started, failed, note
        self.residents = residents(settings)
        self._fork_servers: dict[str, ForkServer] = {}
        self._runtime_of: dict[Process, str] = {}
        """The runtime of each process whose fork server has not answered."""
        # children are forked twice, and become children of this process when the one between exits
        self._can_fork = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0

    def start(self, process: Process, runtime: str) -> None:
        """Start `ncs_cluster.processes.KIND` at the other end of the process's channel; an intake's module has its name."""
        server = self._fork_server(runtime) if process.endpoint.kind in KINDS else None
        if server is None or not server.fork(process):
            self._execute(process, runtime)
        else:
            self._runtime_of[process] = runtime

    def tick(self, now_s: float, pids: Callable[[], set[int]]) -> None:
        """Check the fork servers and reap orphans. `pids`: process ids of all children that the supervisor knows."""
        for server in self._fork_servers.values():
            server.tick(now_s)
        if not any(server.busy for server in self._fork_servers.values()):
            # while a request is unanswered an unknown child may be its child
            reap_orphans(lambda: pids() | set(self.pids()))

    def pids(self) -> list[int]:
        """Process ids of the fork servers."""
        return [server.pid for server in self._fork_servers.values() if server.pid is not None]

    def status(self, usage: Mapping[int, tuple[float, float]]) -> list[ProcessStatus]:
        """The entries of the fork servers in the status."""
        statuses = []
        for runtime, server in self._fork_servers.items():
            cpu_percent, memory_mb = usage.get(server.pid or 0, (None, None))
            name = f"fork-server {runtime}"
            statuses.append(ProcessStatus(name, server.pid, server.state, cpu_percent, memory_mb, server.restarts))
        return statuses

    def close(self) -> None:
        """Kill the fork servers."""
        for server in self._fork_servers.values():
            server.close(CLOSE_S)

    def _fork_server(self, runtime: str) -> ForkServer | None:
        """None for a foreign interpreter: it serves a vendor's library, whose memory no fork would share."""
        spec = self._runtimes.get(runtime)
        if not self._can_fork or spec is None or spec.python != sys.executable:
            return None
        if runtime not in self._fork_servers:
            endpoint = Endpoint("fork-server", runtime)
            self._fork_servers[runtime] = ForkServer(
                lambda: self._start_fork_server(endpoint),
                self._loop,
                self._forked,
                self._not_forked,
                lambda level, text: self._note(level, str(endpoint), text),
            )
        return self._fork_servers[runtime]

    def _start_fork_server(self, endpoint: Endpoint) -> Process:
        process = Process(endpoint)
        try:
            popen = execute(process, self._runtimes[endpoint.name], self._runtime_dir, self._log_level, "--preload", self._preload)
            process.started(popen.pid, popen)
        except OSError:
            process.abandon()
            process.channel.close()
            raise
        return process

    def _forked(self, process: Process, pid: int) -> None:
        runtime = self._runtime_of.pop(process)
        self._watch(process, runtime, pid, None)

    def _not_forked(self, process: Process) -> None:
        self._execute(process, self._runtime_of.pop(process))

    def _execute(self, process: Process, runtime: str) -> None:
        place = self.residents.get(process.endpoint)
        try:
            more = [] if place is None else ["--socket", os.fspath(place)]
            popen = execute(process, self._runtimes[runtime], self._runtime_dir, self._log_level, *more, outlives=place is not None)
        except (OSError, KeyError) as error:
            process.abandon()
            self._fail(process, runtime, error)
        else:
            self._watch(process, runtime, popen.pid, popen)

    def _watch(self, process: Process, runtime: str, pid: int, popen: subprocess.Popen[bytes] | None) -> None:
        try:
            process.started(pid, popen)
        except OSError as error:
            self._fail(process, runtime, error)
        else:
            self._started(process)

    def _fail(self, process: Process, runtime: str, error: Exception) -> None:
        passing = isinstance(error, OSError) and error.errno in PASSING
        self._failed(process, f"runtime {runtime!r} cannot be started: {error}", permanent=not passing)


def preloaded(settings: Settings) -> list[str]:
    """Modules that workers and cameras will import, without vendors' libraries; numpy and OpenCV only where workers read pixels."""
    names = {backend for backend, _ in settings.drivers}
    modules = ["ncs_cluster.processes.worker"]
    ours = {**BACKENDS.builtin, **BACKENDS.unnamed}
    modules += [plugin.driver.partition(":")[0] for name, plugin in ours.items() if name in names]
    if settings.graphs or any(stick.options.get("preprocess") for stick in settings.sticks):
        modules += ["numpy", "cv2", "ncs_cluster.processes.camera"]
    return modules


def execute(
    process: Process, runtime: RuntimeSpec, runtime_dir: Path, log_level: str, *options: str, outlives: bool = False
) -> subprocess.Popen[bytes]:
    """Start a child's module in an interpreter of its own. `outlives`: in a session of its own, so that what ends this program from
    a terminal does not end it. Raises OSError when the interpreter cannot be started."""
    endpoint = process.endpoint
    module = endpoint.name if endpoint.kind == "intake" else endpoint.kind.replace("-", "_")
    assert process.child_end is not None
    command = [runtime.python, "-m", f"ncs_cluster.processes.{module}", "--channel", str(process.child_end.fileno())]
    command += ["--parent", str(os.getpid()), "--name", str(process.endpoint), "--log-level", log_level, *options]
    with signals_blocked():
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            # libraries print on standard output, which carries results: only a sink may write there
            stdout=None if process.endpoint.kind == "sink" else 2,
            env=environment(runtime, runtime_dir),
            pass_fds=[process.child_end.fileno()],
            start_new_session=outlives,
        )


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block child.ALL_STOPS: a child inherits that, so Ctrl-C does not end it before it ignores them (child.enter)."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ALL_STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def reap_orphans(ours: Callable[[], set[int]]) -> None:
    """Reap exited children that other processes have started and left behind. `ours`: process ids that are reaped elsewhere."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in ours():
            return
        os.waitid(os.P_PID, ended.si_pid, os.WEXITED | os.WNOHANG)


def environment(runtime: RuntimeSpec, runtime_dir: Path) -> dict[str, str]:
    """The child's environment. A foreign interpreter finds this package through a folder that holds only a link to it, not
    libraries that are built for this interpreter."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("NCS_CLUSTER_") and key != "NOTIFY_SOCKET"}
    ask_for_one_thread(env)
    # each arena of glibc's malloc keeps memory of large pictures
    env.setdefault("MALLOC_ARENA_MAX", "1")
    if runtime.python != sys.executable:
        folder = runtime_dir / "package"
        folder.mkdir(exist_ok=True)
        link, package = folder / "ncs_cluster", Path(ncs_cluster.__file__).parent
        if not (link.is_symlink() and link.readlink() == package):
            # an earlier installation's
            link.unlink(missing_ok=True)
            link.symlink_to(package)
        env = {key: value for key, value in env.items() if key not in ("PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")}
        env["PYTHONPATH"] = os.fspath(folder)
    return {**env, **runtime.env}
