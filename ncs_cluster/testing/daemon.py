"""A real daemon for tests and benchmarks: its own runtime directory, its log in a file, asked over its control socket.

    with running(settings(tmp_path, sticks(4), [synthetic()])) as daemon:
        daemon.until(lambda status: status["daemon"]["state"] == "ok", "is well")

It is started with ready-made settings (`python -m ncs_cluster.testing.daemon FILE`), so a test says exactly what it means.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
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

START_S = 60.0
"""A slow machine, busy with other tests, imports for long."""
POLL_S = 0.02
PR_SET_PDEATHSIG = 1

Status = dict[str, Any]


def sticks(count: int, runtime: str = "default", first: int = 1, **options: Any) -> list[StickSpec]:
    """Simulated sticks sim-1, sim-2 ... with these fields of the backend's Options."""
    options = {"latency_ms": 20.0, **options}
    return [
        StickSpec(StickId(f"sim-{number}"), f"simulated port {number}", SIMULATED, options, runtime, simulated=True)
        for number in range(first, first + count)
    ]


def synthetic(name: str = "cam0", *, ordered: bool = False, **options: Any) -> CameraSpec:
    """A synthetic camera; small, because most tests look at frames' ways and not at their pixels."""
    options = {"width": 64, "height": 48, **options}
    return CameraSpec(CameraName(name), "synthetic", options, "synthetic", ordered=ordered)


def settings(
    folder: Path, pool: list[StickSpec], cameras: list[CameraSpec], clusters: ClusterSpec | None = None, **more: Any
) -> Settings:
    """Settings with runtime and state directory below `folder`; `results`: the file they go to; the rest are Settings' fields."""
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
    """Of all that this process has started; a failed test shows them."""

    def __init__(self, asked: Settings, env: Mapping[str, str] | None = None) -> None:
        self.runtime_dir = Path(asked.runtime_dir)
        self.runtime_dir.parent.mkdir(parents=True, exist_ok=True)
        self.log = self.runtime_dir.with_suffix(".log")
        self.logs.append(self.log)
        file = self.runtime_dir.with_suffix(".settings")
        file.write_bytes(msgspec.msgpack.encode(asked))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ncs_cluster.testing.daemon", os.fspath(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def client(self, timeout_s: float = 10.0) -> Client:
        return Client(self.runtime_dir, timeout_s=timeout_s)

    def status(self) -> Status:
        """The status document, as JSON shows it."""
        with self.client() as client:
            return client.status_document()

    def events(self) -> list[dict[str, Any]]:
        with self.client() as client:
            return [msgspec.to_builtins(event) for event in client.events()]

    def story(self, who: str) -> list[str]:
        """The texts of all events about one."""
        return [event["text"] for event in self.events() if event["who"] == who]

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
        until_s = time.monotonic() + timeout_s
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
            time.sleep(POLL_S)

    def well(self, timeout_s: float = START_S) -> Status:
        """Wait until all is well: "ok", every stick there, every process running, and results come."""
        seen: dict[str, int] = {}

        def holds(status: Status) -> bool:
            calm = status["daemon"]["state"] == "ok" and all(process["state"] == "running" for process in status["processes"])
            at_hand = all(stick["state"] in ("active", "standby", "resting") for stick in status["sticks"])
            if not (calm and at_hand):
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
        """The daemon and all below it."""
        root = psutil.Process(self.pid)
        return [root, *root.children(recursive=True)]

    def wait(self, timeout_s: float) -> int:
        """Its exit code. Raises TimeoutError with the log's end."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running after {timeout_s:g} s\n{self.log_end()}") from None

    def stop(self, timeout_s: float = 20.0) -> int:
        """SIGTERM, and wait. Returns the exit code."""
        self.process.terminate()
        return self.wait(timeout_s)

    def log_end(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def running(asked: Settings, env: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon that listens; whatever is left of it is killed when the block is left."""
    daemon = Daemon(asked, env)
    try:
        daemon.listens()
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait()


def alive(process: psutil.Process) -> bool:
    """False once it has ended, also while it is not reaped; a process id used again is another process."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        # it ended between the two questions
        return False


def gone(processes: list[psutil.Process], timeout_s: float) -> bool:
    """True when all of these have ended within the time."""
    until_s = time.monotonic() + timeout_s
    while any(map(alive, processes)):
        if time.monotonic() > until_s:
            return False
        time.sleep(0.005)
    return True


def read_results(path: Path) -> list[dict[str, Any]]:
    """Every record of a --results file. Raises ValueError on a line that is no record."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> int:
    """The process: as ncs-clusterd after its configuration was read. It never outlives the test that started it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    from ncs_cluster.processes.supervisor import run

    def settings() -> Settings:
        return msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Settings)

    try:
        code: int = run(settings(), reload=settings)
        return code
    except ConfigError as error:
        print(f"ncs-clusterd: {error}", file=sys.stderr)
        return EX_CONFIG


if __name__ == "__main__":
    sys.exit(main())
