"""How children are started: with what environment, by a fork server or without one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import ncs_cluster
from ncs_cluster.core.events import Endpoint
from ncs_cluster.messages import Hello
from ncs_cluster.processes import forking
from ncs_cluster.processes.buffered_channel import BufferedChannel
from ncs_cluster.processes.loop import Loop
from ncs_cluster.processes.process import Process, describe_exit
from ncs_cluster.processes.spawn import Spawner, environment, preloaded, reap_orphans
from ncs_cluster.specs import GraphSpec, RuntimeSpec
from ncs_cluster.testing.daemon import settings, sticks
from ncs_cluster.testing.interpreter import interpreter
from ncs_cluster.types import GraphName

DEADLINE_S = 30.0


def test_another_interpreter_finds_this_package_also_where_an_older_one_has_been(tmp_path: Path) -> None:
    """A runtime directory may outlive an installation."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "ncs_cluster").symlink_to(tmp_path / "gone")
    env = environment(RuntimeSpec("/usr/bin/another", {"FLAG": "1"}), tmp_path)
    assert env["FLAG"] == "1"
    assert Path(env["PYTHONPATH"], "ncs_cluster").resolve() == Path(ncs_cluster.__file__).parent


def test_settings_in_the_environment_do_not_reach_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are secrets, and a child has all it needs from its channel."""
    monkeypatch.setenv("NCS_CLUSTER_TOKEN_FILE", "/somewhere")
    env = environment(RuntimeSpec(sys.executable), tmp_path)
    assert not [name for name in env if name.startswith("NCS_CLUSTER_")]


def test_opencv_gets_one_thread_but_where_somebody_asks_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = "import cv2; print(cv2.getNumThreads())"
    for asked, got in (({}, "1"), ({"OPENCV_FOR_THREADS_NUM": "2"}, "2")):
        env = environment(RuntimeSpec(sys.executable, asked), tmp_path)
        assert subprocess.run([sys.executable, "-c", threads], env=env, stdout=subprocess.PIPE, text=True).stdout.strip() == got


def test_libraries_of_children_start_no_thread_pools_but_where_somebody_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
        assert environment(RuntimeSpec(sys.executable), tmp_path)[name] == "1"
        assert environment(RuntimeSpec(sys.executable, {name: "3"}), tmp_path)[name] == "3"
        monkeypatch.setenv(name, "2")
        assert environment(RuntimeSpec(sys.executable), tmp_path)[name] == "2"


def test_only_what_children_will_need_is_preloaded(tmp_path: Path) -> None:
    graph = GraphSpec(GraphName("demo"), "/demo.xml", "ssd")
    simulated = ["ncs_cluster.processes.worker", "ncs_cluster.backends.simulated"]
    pixels = ["numpy", "cv2", "ncs_cluster.processes.camera"]
    assert preloaded(settings(tmp_path, sticks(2), [])) == simulated
    assert preloaded(settings(tmp_path, sticks(2, preprocess=True), [])) == [*simulated, *pixels]
    assert preloaded(settings(tmp_path, sticks(2), [], graphs=[graph])) == [*simulated, *pixels]


class Supervisor:
    """A spawner and a loop, with all they report."""

    def __init__(self, folder: Path, runtimes: dict[str, RuntimeSpec]) -> None:
        self.loop = Loop()
        self.notes: list[str] = []
        self.hellos: dict[Endpoint, Hello] = {}
        self.failed: dict[Endpoint, str] = {}
        self.ended: dict[Endpoint, str] = {}
        self.processes: dict[Endpoint, Process] = {}
        self.links: list[BufferedChannel] = []
        asked = settings(folder, sticks(2), [], runtimes=runtimes)
        self.spawner = Spawner(asked, self.loop, self._started, self._failed, lambda _level, _origin, text: self.notes.append(text))

    def start(self, name: str, runtime: str = "default") -> Process:
        process = self.processes[Endpoint("worker", name)] = Process(Endpoint("worker", name))
        self.links.append(
            BufferedChannel(process.channel, self.loop, lambda message: self._heard(process.endpoint, message), lambda _: None)
        )
        self.spawner.start(process, runtime)
        return process

    def until(self, holds: Callable[[], object]) -> None:
        until_s = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < until_s, (self.notes, self.failed, self.ended)
            self.loop.turn(0.02)
            self.spawner.tick(time.monotonic(), lambda: {process.pid for process in self.processes.values() if process.pid})

    def says_hello(self, process: Process) -> int:
        """Its parent's process id."""
        # the process may say hello before the fork server tells its id
        self.until(lambda: process.endpoint in self.hellos and process.pid is not None)
        assert self.hellos[process.endpoint].pid == process.pid
        return psutil.Process(process.pid).ppid()

    def fork_server(self) -> int:
        """The process id of a fork server that answers."""
        self.until(lambda: [status.state for status in self.spawner.status({})] == ["running"])
        (pid,) = self.spawner.pids()
        return pid

    def _started(self, process: Process) -> None:
        self.loop.watch(process.pidfd, lambda _ready: self._exited(process))

    def _exited(self, process: Process) -> None:
        self.loop.forget(process.pidfd)
        self.ended[process.endpoint] = describe_exit(process.reap())

    def _failed(self, process: Process, detail: str, *, permanent: bool) -> None:
        self.failed[process.endpoint] = detail

    def _heard(self, endpoint: Endpoint, message: object) -> None:
        if isinstance(message, Hello):
            self.hellos[endpoint] = message

    def end(self) -> None:
        self.spawner.close()
        for process in self.processes.values():
            process.kill()
            if process.pidfd >= 0:
                process.reap()
        for link in self.links:
            link.close()
        self.loop.close()


@pytest.fixture
def runtimes() -> dict[str, RuntimeSpec]:
    return {}


@pytest.fixture
def supervisor(tmp_path: Path, runtimes: dict[str, RuntimeSpec]) -> Iterator[Supervisor]:
    (tmp_path / "run").mkdir()
    # a browser of other tests may live as long as this process
    before = set(psutil.Process().children())
    made = Supervisor(tmp_path, runtimes)
    yield made
    made.end()
    assert not set(psutil.Process().children()) - before, "no process is left"


def test_workers_are_children_of_the_supervisor_and_share_one_fork_server(supervisor: Supervisor) -> None:
    first, second = supervisor.start("sim-1"), supervisor.start("sim-2")
    assert supervisor.says_hello(first) == supervisor.says_hello(second) == os.getpid()
    (server,) = supervisor.spawner.status({})
    assert (server.name, server.state, server.restarts) == ("fork-server default", "running", 0)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGSEGV)
    supervisor.until(lambda: first.endpoint in supervisor.ended)
    assert supervisor.ended == {first.endpoint: "killed by SIGSEGV"}
    assert not supervisor.notes


def test_a_killed_fork_server_is_replaced_and_its_workers_live(supervisor: Supervisor) -> None:
    first = supervisor.start("sim-1")
    supervisor.says_hello(first)
    killed = supervisor.fork_server()
    os.kill(killed, signal.SIGKILL)
    supervisor.until(lambda: supervisor.notes)
    assert supervisor.notes == ["ended (killed by SIGKILL): children are started without it; next try in 1 s"]
    second = supervisor.start("sim-2")
    assert second.pid is not None, "started at once, while there is no fork server"
    supervisor.says_hello(second)
    assert supervisor.fork_server() != killed
    assert supervisor.spawner.status({})[0].restarts == 1
    third = supervisor.start("sim-3")
    assert third.pid is None, "asked of the new fork server"
    supervisor.says_hello(third)
    assert not supervisor.ended


def test_what_a_killed_fork_server_has_not_answered_is_started_without_it(supervisor: Supervisor) -> None:
    supervisor.says_hello(supervisor.start("sim-1"))
    server = supervisor.fork_server()
    os.kill(server, signal.SIGSTOP)
    waiting = [supervisor.start(f"sim-{number}") for number in range(2, 6)]
    assert [process.pid for process in waiting] == [None] * 4
    os.kill(server, signal.SIGKILL)
    for process in waiting:
        supervisor.says_hello(process)
    assert not supervisor.failed


def test_a_fork_server_that_does_not_answer_is_killed(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "ANSWER_S", 0.2)
    supervisor.says_hello(supervisor.start("sim-1"))
    os.kill(supervisor.fork_server(), signal.SIGSTOP)
    supervisor.says_hello(supervisor.start("sim-2"))
    assert supervisor.notes[0].startswith("killed: no answer for 0")
    assert supervisor.notes[1].startswith("ended (killed by SIGKILL)")


def test_a_worker_killed_before_it_was_forked_ends_and_is_reaped(supervisor: Supervisor) -> None:
    process = supervisor.start("sim-1")
    process.kill()
    supervisor.until(lambda: process.endpoint in supervisor.ended)
    assert supervisor.ended[process.endpoint] == "killed by SIGKILL"


def test_fork_servers_that_die_again_and_again_are_tried_ever_later(supervisor: Supervisor) -> None:
    supervisor.start("sim-1")
    for deaths in (1, 2):
        os.kill(supervisor.fork_server(), signal.SIGKILL)
        supervisor.until(lambda deaths=deaths: len(supervisor.notes) == deaths)
    assert [note.rpartition("next try in ")[2] for note in supervisor.notes] == ["1 s", "2 s"]


@pytest.mark.parametrize("runtimes", [{"missing": RuntimeSpec("/no/such/python")}])
def test_an_interpreter_that_is_not_there_is_named(supervisor: Supervisor) -> None:
    process = supervisor.start("sim-1", "missing")
    assert supervisor.failed[process.endpoint].startswith("runtime 'missing' cannot be started: ")
    assert "/no/such/python" in supervisor.failed[process.endpoint]


def test_another_interpreter_has_no_fork_server(tmp_path: Path, supervisor: Supervisor) -> None:
    """Its workers load a vendor's library, which no two of them share."""
    foreign = interpreter(tmp_path / "foreign", "from ncs_cluster.processes import worker; worker.main()")
    supervisor.spawner._runtimes["foreign"] = foreign
    supervisor.says_hello(supervisor.start("sim-1", "foreign"))
    assert not supervisor.spawner.pids()


def test_an_orphan_that_a_child_has_left_behind_is_reaped(supervisor: Supervisor) -> None:
    """As the supervisor is the subreaper, such processes come to it."""
    leave = "import os, time\nif os.fork() == 0: print(os.getpid(), flush=True); time.sleep(0.2)"
    said = subprocess.run([sys.executable, "-c", leave], stdout=subprocess.PIPE, text=True, check=True).stdout
    orphan = psutil.Process(int(said))
    supervisor.until(lambda: not orphan.is_running())


def test_a_child_whose_end_is_awaited_elsewhere_is_not_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    reap_orphans(lambda: {child.pid})
    assert child.wait() == 7
