"""Fixtures for all tests, the order they run in, and what is shown of a daemon when one of them fails."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.testing.daemon import Daemon, alive, gone
from tests import schedule, small_graph
from tests.made_once import made_once

pytest_plugins = ["tests.hypothesis_profiles", "tests.oracle.runtime", "tests.emulator.emulated", "tests.aarch64.runtime"]

# importing numpy takes twice the time where OpenBLAS starts its threads, and hundreds of processes import it
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# as the daemon's children: threads of OpenCV would not survive the forks of tests
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
# a shell that runs the tests in its background has them ignore Ctrl-C, and what they start would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parent.parent
LOG_LINES = 60
LEFT_S = 20.0
PR_SET_CHILD_SUBREAPER = 36
BEGAN = pytest.StashKey[float]()
"""When the set-up of a test began, unix s."""


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with real models and media; tests that need it skip elsewhere."""
    folder = Path(os.environ.get("NCS_CLUSTER_TEST_DATA", ROOT.parent / "shared"))
    if not (folder / "media").is_dir():
        pytest.skip(f"no test data in {folder}: set NCS_CLUSTER_TEST_DATA to the folder that holds models/ and media/")
    return folder


@pytest.fixture(scope="session")
def small_graph_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the graph "small", see small_graph."""
    return made_once(tmp_path_factory, "small", small_graph.write)


@pytest.fixture(scope="module")
def small_graph_by_name(small_graph_folder: Path) -> Iterator[None]:
    """Commands that these tests start know it as `--graph small`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NCS_CLUSTER_GRAPHS__SMALL__PATH", str(small_graph_folder))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Fails the last test of a process of the run whose tests leave a child or an orphan behind."""
    # orphans become children of this process: prctl(2)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    yield
    left = psutil.Process().children(recursive=True)
    if not gone(left, LEFT_S):
        pytest.fail(f"these processes outlive the tests that started them: {list(filter(alive, left))}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return schedule.processes(waiting=config.option.numprocesses == "auto")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> schedule.Schedule:
    config.option.loadscopereorder = False
    return schedule.Schedule(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, None, None]:
    """Marks what `-m` chooses by. The longest scopes start first, then what holds slow tests: none runs alone at the end."""
    for item in items:
        if item.nodeid.startswith(schedule.ONCE):
            item.add_marker(pytest.mark.once)
        if item.nodeid.startswith(schedule.THOROUGH):
            item.add_marker(pytest.mark.thorough)
    yield
    slow = {schedule.scope(item.nodeid) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: schedule.turn(item.nodeid, slow))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Hardly anything that collection makes is garbage, and looking for it takes a fifth of the time of each process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What 6,000 collected tests consist of is never garbage; to look it over takes 0.2 s, whenever a test counts descriptors."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of each log that a daemon or an emulated bus wrote while it ran."""
    report = yield
    began = item.stash.setdefault(BEGAN, call.start)
    if report.failed:
        for log in [*Daemon.logs, *Emulator.logs]:
            if log.exists() and log.stat().st_mtime >= began:
                end = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
                report.sections.append((f"end of {log}", "\n".join(end)))
    return report
