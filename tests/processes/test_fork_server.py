"""A real fork server, spoken to as the supervisor speaks to it. This process is the subreaper its workers come to."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from ncs_cluster.ipc.channel import Channel, pair
from ncs_cluster.messages import (
    Fork,
    Forked,
    ForkFailed,
    FromCamera,
    FromForkServer,
    FromWorker,
    Hello,
    Infer,
    Inferred,
    OpenSource,
    OpenStick,
    SourceOpened,
    StickOpened,
    Stop,
)
from ncs_cluster.processes.process import describe_exit
from ncs_cluster.specs import CameraSpec, StickSpec
from ncs_cluster.testing.children import Child, running
from ncs_cluster.testing.daemon import gone
from ncs_cluster.types import CameraName, FrameRef, StickId

PR_SET_CHILD_SUBREAPER = 36
OPEN = OpenStick(StickSpec(StickId("sim-1"), "sim", "simulated", {"latency_ms": 1.0}), [])


@pytest.fixture(autouse=True)
def subreaper() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


@contextmanager
def fork_server(*preload: str, env: Mapping[str, str] | None = None) -> Iterator[Child]:
    module, options = "ncs_cluster.processes.fork_server", ["--preload", ",".join(preload)]
    with running(module, FromForkServer, options=options, env={**os.environ, **(env or {})}) as server:
        server.expect(Hello)
        yield server


class Worker:
    """One that was asked for, reaped when the test ends."""

    def __init__(self, server: Child, ticket: int = 1) -> None:
        ours, theirs = pair()
        with theirs:
            server.send(Fork(ticket, "worker", "worker sim-1"), theirs.fileno())
        forked = server.expect(Forked)
        assert forked.ticket == ticket
        self.pid = forked.pid
        self.channel: Channel[object] = Channel(ours, FromWorker)

    def expect(self, kind: type) -> object:
        self.channel.sock.settimeout(60)
        while True:
            received = self.channel.receive()
            assert received is not None
            if isinstance(received.message, kind):
                return received.message

    def end(self) -> str:
        """Wait for its end, and say how it ended."""
        _, status = os.waitpid(self.pid, 0)
        self.channel.close()
        return describe_exit(os.waitstatus_to_exitcode(status))


def test_a_forked_worker_is_a_child_of_the_subreaper_and_works_as_any_other() -> None:
    with fork_server() as server:
        worker = Worker(server)
        hello = worker.expect(Hello)
        assert isinstance(hello, Hello)
        assert hello.pid == worker.pid
        process = psutil.Process(worker.pid)
        assert process.ppid() == os.getpid()
        assert process.name() == "ncs-worker"
        assert process.cmdline()[1:5] == ["-m", "ncs_cluster.processes.worker", "--name", "worker sim-1"]
        worker.channel.send(OPEN)
        worker.expect(StickOpened)
        worker.channel.send(Infer(7, 0, FrameRef(CameraName("cam"), 1, 0, 1, 64, 48)))
        answer = worker.expect(Inferred)
        assert isinstance(answer, Inferred)
        assert answer.ticket == 7
        worker.channel.send(Stop())
        assert worker.end() == "exit code 0"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_what_killed_a_forked_worker_is_known(number: signal.Signals) -> None:
    with fork_server() as server:
        worker = Worker(server)
        worker.expect(Hello)
        os.kill(worker.pid, number)
        assert worker.end() == f"killed by {number.name}"


def test_signals_of_a_terminal_end_neither_fork_server_nor_worker() -> None:
    with fork_server() as server:
        worker = Worker(server)
        worker.expect(Hello)
        for pid in (server.process.pid, worker.pid):
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        second = Worker(server, 2)
        worker.channel.send(OPEN)
        worker.expect(StickOpened)
        for each in (worker, second):
            each.channel.close()
            assert each.end() == "exit code 1"


def test_a_forked_worker_logs_under_its_own_name(capfd: pytest.CaptureFixture[str]) -> None:
    """Its first message is a wrong one, and nobody reads what it says about that: so it logs it."""
    with fork_server() as server:
        worker = Worker(server)
        worker.expect(Hello)
        worker.channel.sock.shutdown(socket.SHUT_RD)
        worker.channel.send(Infer(1, 0, FrameRef(CameraName("cam"), 1, 0, 1, 64, 48)))
        assert worker.end() == "exit code 1"
        assert capfd.readouterr().err.rstrip().endswith(" worker sim-1: the first message must be OpenStick, not Infer")


def test_workers_outlive_their_fork_server() -> None:
    with fork_server() as server:
        worker = Worker(server)
        worker.expect(Hello)
        server.process.kill()
        server.process.wait()
        worker.channel.send(OPEN)
        worker.expect(StickOpened)
        worker.channel.send(Stop())
        assert worker.end() == "exit code 0"


def test_a_worker_holds_only_its_own_channel() -> None:
    """Else a fork server, or another worker, would be kept waiting for the end of a process that has ended."""
    with fork_server() as server:
        workers = [Worker(server, ticket) for ticket in range(1, 4)]
        for worker in workers:
            worker.expect(Hello)
        held = [
            [os.readlink(fd) for fd in Path(f"/proc/{worker.pid}/fd").iterdir() if os.readlink(fd).startswith("socket:")]
            for worker in workers
        ]
        assert [len(each) for each in held] == [1, 1, 1]
        assert len({link for each in held for link in each}) == 3
        for worker in workers:
            worker.channel.close()
            worker.end()


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_fork_server_has_no_thread_and_no_vendor_library(threads: str) -> None:
    """Neither survives a fork. Where numpy's OpenBLAS is asked for threads, numpy is left to the workers."""
    env = {"OPENBLAS_NUM_THREADS": threads}
    with fork_server("ncs_cluster.backends.simulated", "ncs_cluster.backends.openvino", "numpy", "cv2", env=env) as server:
        process = psutil.Process(server.process.pid)
        assert process.num_threads() == 1
        libraries = {Path(mapped.path).name for mapped in process.memory_maps()}
        assert any(library.startswith("cv2") for library in libraries) == (threads == "1")
        assert not [library for library in libraries if "openvino" in library]
        worker = Worker(server)
        worker.expect(Hello)
        worker.channel.send(Stop())
        assert worker.end() == "exit code 0"


def test_a_module_that_cannot_be_imported_is_left_to_the_worker() -> None:
    with fork_server("no_such_module") as server:
        worker = Worker(server)
        worker.expect(Hello)
        worker.channel.close()
        assert worker.end() == "exit code 1"


def test_a_camera_is_forked_too() -> None:
    with fork_server() as server:
        ours, theirs = pair()
        with theirs:
            server.send(Fork(1, "camera", "camera cam0"), theirs.fileno())
        pid = server.expect(Forked).pid
        camera: Channel[Any] = Channel(ours, FromCamera)
        hello = camera.receive()
        assert hello is not None
        assert hello.message.pid == pid
        assert psutil.Process(pid).name() == "ncs-camera"
        camera.send(OpenSource(CameraSpec(CameraName("cam0"), "synthetic", {"width": 64, "height": 48}, "synthetic")))
        opened = camera.receive()
        assert opened is not None
        assert isinstance(opened.message, SourceOpened)
        camera.send(Stop())
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        camera.close()


def test_nothing_else_is_forked() -> None:
    with fork_server() as server:
        ours, theirs = pair()
        with ours, theirs:
            server.send(Fork(7, "supervisor", "supervisor"), theirs.fileno())
            assert server.expect(ForkFailed) == ForkFailed(7, "unknown kind of child: supervisor")


def test_it_ends_when_the_supervisor_closes_its_channel() -> None:
    with fork_server() as server:
        server.channel.close()
        assert server.process.wait(60) == 0


SUPERVISOR = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(36, 1)
from ncs_cluster.messages import *
from ncs_cluster.ipc.channel import pair
from ncs_cluster.testing.children import start_child
server = start_child("ncs_cluster.processes.fork_server", FromForkServer)
server.expect(Hello)
ours, theirs = pair()
server.send(Fork(1, "worker", "worker"), theirs.fileno())
print(server.process.pid, server.expect(Forked).pid, flush=True)
# the worker's end stays open: nothing but PR_SET_PDEATHSIG tells it
time.sleep(600)
"""


def test_fork_server_and_workers_die_with_the_supervisor() -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    tree = [psutil.Process(int(pid)) for pid in supervisor.stdout.readline().split()]
    assert len(tree) == 2
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    assert gone(tree, 2.0)
