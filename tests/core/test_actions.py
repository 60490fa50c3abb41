"""Actions are plain values: the union names all of them, and the supervisor performs each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import replace

from ncs_cluster.core import actions as a
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, SINK, Endpoint, StickGone
from ncs_cluster.messages import MapPool, Stop
from ncs_cluster.processes.camera_memory import CameraMemory
from ncs_cluster.processes.children import Children
from ncs_cluster.processes.climate import Climate
from ncs_cluster.processes.discovery import SimulatedBus
from ncs_cluster.processes.event_log import EventLog
from ncs_cluster.processes.kept_jobs import KeptJobs
from ncs_cluster.processes.late_grants import LateGrants
from ncs_cluster.processes.supervisor import Supervisor
from ncs_cluster.provision import places
from ncs_cluster.specs import JobRecord, StickSpec
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName, PoolLayout, StickId
from tests.descriptors import open_descriptors

WORKER, CAM0, STICK = Endpoint("worker", "sim-1"), CameraName("cam0"), StickId("sim-1")
LAYOUT = PoolLayout(3, 2, 64, 48)
EXAMPLES: list[a.Action] = [
    a.Send(SINK, Stop()),
    a.Spawn(WORKER, "default"),
    a.Kill(WORKER),
    a.Release(WORKER),
    a.MakePool(LAYOUT),
    a.DropPool(3),
    a.MakePictures(CAM0, 4, 64, 48),
    a.DropPictures(CAM0),
    a.Unplug(STICK),
    a.ForgetPort(STICK),
    a.ForgetCalibration(STICK),
    a.KeepJobs(),
    a.SetFan(0.5),
    a.LogEvent("info", "daemon", "text"),
    a.Exit(7),
]


class Log(EventLog):
    """Writes down instead of logging."""

    def __init__(self, done: list[tuple[Any, ...]]) -> None:
        self._done = done

    def add(self, level: str, origin: str, text: str, group: str | None = None) -> None:
        self._done.append(("note", level, origin, text))


class Jobs(KeptJobs):
    """Writes down instead of keeping."""

    done: list[tuple[Any, ...]]

    def keep(self, jobs: list[JobRecord]) -> None:
        self.done.append(("keep", jobs))


class Processes(Children):
    """Writes down instead of starting and killing."""

    def __init__(self, done: list[tuple[Any, ...]]) -> None:
        self._done = done

    def spawn(self, endpoint: Endpoint, runtime: str) -> None:
        self._done.append(("spawn", endpoint, runtime))

    def kill(self, endpoint: Endpoint) -> None:
        self._done.append(("kill", endpoint))

    def release(self, endpoint: Endpoint) -> None:
        self._done.append(("release", endpoint))


class FanAlone(Climate):
    """Writes down instead of setting a fan."""

    def __init__(self, done: list[tuple[Any, ...]]) -> None:
        self._done = done

    def set_fan(self, duty: float) -> None:
        self._done.append(("fan", duty))


class Performer(Supervisor):
    """The dispatch of the supervisor, without its loop: what would reach a process, a log or the core is written down."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self._bus = SimulatedBus([StickSpec(STICK, "port 1", "simulated")])
        self._usb: list[Any] = []
        self._pools: dict[int, CameraMemory] = {}
        self._pictures: dict[CameraName, CameraMemory] = {}
        self._exit_code: int | None = None
        self._log = Log(self.done)
        self._engine = Engine(installation(1), 0.0)
        self._kept_jobs = Jobs(None, self._log.add)
        self._kept_jobs.done = self.done
        self._children = Processes(self.done)
        self._climate = FanAlone(self.done)
        self._grants = LateGrants(self._send)

    def _send(self, action: a.Send) -> None:
        self.done.append(("send", action))

    def _raise(self, endpoint: Endpoint, message: object) -> None:
        self.done.append(("raise", endpoint, message))


@pytest.fixture
def performer() -> Iterator[Performer]:
    made = Performer()
    yield made
    for memory in (*made._pools.values(), *made._pictures.values()):
        memory.close()


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_the_union_names_every_action_of_the_module_and_each_has_an_example() -> None:
    defined = {each for each in vars(a).values() if isinstance(each, type) and each.__module__ == a.__name__}
    assert set(get_args(a.Action)) == defined
    assert {type(example) for example in EXAMPLES} == defined


def test_the_supervisor_performs_actions_in_their_order(performer: Performer) -> None:
    memory = (a.MakePool, a.DropPool, a.MakePictures, a.DropPictures)
    performer._perform([action for action in EXAMPLES if not isinstance(action, memory)])
    assert performer.done == [
        ("send", a.Send(SINK, Stop())),
        ("spawn", WORKER, "default"),
        ("kill", WORKER),
        ("release", WORKER),
        ("raise", BUS, StickGone(STICK)),
        ("keep", []),
        ("fan", 0.5),
        ("note", "info", "daemon", "text"),
    ]
    assert performer._exit_code == 7


def test_the_first_exit_code_stays(performer: Performer) -> None:
    performer._perform([a.Exit(0), a.Exit(7)])
    assert performer._exit_code == 0


def test_the_supervisor_keeps_the_memory_of_a_pool_until_it_is_dropped(performer: Performer) -> None:
    performer._perform([a.MakePool(LAYOUT)])
    assert list(performer._pools) == [3]
    memory = performer._pools[3].descriptor()
    assert os.fstat(memory).st_size >= 2 * 64 * 48 * 3
    performer._perform([a.DropPool(3)])
    assert performer._pools == {}
    assert not is_open(memory)


def test_the_supervisor_replaces_the_picture_ring_of_a_camera(performer: Performer) -> None:
    performer._perform([a.MakePictures(CAM0, 4, 64, 48)])
    first_size, descriptors = os.fstat(performer._pictures[CAM0].descriptor()).st_size, open_descriptors()
    performer._perform([a.MakePictures(CAM0, 4, 640, 480)])
    assert list(performer._pictures) == [CAM0]
    assert os.fstat(performer._pictures[CAM0].descriptor()).st_size > first_size >= 4 * 64 * 48 * 3
    assert open_descriptors() == descriptors, "the first one is closed"


def test_the_supervisor_frees_the_picture_ring_of_a_camera_that_is_gone(performer: Performer) -> None:
    performer._perform([a.MakePictures(CAM0, 4, 64, 48)])
    memory = performer._pictures[CAM0].descriptor()
    performer._perform([a.DropPictures(CAM0)])
    assert performer._pictures == {}
    assert not is_open(memory)


def test_what_is_no_action_is_an_error_of_the_supervisor(performer: Performer) -> None:
    with pytest.raises(AssertionError):
        performer._perform([Stop()])  # type: ignore[list-item]


@pytest.mark.parametrize("action", EXAMPLES, ids=lambda action: type(action).__name__)
def test_an_action_is_frozen_and_compared_by_content(action: a.Action) -> None:
    assert msgspec.structs.replace(action) == action
    assert hash(msgspec.structs.replace(action)) == hash(action)
    for field in msgspec.structs.fields(action):
        with pytest.raises(AttributeError):
            setattr(action, field.name, None)
        assert msgspec.structs.replace(action, **{field.name: "other"}) != action


def test_a_message_is_sent_without_shared_memory_unless_that_is_named() -> None:
    plain = a.Send(SINK, Stop())
    assert (plain.pool, plain.pictures) == (None, None)
    assert a.Send(WORKER, MapPool(LAYOUT), pool=3) == a.Send(WORKER, MapPool(LAYOUT), 3, None)


def test_the_calibration_of_a_forgotten_stick_is_deleted_and_its_absence_is_no_trouble(
    performer: Performer, tmp_path: Path
) -> None:
    settings = replace(installation(1), state_dir=str(tmp_path))
    performer._engine = Engine(settings, 0.0)
    mine, other = places.calibration(tmp_path, STICK), places.calibration(tmp_path, "sim-2")
    mine.parent.mkdir()
    for file in (mine, other):
        file.write_text("{}")
    for _ in range(2):
        performer._perform([a.ForgetCalibration(STICK)])
        assert (mine.exists(), other.exists()) == (False, True)
    assert performer.done == []
    mine.mkdir()
    performer._perform([a.ForgetCalibration(STICK)])
    assert performer.done == [("note", "warning", STICK, f"its calibration cannot be deleted: {mine}: Is a directory")]


def test_a_doubtful_port_is_forgotten_by_every_bus(performer: Performer) -> None:
    class Bus:
        def forget(self, stick: StickId) -> None:
            performer.done.append(("forget", stick))

    performer._usb = [Bus(), Bus()]
    performer._perform([a.ForgetPort(STICK)])
    assert performer.done == [("forget", STICK), ("forget", STICK)]
