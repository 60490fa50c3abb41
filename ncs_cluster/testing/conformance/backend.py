"""Checks of every backend. A device is really opened: a subclass sets the `options` and `port` of a real or an emulated one."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from numpy.typing import NDArray

from ncs_cluster.backends import BACKENDS
from ncs_cluster.backends.base import Backend, Completed, DeviceInfo, FaultInjection, Reopening
from ncs_cluster.config import graph_folder
from ncs_cluster.errors import StickError
from ncs_cluster.messages import Failed, FromWorker, OpenStick, StickOpened, Stop, Telemetry
from ncs_cluster.plugins import load
from ncs_cluster.provision import blobs, places
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.testing.children import running
from ncs_cluster.testing.conformance._options import OptionsConformance, assert_one_line
from ncs_cluster.types import StickId

PATIENCE_S = 60.0
"""Time-out of each step, seconds; no check measures a speed."""
REASONS = {"open", "graph", "gone", "hang", "link", "infer", "protocol"}
WORKER = "ncs_cluster.processes.worker"


class BackendConformance(OptionsConformance):
    """Open, work, close, refuse, die, misbehave."""

    registry = BACKENDS
    port = "1"
    """USB port of the device, for a backend whose devices are found on a bus."""
    python: str | None = None
    """Interpreter of the worker, for a backend that needs another Python."""

    def graphs(self) -> list[GraphSpec]:
        """The graphs that the device opens: the demo graph for a backend that needs one."""
        if not self.descriptor.needs_graph:
            return []
        graph = graph_folder.read(graph_folder.named()["demo"], "demo", None)
        if self.descriptor.artifact != "blob":
            return [graph]
        return [structs.replace(graph, blob=str(blobs.find(graph, places.for_tools())))]

    def break_device(self, backend: Backend) -> None:
        """Make the open device fail, by fault injection or by a subclass."""
        if not isinstance(backend, FaultInjection):
            pytest.skip("nothing here can make the device fail")
        backend.inject_fault("unplug", 1.0)

    # -- what the checks use

    def stick(self, **more: Any) -> StickSpec:
        prefix = (self.descriptor.counted or self.descriptor.matched).prefix
        options = {**self.options, **more}
        return StickSpec(StickId(f"{prefix}-{self.port}"), self.port, self.plugin, options, simulated=self.descriptor.simulated)

    def made(self) -> Backend:
        backend: Backend = load(self.descriptor.driver)(1.0)
        return backend

    @contextmanager
    def opened(self) -> Iterator[tuple[Backend, DeviceInfo]]:
        backend = self.made()
        try:
            yield backend, backend.open(self.stick(), self.graphs(), lambda phase: None)
        finally:
            backend.close()

    def work(self, backend: Backend, device: DeviceInfo, rounds: int = 2) -> list[Completed]:
        """Fill the device to max_in_flight several times and collect every answer."""
        done: list[Completed] = []
        for number in range(rounds):
            tags = [number * device.max_in_flight + place for place in range(device.max_in_flight)]
            for tag in tags:
                backend.submit(tag, 0, picture(tag) if backend.needs_frames else None)
            answered = collect(backend, len(tags))
            assert sorted(each.tag for each in answered) == tags
            done += answered
        return done

    def work_until_it_fails(self, backend: Backend, device: DeviceInfo) -> None:
        self.break_device(backend)
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            self.work(backend, device, 1)

    # -- the checks

    def test_devices_are_either_counted_or_matched_on_a_bus(self) -> None:
        assert (self.descriptor.counted is None) != (self.descriptor.matched is None)

    def test_its_module_is_imported_without_a_vendor_library_or_a_device(self) -> None:
        assert callable(load(self.descriptor.driver))

    def test_it_opens_says_what_it_is_and_closes(self) -> None:
        backend, phases = self.made(), list[str]()
        device = backend.open(self.stick(), self.graphs(), phases.append)
        backend.close()
        assert phases[:1] == ["opening"], "each long step is announced as it begins"
        assert set(phases) <= {"opening", "compiling"}
        assert_one_line(device.name)
        assert device.max_in_flight >= 1

    def test_it_can_be_closed_without_having_been_opened(self) -> None:
        self.made().close()

    def test_unknown_options_are_refused_in_one_line(self) -> None:
        backend = self.made()
        with pytest.raises(StickError) as refused:
            backend.open(self.stick(no_such_option=1), self.graphs(), lambda phase: None)
        assert refused.value.reason == "open"
        assert_one_line(refused.value.detail)
        backend.close()

    def test_each_request_is_answered_once(self) -> None:
        with self.opened() as (backend, device):
            for each in self.work(backend, device):
                assert each.latency_s >= 0
                if each.outputs is not None:
                    assert all(isinstance(array, np.ndarray) for array in each.outputs.values())
            assert backend.collect() == []

    def test_a_frame_is_read_and_not_written(self) -> None:
        with self.opened() as (backend, _):
            if not backend.needs_frames:
                pytest.skip("this backend looks at no pixel")
            image = picture(7)
            before = image.copy()
            backend.submit(0, 0, image)
            collect(backend, 1)
            assert (image == before).all()

    def test_equal_frames_give_equal_outputs(self) -> None:
        with self.opened() as (backend, _):
            seen = []
            for tag in range(2):
                backend.submit(tag, 0, picture(3) if backend.needs_frames else None)
                seen += collect(backend, 1)
            first, second = (each.outputs for each in seen)
            assert (first is None) == (second is None)
            for name in first or {}:
                assert second is not None
                np.testing.assert_array_equal(first[name], second[name])  # type: ignore[index]

    def test_a_device_without_a_sensor_has_no_temperature(self) -> None:
        with self.opened() as (backend, device):
            reading = backend.read_sensor()
            assert device.has_sensor or reading.temperature_c is None
            assert reading.age_s >= 0

    def test_it_works_again_after_it_was_reset_in_place(self) -> None:
        with self.opened() as (backend, device):
            if not isinstance(backend, Reopening):
                pytest.skip("this backend cannot reset its device")
            self.work(backend, device, 1)
            again = backend.reopen(lambda phase: None)
            self.work(backend, again, 1)

    def test_a_fault_it_does_not_know_is_refused_in_one_line(self) -> None:
        with self.opened() as (backend, _):
            if not isinstance(backend, FaultInjection):
                pytest.skip("this backend cannot inject faults")
            with pytest.raises(StickError) as refused:
                backend.inject_fault("no such fault", 1.0)
            assert_one_line(refused.value.detail)

    def test_a_device_that_fails_is_told_in_one_line_and_can_be_closed(self) -> None:
        backend = self.made()
        device = backend.open(self.stick(), self.graphs(), lambda phase: None)
        with pytest.raises(StickError) as failed:
            self.work_until_it_fails(backend, device)
        assert failed.value.reason in REASONS
        assert_one_line(failed.value.detail)

    def test_its_worker_opens_it_again_after_being_killed_and_ends_when_told(self) -> None:
        settings = {} if self.python is None else {"python": self.python}
        for killed in (True, False):
            with running(WORKER, FromWorker, **settings) as child:
                child.send(OpenStick(self.stick(), self.graphs()))
                child.expect(StickOpened, PATIENCE_S)
                child.expect(Telemetry, PATIENCE_S)
                if not killed:
                    child.send(Stop())
                    assert child.process.wait(PATIENCE_S) == 0

    def test_its_worker_tells_of_options_it_refuses_and_ends(self) -> None:
        settings = {} if self.python is None else {"python": self.python}
        with running(WORKER, FromWorker, **settings) as child:
            child.send(OpenStick(self.stick(no_such_option=1), self.graphs()))
            assert_one_line(child.expect(Failed, PATIENCE_S).detail)
            assert child.process.wait(PATIENCE_S) == 1


def picture(seed: int) -> NDArray[np.uint8]:
    """uint8 BGR [240, 320, 3], read-only as a worker's frames are."""
    image = np.random.default_rng(seed).integers(0, 256, (240, 320, 3), np.uint8)
    image.setflags(write=False)
    return image


def collect(backend: Backend, count: int) -> list[Completed]:
    """The next `count` answers. The wait is a worker's: on `wake_fd`, at most until `due_s`."""
    done: list[Completed] = []
    until_s = time.monotonic() + PATIENCE_S
    while len(done) < count:
        done += backend.collect()
        if len(done) >= count:
            break
        watched: Sequence[int] = [] if backend.wake_fd is None else [backend.wake_fd]
        assert watched or backend.due_s is not None, "a worker has nothing to wait for, though requests are in flight"
        assert time.monotonic() < until_s, f"{count - len(done)} requests are not answered after {PATIENCE_S:g} s"
        wait_s = PATIENCE_S if backend.due_s is None else backend.due_s - time.monotonic()
        select.select(watched, [], [], max(0.0, min(wait_s, until_s - time.monotonic())))
    return done
