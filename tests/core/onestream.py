"""A producer, frames and a stream of a job: for tests of streams."""

from __future__ import annotations

from ncs_cluster.core.actions import Action
from ncs_cluster.core.stream import Stream
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.types import Outcome
from tests.core.onecamera import CameraSetup, ref


class FakeProducer:
    """See core.stream.Producer. It adds nothing, and notes what it is asked."""

    def __init__(self) -> None:
        self.grants = 0

    def enrich(self, unit: Unit, outcome: Outcome, now_s: float) -> list[Action] | None:
        return None

    def grant(self) -> list[Action]:
        self.grants += 1
        return []

    def abandon(self, now_s: float) -> list[tuple[Unit, Outcome]]:
        return []


def frame(number: int) -> Frame:
    return Frame(ref(number), None, 10.0, 1.7e9, None)


def job(setup: CameraSetup, name: str = "job-1", graphs: tuple[int, ...] = (0,), sinks: tuple[str, ...] | None = None) -> Stream:
    """An ordered stream that no camera feeds."""
    stream = Stream(name, FakeProducer(), graphs=graphs, ordered=True, sinks=sinks)
    setup.streams.open(stream)
    return stream
