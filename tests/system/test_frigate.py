"""A real daemon behind Frigate's detector: start order, restarts, and an answer to each frame meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from msgspec import structs
from numpy.typing import NDArray

from ncs_cluster.specs import GraphSpec, IntakeSpec, Settings
from ncs_cluster.testing.daemon import Daemon, gone, settings, sticks
from ncs_cluster.types import GraphName
from tests.frigate_plugin import Detector, Plain, closed, need_plugin
from tests.needs import need_module

zmq = need_module("zmq")

NAMES = {3: "quarter 1", 0: "quarter 2", 11: "quarter 3", 90: "quarter 4"}
"""A labelmap whose ids are not those of the graph."""
COLOUR = (250, 100, 51)
"""Red, green and blue of every pixel."""
ROW = [0.5 + 51 / 510, 250 / 510, 100 / 510, 0.875, 0.75]
"""Score, top, left, bottom and right, as tests/small_graph.py computes them."""
WAIT_S = 60.0


def served(folder: Path, graph_folder: Path, **options: Any) -> Settings:
    """Two simulated sticks that infer the small graph, behind a detector at a socket file."""
    graph = GraphSpec(
        GraphName("small"),
        str(graph_folder / "small.xml"),
        "ssd",
        {1: "quarter 1", 2: "quarter 2", 3: "quarter 3", 4: "quarter 4"},
        threshold=0.4,
    )
    spec = {
        "endpoint": f"ipc://{folder}/detector",
        "labelmap": NAMES,
        "socket": str(folder / "run" / "frigate.sock"),
        "keep_s": 30.0,
        **options,
    }
    made = settings(folder, sticks(2, latency_ms=5.0), [], graphs=[graph])
    return structs.replace(made, intakes=[IntakeSpec("frigate", spec, spec["endpoint"])])


def coloured() -> NDArray[np.uint8]:
    return np.full((1, 8, 8, 3), COLOUR, np.uint8)


def right(rows: NDArray[np.float32]) -> bool:
    """Whether the answer is that of the graph; zeros are the other answer that may come."""
    assert rows.shape == (20, 6)
    if not rows.any():
        return False
    assert sorted(rows[:4, 0].tolist()) == sorted(NAMES)
    np.testing.assert_allclose(rows[:4, 1:], [ROW] * 4, atol=2e-3)
    assert not rows[4:].any()
    return True


def until_right(detector: Detector) -> int:
    """Send frames until the graph answers. Returns how many got zeros before."""
    zeros, until_s = 0, time.monotonic() + WAIT_S
    while not right(detector.detect_raw(coloured())):
        zeros += 1
        assert time.monotonic() < until_s, "no frame was answered by the graph"
        time.sleep(0.01)
    return zeros


def knows(status: Any, name: str) -> bool:
    """Whether it is the one client of the detector. A handshake that waits is told without a graph."""
    return [client["name"] for client in status["intakes"][0]["clients"]] == [name]


@contextmanager
def running(given: Settings) -> Iterator[Daemon]:
    daemon = Daemon(given)
    try:
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait()


@contextmanager
def no_resident_left(place: Path) -> Iterator[None]:
    """Ends what still waits there for a daemon."""
    yield
    left = [each for each in psutil.Process().children(recursive=True) if str(place) in " ".join(_words(each))]
    for each in left:
        each.kill()
    assert gone(left, WAIT_S)


def _words(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return words


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("kind", ["as the plugin", "Frigate's plugin"])
def test_frigate_detects_again_after_every_restart(tmp_path: Path, small_graph_folder: Path, kind: str) -> None:
    made = Plain if kind == "as the plugin" else need_plugin()
    given = served(tmp_path, small_graph_folder)
    endpoint, detectors = given.intakes[0].shown, []
    # Frigate is there first: it asks once, and waits 30 s
    frigate = threading.Thread(target=lambda: detectors.append(made(endpoint, "small")))
    with no_resident_left(tmp_path / "run" / "frigate.sock"):
        frigate.start()
        with running(given) as daemon:
            frigate.join(WAIT_S)
            (detector,) = detectors
            until_right(detector)
            resident = daemon.child("intake frigate")
            (shown,) = daemon.until(lambda status: knows(status, "local small"), "tells its client")["intakes"]
            assert (shown["name"], shown["address"]) == ("frigate", endpoint)
            (client,) = shown["clients"]
            assert (client["name"], client["handshakes"]) == ("local small", 1)
            assert daemon.stop() == 0
        # no daemon: zeros in time
        assert not detector.detect_raw(coloured()).any()
        with running(given) as daemon:
            until_right(detector)
            assert daemon.child("intake frigate") == resident, "the process of the first daemon is taken over"
            daemon.process.kill()
            daemon.process.wait()
            assert not detector.detect_raw(coloured()).any()
        with running(given) as daemon:
            until_right(detector)
            assert daemon.child("intake frigate") == resident
            (client,) = daemon.until(lambda status: knows(status, "local small"), "tells its client")["intakes"][0]["clients"]
            assert client["handshakes"] == 1, "the connection of the first daemon's time is the same"
            psutil.Process(resident).kill()
            # the frame that waits for its answer gets zeros from Frigate itself, which connects anew
            until_right(detector)
            daemon.until(lambda status: status["daemon"]["state"] == "ok", "is well")
            assert daemon.child("intake frigate") != resident
            assert daemon.stop() == 0
        closed(detector)
