"""A camera whose source fails again and again, on a scripted source: it goes on where it was, and is not asked too often."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from msgspec.structs import replace

from ncs_cluster import sources
from ncs_cluster.errors import SourceError, SourceResized
from ncs_cluster.ipc import pictures
from ncs_cluster.ipc import pool as pools
from ncs_cluster.ipc.channel import Channel, pair
from ncs_cluster.messages import (
    CameraRates,
    DetectionRate,
    Drawn,
    FrameCaptured,
    FromCamera,
    Grant,
    MapPictures,
    MapPool,
    Measure,
    Measured,
    OpenSource,
    SourceLost,
    SourceOpened,
    Stop,
    ToCamera,
)
from ncs_cluster.processes import camera, child
from ncs_cluster.sources.base import Captured, Planes, SourceInfo, SourcePlugin
from ncs_cluster.specs import CameraSpec
from ncs_cluster.testing import children
from ncs_cluster.testing.interpreter import interpreter
from ncs_cluster.types import CameraName, Detection, Outcome, PoolLayout

SPEC = CameraSpec(CameraName("cam"), "scripted", {}, "scripted", ordered=True)


@dataclass
class Options:
    pass


class Scripted:
    """Gives `FRAMES` frames after each opening, then fails."""

    FRAMES = 3

    def __init__(self, options: Options) -> None:
        self._read = 0

    def open(self) -> SourceInfo:
        self._read = 0
        return SourceInfo(64, 48, 30.0)

    def read(self, into: Planes) -> Captured:
        self._read += 1
        if self._read > self.FRAMES:
            raise SourceError("its cable was pulled")
        return Captured(time.monotonic(), time.time(), 64, 48)

    def close(self) -> None: ...


class Silent(Scripted):
    """Opens well, and never gives a frame."""

    FRAMES = 0


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch, source: type[Scripted], again_s: tuple[float, ...]) -> Iterator[Channel[object]]:
    """The camera in a thread, and the supervisor's end of its channel."""
    module = ModuleType("scripted_source")
    module.Options, module.Source = Options, source  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scripted_source", module)
    plugin = SourcePlugin(
        name="scripted",
        form="scripted",
        driver="scripted_source:Source",
        options="scripted_source:Options",
        parse="scripted_source:parse",
    )
    monkeypatch.setitem(sources.SOURCES.builtin, "scripted", plugin)
    monkeypatch.setattr(camera, "REOPEN_S", again_s)
    ours, theirs = pair()
    channel: Channel[object] = Channel(ours, FromCamera)
    thread = threading.Thread(target=camera.Camera(Channel(theirs, ToCamera), OpenSource(SPEC, 0)).run, daemon=True)
    thread.start()
    try:
        yield channel
        channel.send(Stop())
        thread.join(60)
        assert not thread.is_alive()
    finally:
        channel.close()
        theirs.close()


def heard(channel: Channel[object], enough: Callable[[list[object]], bool], timeout_s: float = 60.0) -> list[object]:
    """What it says; each slot is granted again as soon as it has been written."""
    said: list[object] = []
    channel.sock.settimeout(timeout_s)
    until_s = time.monotonic() + timeout_s
    while not enough(said):
        if time.monotonic() > until_s:
            raise TimeoutError(f"only {said[-5:]}")
        received = channel.receive()
        assert received is not None
        said.append(received.message)
        if isinstance(received.message, SourceOpened) and sum(isinstance(each, SourceOpened) for each in said) == 1:
            layout = PoolLayout(1, 2, 64, 48, None)
            channel.send(MapPool(layout), pools.create(layout))
            for slot in (0, 1):
                channel.send(Grant(1, slot))
        elif isinstance(received.message, FrameCaptured):
            channel.send(Grant(1, received.message.frame.slot))
    return said


def test_a_slot_whose_frame_did_not_come_is_used_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only two are granted at a time: with one lost at each failure the camera would be blind after the second."""
    with running(monkeypatch, Scripted, (0.01,)) as channel:
        said = heard(channel, lambda said: sum(isinstance(each, SourceLost) for each in said) == 6)
    frames = [each.frame.frame for each in said if isinstance(each, FrameCaptured)]
    assert frames == list(range(6 * Scripted.FRAMES))


def test_a_source_that_opens_and_fails_at_once_is_tried_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch, Silent, (0.01, 0.01, 60.0)) as channel:
        heard(channel, lambda said: sum(isinstance(each, SourceLost) for each in said) == 3)
        with pytest.raises(TimeoutError):
            heard(channel, lambda said: any(isinstance(each, SourceOpened) for each in said), timeout_s=0.5)


class Growing(Scripted):
    """Twice as large after each opening."""

    openings = 0

    def open(self) -> SourceInfo:
        type(self).openings += 1
        return SourceInfo(64 * self.openings, 48, 30.0)

    def read(self, into: Planes) -> Captured:
        raise SourceResized("the next frame is larger")


def test_a_source_that_has_outgrown_its_slots_is_opened_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not lost: nobody is told, and no back-off is waited for."""
    with running(monkeypatch, Growing, (60.0,)) as channel:
        said = heard(channel, lambda said: sum(isinstance(each, SourceOpened) for each in said) == 2)
    assert [each.width for each in said if isinstance(each, SourceOpened)] == [64, 128]
    assert not any(isinstance(each, SourceLost) for each in said)


class Waiting(Scripted):
    """Waits for its frames, which count as none until `idle` is false."""

    closed = threading.Event()
    idle = True

    def read(self, into: Planes) -> Captured:
        self.closed.wait()
        raise SourceError("closed")

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("idle", [True, False])
def test_a_source_counts_as_hung_unless_it_waits_for_somebody(monkeypatch: pytest.MonkeyPatch, idle: bool) -> None:
    failed = threading.Event()
    monkeypatch.setattr(camera, "READ_TIMEOUT_S", 0.5)
    monkeypatch.setattr(child, "fail", lambda *_: failed.set())
    monkeypatch.setattr(Waiting, "idle", idle)
    monkeypatch.setattr(Waiting, "closed", threading.Event())
    with running(monkeypatch, Waiting, (60.0,)) as channel:
        heard(channel, lambda said: sum(isinstance(each, CameraRates) for each in said) == 3)
        assert failed.is_set() is not idle


NATIVE = """
import time
from dataclasses import dataclass
from types import ModuleType
from ncs_cluster import sources
from ncs_cluster.processes import camera
from ncs_cluster.sources.base import Captured, SourceInfo, SourcePlugin

@dataclass
class Options: pass

class Source:
    def __init__(self, options): pass
    def open(self): return SourceInfo(64, 48, 30.0, depth_scale_m=0.001)
    def read(self, into):
        time.sleep(0.01)
        into.depth[:] = 2000
        return Captured(time.monotonic(), time.time(), 64, 48)
    def close(self): pass

module = sys.modules["native"] = ModuleType("native")
module.Options, module.Source = Options, Source
plugin = SourcePlugin(name="scripted", form="scripted", driver="native:Source", options="native:Options", parse="native:parse")
sources.SOURCES.builtin["scripted"] = plugin
camera.main()
"""
"""Gives pixels as a RealSense camera's library does, without OpenCV."""


def test_opencv_is_loaded_by_the_first_picture_that_is_drawn(tmp_path: Path) -> None:
    """A frame that nobody looks at needs none, its distances included."""
    program = interpreter(tmp_path / "native", NATIVE).python
    with children.running("ncs_cluster.processes.camera", FromCamera, python=program) as child:
        child.send(OpenSource(replace(SPEC, ordered=False), 0))
        child.expect(SourceOpened)
        layout = PoolLayout(1, 2, 64, 48, 0.001)
        child.send(MapPool(layout), pools.create(layout))
        child.send(MapPictures(SPEC.name, 4, 64, 48), pictures.create(4, 64, 48))
        child.send(Grant(1, 0))
        frame = child.expect(FrameCaptured).frame
        found = Detection("cup", 1, 0.9, (0.2, 0.2, 0.8, 0.8))
        child.send(Measure(1, frame, "demo", Outcome([found])))
        (measured,) = child.expect(Measured).detections
        assert measured.distance_m == pytest.approx(2.0)
        assert "cv2" not in Path(f"/proc/{child.process.pid}/maps").read_text()
        child.send(DetectionRate(0.0, watched=True))
        child.send(Grant(1, 0))
        child.expect(Drawn)
        assert "cv2" in Path(f"/proc/{child.process.pid}/maps").read_text()
