"""A dispatcher and its tally, with short names: for tests of exact hand-overs."""

from __future__ import annotations

from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.stick_queue import StickQueue
from ncs_cluster.core.work import Frame, Tally, Unit
from ncs_cluster.types import CameraName, FrameRef, StickId

A, B = StickId("a"), StickId("b")


def a_unit(number: int, stream: str = "cam0", graph: int = 0) -> Unit:
    return Unit(stream, Frame(FrameRef(CameraName(stream), 1, 0, number, 640, 480), None, 0.0, 0.0, None), graph)


class DispatcherSetup:
    """A dispatcher with one stream, cam0, and sticks at full speed."""

    def __init__(self, *sticks: StickId, ordered: bool = False, max_in_flight: int = 2, graphs: int = 1) -> None:
        self.tally = Tally()
        self.dispatcher = Dispatcher(self.tally)
        self.dispatcher.open_lanes("cam0", range(graphs), 1.0, ordered=ordered)
        for stick in sticks:
            self.dispatcher.attach(stick, max_in_flight)
        self.dispatcher.set_duties(dict.fromkeys(sticks, 1.0))

    def offer(self, *numbers: int, stream: str = "cam0", tried: tuple[StickId, ...] = ()) -> Unit:
        for number in numbers:
            unit = a_unit(number, stream)
            unit.tried = list(tried)
            self.dispatcher.offer(unit)
        return unit

    def assign(self, now_s: float) -> list[tuple[str, int, str | None]]:
        """Stream, frame and stick of what is handed over."""
        units = self.dispatcher.assign(now_s)
        assert all(unit.sent_s == now_s for unit in units)
        return [(unit.stream, unit.number, unit.stick) for unit in units]

    def known(self, stick: StickId, mean_s: float, duty: float = 1.0) -> StickQueue:
        """The stick takes so long, always."""
        queue = self.dispatcher.queues[stick]
        queue.service.mean_s, queue.service.deviation_s = mean_s, 0.0
        self.dispatcher.set_duties({each: duty if each == stick else old.duty for each, old in self.dispatcher.queues.items()})
        return queue

    def pending(self, stream: str = "cam0", graph: int = 0) -> list[int]:
        return [unit.number for unit in self.dispatcher.lanes[stream, graph].pending]

    def held(self, stick: StickId) -> list[int]:
        return [unit.number for unit in self.dispatcher.queues[stick].in_flight.values()]
