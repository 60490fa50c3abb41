"""A program's other processes, and its end: fork, spawn, exit without close, kill -9. Nothing is left, nobody is disturbed."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from ncs_cluster import Cluster
from ncs_cluster.errors import ForkedCluster
from ncs_cluster.testing.daemon import alive, gone
from tests.api.images import PATIENCE_S, SIMULATED, WITHOUT_GRAPH, shown
from tests.tied import TIED

pytestmark = pytest.mark.slow

Images = list[np.ndarray]
Expected = list[list[dict[str, Any]]]

FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
"""Python 3.12 warns of what is tested here."""

PROGRAM = """
import json, os, sys
import numpy
from ncs_cluster import Cluster

cluster = Cluster(backend="simulated", sticks=2, graph="none", settings={"simulated.latency_ms": 5, "simulated.heat": False})
image = numpy.zeros((48, 64, 3), numpy.uint8)
print(json.dumps([cluster._session.pid, cluster._session.folder, len(list(cluster.map([image] * 10)))]), flush=True)
"""


def start(then: str, folder: Path) -> tuple[subprocess.Popen[str], list[psutil.Process], Path]:
    """A program with a Cluster that has worked: the process, all processes of its cluster, the cluster's folder."""
    command = [*TIED, sys.executable, "-W", "error", "-c", PROGRAM + then]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    assert program.stdout is not None
    line = program.stdout.readline()
    try:
        pid, runtime_dir, count = json.loads(line)
    except ValueError:
        pytest.fail(line + rest(program))
    assert count == 10
    host = psutil.Process(pid)
    return program, [host, *host.children(recursive=True)], Path(runtime_dir)


def rest(program: subprocess.Popen[str]) -> str:
    """What it prints until its end. Not by communicate(), which leaves out what a readline() before has read ahead."""
    with program:
        assert program.stdout is not None
        said = program.stdout.read()
        program.wait(PATIENCE_S)
    return said


def until_gone(path: Path) -> bool:
    until_s = time.monotonic() + PATIENCE_S
    while path.exists() and time.monotonic() < until_s:
        time.sleep(0.02)
    return not path.exists()


@pytest.mark.parametrize(
    ("then", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('a bug')", 1),
        ("del cluster", 0),
        ("results = cluster.map([image] * 100); next(results)", 0),
        ("stream = cluster.stream('synthetic'); next(stream)", 0),
        ("import threading; threading.Thread(target=lambda: list(cluster.map([image] * 20))).start()", 0),
    ],
)
def test_a_program_that_ends_without_close_leaves_nothing(then: str, code: int, tmp_path: Path) -> None:
    program, everything, folder = start(then, tmp_path)
    said = rest(program)
    assert program.returncode == code, said
    assert ("a bug" in said) == (code == 1)
    assert code == 1 or not said
    # orderly: when the program has ended, its host has
    assert not alive(everything[0])
    assert gone(everything, PATIENCE_S)
    assert not list(tmp_path.iterdir())
    assert not folder.exists()


FORKED = """
import warnings
warnings.simplefilter("ignore")
pid = os.fork()
if pid == 0:
    import time
    time.sleep(600)
print(pid, flush=True)
sys.stdin.read()
"""


def shared_memory() -> set[str]:
    """Names of shared memory, those of multiprocessing aside, which other tests use at the same time."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith("sem.mp-")}


@pytest.mark.parametrize("then", ["sys.stdin.read()", "list(cluster.map(image for _ in range(10**9)))", FORKED])
def test_a_killed_program_leaves_nothing(then: str, tmp_path: Path) -> None:
    """Also when a process that it has forked goes on."""
    shared = shared_memory()
    program, everything, folder = start(then, tmp_path)
    assert program.stdin is not None
    assert program.stdout is not None
    forked = int(program.stdout.readline()) if then == FORKED else None
    program.kill()
    program.wait()
    try:
        assert gone(everything, PATIENCE_S)
        assert until_gone(folder)
        assert not list(tmp_path.iterdir())
        # other tests have names there for a moment
        left = shared_memory() - shared
        until_s = time.monotonic() + PATIENCE_S
        while left := left & shared_memory():
            assert time.monotonic() < until_s, left
            time.sleep(0.05)
    finally:
        if forked is not None:
            os.kill(forked, signal.SIGKILL)
        program.stdin.close()
        program.stdout.close()


def test_ctrl_c_reaches_the_program_alone(tmp_path: Path) -> None:
    then = """
try:
    print("begins", flush=True)
    list(cluster.map(image for _ in range(10**9)))
except KeyboardInterrupt:
    print(len(list(cluster.map([image] * 7))), flush=True)
"""
    command = [sys.executable, "-c", PROGRAM + then]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True)
    assert program.stdout is not None
    program.stdout.readline()
    program.stdout.readline()
    # as a terminal does: the whole foreground group
    os.killpg(program.pid, signal.SIGINT)
    said = rest(program)
    assert (said.strip(), program.returncode) == ("7", 0)


def _use(cluster: Cluster, image: np.ndarray, answers: Any) -> None:
    """In a forked process."""
    found = []
    calls = [
        lambda: cluster.infer(image),
        lambda: cluster.map([image]),
        lambda: cluster.stream("synthetic"),
        cluster.status,
        cluster.__enter__,
    ]
    for call in calls:
        try:
            call()
        except ForkedCluster as error:
            found.append(str(error))
    cluster.close()
    answers.put(found)


@FORKS
def test_a_forked_process_gets_an_error_and_its_parent_is_unharmed(
    images: Images, expected: Expected, small_graph_folder: Path
) -> None:
    context = multiprocessing.get_context("fork")
    with Cluster(backend="simulated", sticks=2, graph=small_graph_folder, settings=SIMULATED) as cluster:
        results = cluster.map(images)
        assert shown(next(results)) == expected[0]
        answers = context.Queue()
        children = [context.Process(target=_use, args=(cluster, images[0], answers)) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            found = answers.get(timeout=PATIENCE_S)
            assert found == [f"this Cluster belongs to process {os.getpid()}; make one in this process"] * 5
            child.join(PATIENCE_S)
        assert [child.exitcode for child in children] == [0] * 3
        assert [shown(result) for result in results] == expected[1:]
        answers.close()
        answers.join_thread()


@FORKS
def test_a_forked_process_that_lives_on_keeps_no_host_alive() -> None:
    cluster = Cluster(**WITHOUT_GRAPH, sticks=1)
    host = psutil.Process(cluster._session.pid)
    everything = [host, *host.children(recursive=True)]
    pid = os.fork()
    if pid == 0:
        time.sleep(10 * PATIENCE_S)
        os._exit(0)
    try:
        cluster.close()
        assert gone(everything, PATIENCE_S)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


OWN = """
import multiprocessing, sys
import numpy
from ncs_cluster import Cluster

def count(image, answers):
    with Cluster(backend="simulated", sticks=1, graph=sys.argv[3], settings={"simulated.heat": False}) as cluster:
        answers.put((multiprocessing.current_process().name, len(cluster.infer(image).detections)))

if __name__ == "__main__":
    image = numpy.load(sys.argv[2])
    context = multiprocessing.get_context(sys.argv[1])
    answers = context.Queue()
    with Cluster(backend="simulated", sticks=1, graph=sys.argv[3], settings={"simulated.heat": False}) as cluster:
        child = context.Process(target=count, args=(image, answers), name="child")
        child.start()
        mine = len(cluster.infer(image).detections)
        print(*answers.get(timeout=60), mine, flush=True)
        child.join(60)
        print(child.exitcode, len(cluster.infer(image).detections))
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_a_process_makes_a_cluster_of_its_own_beside_its_parents(
    images: Images, expected: Expected, small_graph_folder: Path, tmp_path: Path, method: str
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    np.save(tmp_path / "image.npy", images[0])
    command = [*TIED, sys.executable, str(tmp_path / "own.py"), method, str(tmp_path / "image.npy"), str(small_graph_folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    count = len(expected[0])
    assert (done.stdout, done.stderr) == (f"child {count} {count}\n0 {count}\n", "")


def test_opening_and_closing_leaves_no_descriptor_thread_process_or_folder(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def one() -> tuple[int, int, int, list[str]]:
        with Cluster(**WITHOUT_GRAPH, sticks=2) as cluster:
            assert len(list(cluster.map(images[:9]))) == 9
            next(cluster.stream("synthetic"))
        process = psutil.Process()
        return process.num_fds(), threading.active_count(), len(process.children(recursive=True)), os.listdir(tmp_path)

    # cycles of earlier tests hold descriptors until they are collected
    gc.collect()
    first = one()
    assert one() == first
    assert first[3] == []


def test_a_cluster_that_is_refused_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    gc.collect()
    before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(Exception, match="toaster"):
            Cluster(backend="toaster", graph="demo")
    assert (psutil.Process().num_fds(), list(tmp_path.iterdir())) == (before, [])


def test_a_program_that_does_not_ask_for_cluster_pays_nothing_for_it() -> None:
    """Nor do the processes of a daemon and ncsctl."""
    heavy = "{'numpy', 'msgspec', 'ncs_cluster.api', 'asyncio', 'subprocess'} & set(sys.modules)"
    for module in ("ncs_cluster", "ncs_cluster.processes.child"):
        code = f"import sys, {module}; print(sorted({heavy} - {{'msgspec'}}))"
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == "[]"
    with pytest.raises(ImportError):
        from ncs_cluster import NoSuchName  # type: ignore[attr-defined]  # noqa: F401


def test_the_processes_behind_a_cluster_import_nothing_of_the_programs_side() -> None:
    heavy = "{'numpy', 'asyncio', 'ncs_cluster.api.cluster'} & set(sys.modules)"
    for module in ("ncs_cluster.api.host", "ncs_cluster.api.reading"):
        code = f"import sys, {module}, ncs_cluster.processes.supervisor; print(sorted({heavy}))"
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == "[]"
