"""The backend `myriad` in a real worker under Python 3.9, with the vendor's plugin, on an emulated stick."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.backends._compiled_models import CompiledModels
from ncs_cluster.config import graph_folder
from ncs_cluster.decoders.ssd import Options, decode
from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.ipc import pool as pools
from ncs_cluster.messages import Failed, FromWorker, Hello, Infer, Inferred, MapPool, OpenStick, StickOpened, Stop, Telemetry
from ncs_cluster.sources._scene import Scene
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.testing.children import Child, running
from ncs_cluster.types import CameraName, Detection, FrameRef, PoolLayout, StickId
from tests.python39 import Runtime

pytestmark = pytest.mark.slow

DEMO = Path(__file__).resolve().parents[2] / "graphs" / "demo"
PORT, LOCK = "1-1.2", "/tmp/mvnc.mutex"
LAYOUT = PoolLayout(pool=1, slots=2, max_width=320, max_height=240)


Array = np.ndarray[Any, Any]


@contextmanager
def worker(runtime: Runtime, emulator: Emulator, graphs: list[GraphSpec], **options: Any) -> Iterator[Child]:
    """Opened: its stick has worked."""
    env = {**runtime.env, **emulator.env}
    with running("ncs_cluster.processes.worker", FromWorker, python=runtime.python, env=env, stdout=2) as child:
        child.expect(Hello)
        child.send(OpenStick(StickSpec(StickId(PORT), PORT, "myriad", options), graphs))
        opened = _first(child)
        assert isinstance(opened, StickOpened), opened
        assert opened.device == "NCS2 by OpenVINO 2021.4.2"
        yield child


def _first(child: Child) -> StickOpened | Failed:
    while not isinstance(said := child.receive(60), StickOpened | Failed):
        pass
    return said


@pytest.fixture(scope="module")
def demo() -> GraphSpec:
    return graph_folder.read(DEMO, "demo", None)


@pytest.fixture(scope="module")
def pictures() -> list[Array]:
    """Frames of the scene the demo graph was made for."""
    scene, frames = Scene(LAYOUT.max_width, LAYOUT.max_height, seed=3), []
    for frame in range(6):
        colour, depth = np.zeros((240, 320, 3), np.uint8), np.zeros((240, 320), np.uint16)
        scene.draw(frame, frame * 0.7, colour, depth)
        frames.append(colour)
    return frames


@pytest.fixture
def stick(emulator: Emulator) -> Emulator:
    emulator.add(PORT, graphs=[os.fspath(DEMO / "demo.xml")], latency_s=0.02, watchdog_s=4)
    return emulator


class Frames:
    """A pool of a test's own, lent to a worker."""

    def __init__(self, child: Child) -> None:
        fd = pools.create(LAYOUT)
        child.send(MapPool(LAYOUT), fd)
        self.pool = pools.FramePool(fd, LAYOUT, writable=True)
        self.child, self.sent = child, 0

    def show(self, picture: Array) -> None:
        """Into a slot, and one Infer of it."""
        frame = FrameRef(CameraName("cam"), LAYOUT.pool, self.sent % LAYOUT.slots, self.sent, 320, 240)
        self.pool.image(frame)[:] = picture
        self.child.send(Infer(self.sent, 0, frame))
        self.sent += 1


def _until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.005)


def the_cpus(graph: GraphSpec, pictures: list[Array]) -> list[list[Detection]]:
    """What this CPU sees."""
    graphs = CompiledModels("CPU", properties={"INFERENCE_PRECISION_HINT": "f32"})
    graphs.load([graph])
    found = []
    for tag, picture in enumerate(pictures):
        graphs.submit(tag, 0, picture)
        while not (ended := graphs.collect()):
            time.sleep(0.002)
        found.append(decode(ended[0].outputs, graph, ended[0].transform, Options()).detections)
    graphs.close()
    return found


def test_it_sees_what_the_cpu_sees_and_leaves_the_stick_in_its_rom(
    oracle_python: Runtime, stick: Emulator, demo: GraphSpec, pictures: list[Array]
) -> None:
    with worker(oracle_python, stick, [demo]) as child:
        frames = Frames(child)
        for expected, picture in zip(the_cpus(demo, pictures), pictures, strict=True):
            frames.show(picture)
            outcome = child.expect(Inferred).outcome
            assert outcome.error is None
            assert expected, "a scene without anything to see would prove nothing"
            assert [one.label for one in outcome.detections] == [one.label for one in expected]
            for one, other in zip(outcome.detections, expected, strict=True):
                assert one.box == pytest.approx(other.box, abs=0.01)
                assert one.score == pytest.approx(other.score, abs=0.01)
        told = child.expect(Telemetry)
        assert told.temperature_c is not None
        assert 10 < told.temperature_c < 100
        child.send(Stop())
        child.drain()
        assert child.process.wait(60) == 0
        assert stick.state(PORT)["state"] != "run", "closed, not left to its watchdog"
    stick.await_state(PORT, "rom")


def test_a_stick_that_is_pulled_at_work_is_told_and_ends_the_worker_without_a_close(
    oracle_python: Runtime, stick: Emulator, demo: GraphSpec, pictures: list[Array]
) -> None:
    with worker(oracle_python, stick, [demo]) as child:
        frames = Frames(child)
        frames.show(pictures[0])
        child.expect(Inferred)
        stick.fault(PORT, "hang")
        for picture in pictures[:4]:
            frames.show(picture)
        _until(lambda: stick.state(PORT)["chip"]["in_flight"] == 4)
        stick.pull(PORT)
        began_s = time.monotonic()
        assert child.expect(Failed).reason == "gone"
        assert child.process.wait(60) == 1
        assert time.monotonic() - began_s < 9, "the plugin takes 10 s to close a stick that is gone"


def test_a_stick_that_hangs_is_told_and_ends_the_worker(
    oracle_python: Runtime, stick: Emulator, demo: GraphSpec, pictures: list[Array]
) -> None:
    with worker(oracle_python, stick, [demo], infer_timeout_s=1) as child:
        stick.fault(PORT, "hang")
        Frames(child).show(pictures[0])
        failed = child.expect(Failed)
        assert failed.reason == "hang"
        assert "hangs" in failed.detail
        assert child.process.wait(60) == 1


def test_after_a_kill_the_next_worker_waits_until_the_stick_has_reset_itself(
    oracle_python: Runtime, stick: Emulator, demo: GraphSpec, pictures: list[Array]
) -> None:
    with worker(oracle_python, stick, [demo]) as child:
        child.process.kill()
    assert stick.state(PORT)["state"] == "run"
    with worker(oracle_python, stick, [demo]) as child:
        Frames(child).show(pictures[0])
        assert child.expect(Inferred).outcome.error is None


def test_while_another_process_holds_the_plugins_lock_results_flow_and_the_temperature_is_told_with_its_age(
    oracle_python: Runtime, stick: Emulator, demo: GraphSpec, pictures: list[Array]
) -> None:
    with worker(oracle_python, stick, [demo]) as child:
        frames = Frames(child)
        while child.expect(Telemetry).temperature_c is None:
            pass  # the first reading is under way, and needs the lock too
        before = len(child.received)
        held = os.open(LOCK, os.O_RDWR)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            until_s = time.monotonic() + 3.5
            while time.monotonic() < until_s:
                frames.show(pictures[0])
                child.expect(Inferred)
        finally:
            os.close(held)
        told = [message for message in child.received[before:] if isinstance(message, Telemetry)]
        assert len(told) >= 3
        assert max(message.age_s for message in told) > 2
        assert all(message.temperature_c is not None for message in told)
        frames.show(pictures[0])
        child.expect(Inferred)
        until_s = time.monotonic() + 60
        while child.expect(Telemetry).age_s > 0.5:
            assert time.monotonic() < until_s, "the lock is free again"


def test_a_stick_that_comes_while_another_boots_confuses_the_plugin_once(
    oracle_python: Runtime, emulator: Emulator, demo: GraphSpec
) -> None:
    emulator.add(PORT, graphs="zero", boot_s=0.7, watchdog_s=2)
    env = {**oracle_python.env, **emulator.env}
    with running("ncs_cluster.processes.worker", FromWorker, python=oracle_python.python, env=env, stdout=2) as child:
        child.expect(Hello)
        child.send(OpenStick(StickSpec(StickId(PORT), PORT, "myriad", {"connect_timeout_s": 3}), [demo]))
        emulator.await_state(PORT, "booting")
        emulator.add("1-3", graphs="zero")
        opened = _first(child)
        assert isinstance(opened, StickOpened), opened
        assert emulator.state(PORT)["boots"] == 2, "the second try"
        assert emulator.state("1-3")["boots"] == 0, "the other stick was left alone"
