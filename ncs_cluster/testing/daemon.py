"""A real daemon for tests and benchmarks, with its own runtime directory and log file, queried over its control socket.

    with running(settings(tmp_path, sticks(4), [synthetic()])) as daemon:
        daemon.until(lambda status: status["daemon"]["state"] == "ok", "is well")

It starts with given settings (`python -m ncs_cluster.testing.daemon FILE`) and reads no configuration.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import psutil

from ncs_cluster.backends import SIMULATED
from ncs_cluster.client import Client
from ncs_cluster.errors import EX_CONFIG, ConfigError, NotRunning
from ncs_cluster.specs import CameraSpec, ClusterSpec, PoolSpec, RuntimeSpec, Settings, SinkSpec, StickSpec
from ncs_cluster.types import CameraName, StickId

START_S = 120.0
"""Generous: a slow machine that runs other tests imports slowly."""
POLL_S = 0.02
LONGEST_POLL_S = 0.05
"""Of a wait that takes longer: each status costs 1 ms of processor time, most of it the daemon's that is waited for."""
PR_SET_PDEATHSIG = 1

Status = dict[str, Any]


def sticks(count: int, runtime: str = "default", first: int = 1, **options: Any) -> list[StickSpec]:
    """Simulated sticks sim-1, sim-2 ...; `options`: fields of the backend's Options."""
    options = {"latency_ms": 20.0, **options}
    return [
        StickSpec(StickId(f"sim-{number}"), f"simulated port {number}", SIMULATED, options, runtime, simulated=True)
        for number in range(first, first + count)
    ]


def synthetic(name: str = "cam0", *, ordered: bool = False, **options: Any) -> CameraSpec:
    """A synthetic camera of 64x48 pixels, since most tests follow frames and ignore pixels."""
    options = {"width": 64, "height": 48, **options}
    return CameraSpec(CameraName(name), "synthetic", options, "synthetic", ordered=ordered)


def settings(
    folder: Path, pool: list[StickSpec], cameras: list[CameraSpec], clusters: ClusterSpec | None = None, **more: Any
) -> Settings:
    """Settings with runtime and state directory below `folder`. `results`: the file of results; other arguments: fields of
    Settings."""
    results = more.pop("results", None)
    if results is not None:
        more["sinks"] = [SinkSpec("jsonl", {"path": os.fspath(results)}, os.fspath(results))]
    runtimes: dict[str, RuntimeSpec] = more.pop("runtimes", {})
    more.setdefault("graphs", [])
    return Settings(
        pools=[PoolSpec(clusters or ClusterSpec(), pool)],
        cameras=cameras,
        runtimes=runtimes,
        runtime_dir=os.fspath(folder / "run"),
        state_dir=os.fspath(folder / "state"),
        **more,
    )


class Daemon:
    """A started daemon."""

    logs: ClassVar[list[Path]] = []
    """The logs of all daemons that this process has started; a failed test prints their ends."""

    def __init__(self, given: Settings, env: Mapping[str, str] | None = None, before: Sequence[str] = ()) -> None:
        self.runtime_dir = Path(given.runtime_dir)
        self.runtime_dir.parent.mkdir(parents=True, exist_ok=True)
        self.log = self.runtime_dir.with_suffix(".log")
        self.logs.append(self.log)
        file = self.runtime_dir.with_suffix(".settings")
        file.write_bytes(msgspec.msgpack.encode(given))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "ncs_cluster.testing.daemon", os.fspath(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def client(self, timeout_s: float = START_S) -> Client:
        return Client(self.runtime_dir, timeout_s=timeout_s)

    def status(self) -> Status:
        """The status document as in JSON."""
        with self.client() as client:
            return client.status_document()

    def events(self) -> list[dict[str, Any]]:
        with self.client() as client:
            return [msgspec.to_builtins(event) for event in client.events()]

    def story(self, origin: str) -> list[str]:
        """The texts of all events of one origin."""
        return [event["text"] for event in self.events() if event["who"] == origin]

    def listens(self, timeout_s: float = START_S) -> None:
        """Wait for the control socket. Raises TimeoutError with the log's end."""
        until_s = time.monotonic() + timeout_s
        while True:
            try:
                self.client().close()
                return
            except NotRunning as error:
                if self.process.poll() is not None or time.monotonic() > until_s:
                    raise TimeoutError(f"{error}\n{self.log_end()}") from error
                time.sleep(POLL_S)

    def until(self, holds: Callable[[Status], object], what: str, timeout_s: float = START_S) -> Status:
        """The first status for which `holds`. Raises TimeoutError naming `what`, with the last status and the log's end."""
        began_s = time.monotonic()
        until_s = began_s + timeout_s
        status: Status = {}
        while True:
            try:
                status = self.status()
            except NotRunning:
                if self.process.poll() is not None:
                    raise TimeoutError(f"ended with {self.process.returncode} before it {what}\n{self.log_end()}") from None
            else:
                if holds(status):
                    return status
            if time.monotonic() > until_s:
                raise TimeoutError(f"not in {timeout_s:g} s: {what}\n{json.dumps(status, indent=1)}\n{self.log_end()}")
            time.sleep(min(LONGEST_POLL_S, POLL_S + (time.monotonic() - began_s) / 20))

    def well(self, timeout_s: float = START_S) -> Status:
        """Wait until the state is "ok", every stick and process runs, and every camera has new results."""
        seen: dict[str, int] = {}

        def holds(status: Status) -> bool:
            running = status["daemon"]["state"] == "ok" and all(process["state"] == "running" for process in status["processes"])
            open_ = all(stick["state"] in ("active", "standby", "resting") for stick in status["sticks"])
            if not (running and open_):
                seen.clear()
                return False
            results = {camera["name"]: camera["results"] for camera in status["cameras"]}
            if not seen:
                seen.update(results)
            return all(results[name] > before for name, before in seen.items())

        return self.until(holds, "is well", timeout_s)

    def child(self, name: str) -> int:
        """Process id of "worker sim-1", "camera cam0", "sink", "gateway"."""
        pid: int = next(process["pid"] for process in self.status()["processes"] if process["name"] == name)
        return pid

    def tree(self) -> list[psutil.Process]:
        """The daemon and all its descendants."""
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]

    def wait(self, timeout_s: float) -> int:
        """Wait for its exit code. Raises TimeoutError with the log's end."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running after {timeout_s:g} s\n{self.log_end()}") from None

    def stop(self, timeout_s: float = START_S) -> int:
        """Send SIGTERM and wait. Returns the exit code."""
        self.process.terminate()
        return self.wait(timeout_s)

    def log_end(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def running(given: Settings, env: Mapping[str, str] | None = None, before: Sequence[str] = ()) -> Iterator[Daemon]:
    """A daemon that listens; it is killed when the block is left. `before`: words of a command that becomes the daemon's process,
    such as one that enters a namespace."""
    daemon = Daemon(given, env, before)
    try:
        daemon.listens()
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait()


def alive(process: psutil.Process) -> bool:
    """False once the process has ended, also while it is not reaped; a reused process id is another process."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        # it ended between the two calls
        return False


def gone(processes: list[psutil.Process], timeout_s: float) -> bool:
    """Whether all processes end within `timeout_s`, in which this one runs."""
    left_s = timeout_s
    while any(map(alive, processes)):
        if left_s <= 0:
            return False
        began_s = time.monotonic()
        time.sleep(POLL_S)
        # where the machine stands still for a while, it does so for these processes too
        left_s -= min(time.monotonic() - began_s, 2 * POLL_S)
    return True


def read_results(path: Path) -> list[dict[str, Any]]:
    """Every record of a --results file. Raises ValueError for a line that is not JSON."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def results_so_far(path: Path) -> list[dict[str, Any]]:
    """Every whole record of a --results file that is being written; none while the file is not there."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def main() -> int:
    """The process: ncs-clusterd after its configuration was read. It is killed with the test process."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    from ncs_cluster.processes.supervisor import run

    def settings() -> Settings:
        return msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Settings)

    try:
        code: int = run(settings(), reload=settings, keep_jobs=True)
        return code
    except ConfigError as error:
        print(f"ncs-clusterd: {error}", file=sys.stderr)
        return EX_CONFIG


if __name__ == "__main__":
    sys.exit(main())
