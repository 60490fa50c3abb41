"""Processes of a cluster that are killed: results come later and are the same; without the host every waiting call ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from ncs_cluster import Cluster
from ncs_cluster.api import feed
from ncs_cluster.errors import ClusterClosed, NcsClusterError
from ncs_cluster.testing.daemon import gone
from tests.api.images import PATIENCE_S, SIMULATED, WITHOUT_GRAPH, shown

pytestmark = pytest.mark.slow

Images = list[np.ndarray]
Expected = list[list[dict[str, Any]]]


def processes(cluster: Cluster) -> list[psutil.Process]:
    """The host and all below it."""
    host = psutil.Process(cluster._session.pid)
    return [host, *host.children(recursive=True)]


def child(cluster: Cluster, name: str) -> int:
    """Waits for it where it is being started again."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        found = [each.pid for each in cluster.status().processes if each.name == name and each.state == "running"]
        if found and found[0] is not None:
            return found[0]
        assert time.monotonic() < until_s, f"{name} does not run"
        time.sleep(0.05)


def kill(cluster: Cluster, name: str) -> None:
    """A status may still name the process before."""
    until_s = time.monotonic() + 60
    while True:
        try:
            os.kill(child(cluster, name), signal.SIGKILL)
            return
        except ProcessLookupError:
            assert time.monotonic() < until_s, f"{name} does not run"
            time.sleep(0.05)


@pytest.mark.parametrize("name", ["camera feed", "worker sim-1", "sink", "fork-server default"])
def test_a_killed_process_changes_no_result(name: str, images: Images, expected: Expected, small_graph_folder: Path) -> None:
    """Killed three times while images of growing and shrinking sizes are under way."""
    settings = {**SIMULATED, "simulated.latency_ms": 15}
    with Cluster(backend="simulated", sticks=2, graph=small_graph_folder, settings=settings) as cluster:
        found = []
        for result in cluster.map(images * 2):
            found.append(shown(result))
            if len(found) in (7, 25, 45):
                kill(cluster, name)
        assert found == expected * 2
        counters = cluster.status().counters
        assert (counters.frames_lost, counters.frames_doubled, counters.out_of_order) == (0, 0, 0)


def test_random_kills_change_no_result(images: Images, expected: Expected, small_graph_folder: Path) -> None:
    rng = np.random.default_rng(7)
    names = ["camera feed", "worker sim-1", "worker sim-2", "sink"]
    settings = {**SIMULATED, "simulated.latency_ms": 10}
    with Cluster(backend="simulated", sticks=2, graph=small_graph_folder, settings=settings) as cluster:
        found = []
        for result in cluster.map(images * 5):
            found.append(shown(result))
            if len(found) % 25 == 5:
                kill(cluster, names[rng.integers(len(names))])
        assert found == expected * 5


def test_without_its_host_every_waiting_call_ends_and_nothing_is_left(images: Images) -> None:
    cluster = Cluster(**{**WITHOUT_GRAPH, "settings": {"simulated.latency_ms": 60_000}}, sticks=1)
    errors: list[BaseException] = []

    def caught(results: Iterator[Any]) -> None:
        try:
            list(results)
        except NcsClusterError as error:
            errors.append(error)

    calls = [
        cluster.map(images),
        (cluster.infer(each) for each in images[:1]),
        cluster.stream("synthetic"),
    ]
    threads = [threading.Thread(target=caught, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    until_s = time.monotonic() + PATIENCE_S
    while "stream-1" not in [camera.name for camera in cluster.status().cameras if camera.frames]:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    everything = processes(cluster)
    os.kill(cluster._session.pid, signal.SIGKILL)
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert [type(error) for error in errors] == [ClusterClosed] * 3
    assert all("was killed by signal 9" in str(error) for error in errors)
    for call in (lambda: cluster.infer(images[0]), lambda: list(cluster.map(images)), cluster.status):
        with pytest.raises(ClusterClosed):
            call()
    cluster.close()
    assert gone(everything, PATIENCE_S)
    assert not os.path.exists(cluster._session.folder)


def test_closing_ends_waiting_calls_of_other_threads(images: Images) -> None:
    cluster = Cluster(**{**WITHOUT_GRAPH, "settings": {"simulated.latency_ms": 60_000}}, sticks=1)
    errors: list[BaseException] = []

    def infer() -> None:
        try:
            cluster.infer(images[0])
        except NcsClusterError as error:
            errors.append(error)

    threads = [threading.Thread(target=infer) for _ in range(20)]
    for thread in threads:
        thread.start()
    closers = [threading.Thread(target=cluster.close) for _ in range(2)]
    for thread in closers:
        thread.start()
    for thread in [*threads, *closers]:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert [type(error) for error in errors] == [ClusterClosed] * 20


def test_a_defect_in_the_receiving_thread_ends_every_waiting_call(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    with Cluster(**WITHOUT_GRAPH, sticks=1) as cluster:
        monkeypatch.setattr(feed, "result_of", broken)
        for _ in range(2):
            with pytest.raises(ClusterClosed, match="has failed: ZeroDivisionError: a defect"):
                list(cluster.map(images))


def test_a_host_that_dies_while_it_starts_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from ncs_cluster.api import session
    from ncs_cluster.api.hosting import Hosting

    class Killed(Hosting):
        def send(self, settings: Any) -> None:
            os.kill(self.pid, signal.SIGKILL)
            super().send(settings)

    monkeypatch.setattr(session, "Hosting", Killed)
    with pytest.raises(ClusterClosed, match="was killed by signal 9"):
        Cluster(**WITHOUT_GRAPH, sticks=1)
