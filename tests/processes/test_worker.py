"""A real worker process, spoken to as the supervisor speaks to it."""

from __future__ import annotations

import math
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from ncs_cluster.messages import (
    Failed,
    FromWorker,
    Hello,
    Infer,
    Inferred,
    InjectFault,
    OpenStick,
    Phase,
    StickOpened,
    Stop,
    Telemetry,
)
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.testing.children import Child, running
from ncs_cluster.types import CameraName, FrameRef, Outcome, StickId

WORKER = "ncs_cluster.processes.worker"


def frame(number: int) -> FrameRef:
    return FrameRef(CameraName("cam"), pool=1, slot=0, frame=number, width=64, height=48)


def asking(backend: str = "simulated", graphs: list[GraphSpec] | None = None, time_scale: float = 1.0, **options: Any) -> OpenStick:
    return OpenStick(StickSpec(StickId("sim-1"), "sim", backend, options), graphs or [], time_scale)


@contextmanager
def worker(asked: OpenStick | None = None, **options: Any) -> Iterator[Child]:
    """An open stick without a graph."""
    with running(WORKER, FromWorker) as child:
        child.send(asked or asking(**options))
        assert child.expect(StickOpened).max_in_flight >= 1
        yield child


def test_it_says_hello_then_its_phases_then_that_the_stick_is_open() -> None:
    with running(WORKER, FromWorker) as child:
        assert isinstance(child.receive(), Hello)
        child.send(asking(depth=3))
        assert child.receive() == Phase("opening")
        assert child.receive() == StickOpened("simulated stick", has_sensor=True, max_in_flight=3)


def test_every_ticket_is_answered_once_and_in_order() -> None:
    with worker(latency_ms=5, depth=2) as child:
        for ticket in range(20):
            child.send(Infer(ticket, 0, frame(ticket)))
        answers = [child.expect(Inferred) for _ in range(20)]
        assert [answer.ticket for answer in answers] == list(range(20))
        assert all(answer.outcome == Outcome() for answer in answers)
        assert all(answer.latency_s >= 0.005 - 1e-9 for answer in answers)


def test_a_stick_is_serial_and_loses_no_time_between_inferences() -> None:
    with worker(latency_ms=20, depth=2) as child:
        rounds: list[float] = []
        # a machine that stands still meanwhile costs one round
        while min(rounds, default=math.inf) >= 2.0:
            assert len(rounds) < 10, rounds
            began_s = time.monotonic()
            for ticket in range(25):
                child.send(Infer(ticket, 0, frame(ticket)))
            answers = [child.expect(Inferred) for _ in range(25)]
            rounds.append(time.monotonic() - began_s)
            assert rounds[-1] >= 0.5
            assert sum(answer.latency_s for answer in answers) == pytest.approx(0.5)


def test_telemetry_comes_at_work_or_not_and_faster_with_scaled_time() -> None:
    began_s = time.monotonic()
    with worker(time_scale=20, latency_ms=1) as child:
        came_s = []
        for _ in range(40):
            assert child.expect(Telemetry).temperature_c is not None
            came_s.append(time.monotonic())
    # 0.05 s apart: some come together where this process stood still, but not most of them
    assert came_s[-1] - began_s >= 39 * 0.04
    assert statistics.median(after - before for before, after in pairwise(came_s)) < 0.5


def test_a_working_stick_warms_and_a_heat_wave_warms_a_resting_one() -> None:
    with worker(time_scale=20, ambient_c=30) as child:
        cold = child.expect(Telemetry).temperature_c
        child.send(InjectFault("heat", 10))
        for _ in range(15):
            warm = child.expect(Telemetry).temperature_c
        assert cold is not None
        assert warm is not None
        assert warm > cold + 1


def test_stop_lets_it_finish_what_it_has_accepted() -> None:
    with worker(latency_ms=50, depth=2) as child:
        for ticket in range(3):
            child.send(Infer(ticket, 0, frame(ticket)))
        child.send(Stop())
        said = child.drain()
        assert [message.ticket for message in said if isinstance(message, Inferred)] == [0, 1, 2]
        assert child.process.wait(60) == 0


def test_it_ends_at_once_when_the_channel_closes() -> None:
    with worker(latency_ms=10_000) as child:
        child.send(Infer(1, 0, frame(1)))
        child.channel.close()
        assert child.process.wait(60) == 1


def test_an_unplugged_stick_is_a_failure_that_may_be_tried_again() -> None:
    with worker(faults=["unplug@0.2"]) as child:
        assert child.expect(Failed) == Failed("gone", "the simulated stick was unplugged", permanent=False)
        assert child.process.wait(60) == 1


@pytest.mark.parametrize(("kind", "code"), [("crash", 7), ("segfault", -signal.SIGSEGV)])
def test_a_crash_ends_the_process_without_a_word(kind: str, code: int) -> None:
    with worker(faults=[f"{kind}@0.1"]) as child:
        assert not any(isinstance(message, Failed) for message in child.drain())
        assert child.process.wait(60) == code


def test_a_hung_stick_answers_nothing_more_until_it_is_killed() -> None:
    with worker(latency_ms=10, time_scale=20) as child:
        child.expect(Telemetry)
        child.send(InjectFault("hang"))
        child.send(Infer(1, 0, frame(1)))
        with pytest.raises(TimeoutError):
            child.expect(Inferred, 0.5)
        assert child.process.poll() is None


def test_a_slow_stick_takes_ten_times_as_long_and_recovers() -> None:
    with worker(latency_ms=10) as child:
        child.send(InjectFault("slow", 3.0))
        took_s = []
        while not took_s or took_s[-1] > 0.05:
            child.send(Infer(len(took_s), 0, frame(len(took_s))))
            took_s.append(child.expect(Inferred).latency_s)
        assert took_s[0] == pytest.approx(0.1)
        assert took_s[-1] == pytest.approx(0.01)


def test_a_throttled_stick_rests_after_each_inference_and_says_so() -> None:
    with worker(latency_ms=5, initial_c=73, ambient_c=73) as child:
        while child.expect(Telemetry).throttle_level == 0:
            pass
        for ticket in range(3):
            child.send(Infer(ticket, 0, frame(ticket)))
        first, *others = [child.expect(Inferred).latency_s for _ in range(3)]
        assert first == pytest.approx(0.005)
        assert others == pytest.approx([0.105, 0.105])


@pytest.mark.parametrize("kind", ["lie", "nan", "nosensor"])
def test_an_absurd_reading_is_passed_on_as_read(kind: str) -> None:
    with worker(time_scale=20, faults=[f"{kind}@0:2"]) as child:
        said = child.expect(Telemetry).temperature_c
        if kind == "lie":
            assert said == -89.7
        elif kind == "nan":
            assert said is not None
            assert math.isnan(said)
        else:
            assert said is None
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            if child.expect(Telemetry).temperature_c == pytest.approx(25, abs=5):
                return
        pytest.fail("the reading never came back")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"latency_ms": -1}, "latency_ms"),
        ({"colour": "blue"}, "colour"),
        ({"faults": ["explode@3"]}, "explode"),
    ],
)
def test_options_that_make_no_sense_are_one_clear_line(options: dict[str, Any], names: str) -> None:
    with running(WORKER, FromWorker) as child:
        child.send(asking(**options))
        failed = child.expect(Failed)
        assert failed.reason == "open"
        assert names in failed.detail
        assert "\n" not in failed.detail
        assert child.process.wait(60) == 1


def test_an_unknown_backend_is_named() -> None:
    with running(WORKER, FromWorker) as child:
        child.send(asking(backend="abacus"))
        assert 'no backend "abacus"' in child.expect(Failed).detail


def test_without_a_graph_no_heavy_library_is_loaded() -> None:
    with worker() as child:
        with open(f"/proc/{child.process.pid}/maps") as maps:
            mapped = maps.read()
        assert "/msgspec/" in mapped
        for library in ("numpy", "cv2", "openvino"):
            assert library not in mapped


def test_a_resting_stick_only_wakes_to_measure_itself() -> None:
    with worker() as child:
        child.expect(Telemetry)
        child.expect(Telemetry)

        def wakings() -> int:
            with open(f"/proc/{child.process.pid}/status") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))

        before = wakings()
        for _ in range(3):
            child.expect(Telemetry)
        assert wakings() - before <= 4 * 3
