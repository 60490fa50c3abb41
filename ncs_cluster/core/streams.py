"""All streams. A unit begins when its frame is offered and ends exactly once; results are published in the order of frames."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ncs_cluster.core.actions import Action
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.sinks import Sinks
from ncs_cluster.core.stream import Stream
from ncs_cluster.core.work import DROPPED, GIVEN_UP, LATE, RESULT, Frame, Tally, Unit
from ncs_cluster.types import Outcome, Record

LONGEST_RECORD = 190_000
"""Bytes of a record as msgpack; a longer one does not fit into a message to a sink."""


class Streams:
    """The open streams by name. Streams are opened and closed while the daemon runs."""

    def __init__(
        self, graphs: Sequence[str], dispatcher: Dispatcher, tally: Tally, sinks: Sinks, guests: Sequence[str] = ()
    ) -> None:
        self.by_name: dict[str, Stream] = {}
        self.graphs: list[str] = []
        """Names, by number. A graph keeps its number while the daemon runs, also where it is removed and added again."""
        self._served: list[int] = []
        """Those of the settings."""
        self._guests: list[int] = []
        """Those that run only on streams that name them."""
        self.set_graphs(graphs, guests)
        self._dispatcher = dispatcher
        self._tally = tally
        self._sinks = sinks
        self._ordered: list[Stream] = []
        self._holding: dict[str, Stream] = {}
        """Live streams with a held result."""

    # -- graphs

    def set_graphs(self, names: Sequence[str], guests: Sequence[str] = ()) -> None:
        """The graphs of the settings, and guests. Streams that are open change by `change_graphs`."""
        # without a graph, as with simulated sticks that only take time, each frame is one unit
        wanted = list(names) or ["none"]
        self.graphs += [name for name in [*wanted, *guests] if name not in self.graphs]
        self._served = [self.graphs.index(name) for name in wanted]
        self._guests = [self.graphs.index(name) for name in guests]

    def indices(self, names: Sequence[str]) -> list[int]:
        """The numbers of the graphs of these names; of all graphs of the settings, without guests, where `names` is empty."""
        if not names:
            return list(self._served)
        return [number for number in [*self._served, *self._guests] if self.graphs[number] in names]

    def indices_at_stick(self, names: Sequence[str]) -> dict[int, int]:
        """Of the graphs that a worker has loaded: number -> index there."""
        return {self.graphs.index(name): index for index, name in enumerate(list(names) or ["none"])}

    def change_graphs(self, stream: Stream, graphs: Sequence[int], now_s: float, *, weight: float | None = None) -> None:
        """Other graphs run on the stream's next frames. Of a graph that is gone: as `close`."""
        gone = [graph for graph in stream.graphs if graph not in graphs]
        added = [graph for graph in graphs if graph not in stream.graphs]
        if not gone and not added:
            return
        stream.weight = stream.weight if weight is None else weight
        waiting = self._dispatcher.close_lanes(stream.name, gone)
        for unit in list(self._tally.open):
            unit.closed = unit.closed or (unit.stream == stream.name and unit.graph in gone)
        held, recorded = stream.change_graphs(graphs)
        for unit in [*waiting, *held]:
            self._tally.end(unit, DROPPED)
        for unit, outcome in [] if stream.resumable else recorded:
            self._record(stream, unit, outcome, now_s)
        self._dispatcher.open_lanes(stream.name, added, stream.weight, ordered=stream.ordered)
        self._dispatcher.set_weight(stream.name, stream.weight)

    # -- opening and closing

    def open(self, stream: Stream) -> None:
        self.by_name[stream.name] = stream
        self._ordered = [each for each in self.by_name.values() if each.ordered]
        self._dispatcher.open_lanes(stream.name, stream.graphs, stream.weight, ordered=stream.ordered)

    def close(self, name: str, now_s: float) -> None:
        """Close a stream: waiting frames and later results are dropped, ordered results that wait for earlier frames are recorded
        unless a later run does those frames, the counters are kept."""
        stream = self.by_name.pop(name, None)
        if stream is None:
            return
        stream.closing = True
        self._ordered = [each for each in self.by_name.values() if each.ordered]
        for unit in self._dispatcher.close_lanes(name):
            self._tally.end(unit, DROPPED)
        for order in stream.live_orders.values():
            for unit, _ in order.flush():
                self._tally.end(unit, DROPPED)
        for reorder in [] if stream.resumable else stream.reorders.values():
            for unit, outcome in reorder.flush():
                self._record(stream, unit, outcome, now_s)
        self._holding.pop(name, None)

    def set_weight(self, name: str, weight: float) -> None:
        self.by_name[name].weight = weight
        self._dispatcher.set_weight(name, weight)

    # -- frames

    def offer(self, stream: Stream, frame: Frame, *, error: str | None, now_s: float) -> None:
        """Begin one unit per graph. With `error` the frame has no pixels: its units are given up at once."""
        for graph in stream.due(frame.ref.frame):
            unit = Unit(stream.name, frame, graph)
            if stream.ordered:
                stream.reorders[graph].expect(unit.number)
            if error is None:
                self._dispatcher.offer(unit)
            else:
                self._tally.begin(unit)
                self.give_up(unit, error, now_s)

    def skip(self, stream: Stream) -> None:
        """Count a frame that found no free slot as dropped."""
        self._tally.skip(stream.name, len(stream.graphs))

    # -- results

    def sent(self, unit: Unit) -> None:
        """The unit was sent to a stick."""
        stream = self.by_name[unit.stream]
        if not stream.ordered:
            stream.live_orders[unit.graph].sent(unit)

    def inferred(self, unit: Unit, outcome: Outcome, latency_s: float, now_s: float) -> list[Action]:
        """A stick has answered the unit; `latency_s` is its time on the stick."""
        stream = self._of(unit)
        if stream is None:
            self._tally.end(unit, DROPPED)
            return []
        if outcome.error is not None:
            self.give_up(unit, outcome.error, now_s)
            return self._release(stream, now_s) + stream.producer.grant()
        if stream.ordered:
            return self._enrich(stream, unit, outcome, now_s) + stream.producer.grant()
        # neighbours may be much faster or slower than the sticks of this host
        usual_s = max(latency_s, self._dispatcher.longest_usual_s())
        if not stream.live_orders[unit.graph].arrived(unit, outcome, usual_s, now_s):
            self._tally.end(unit, LATE)
        return self._release(stream, now_s) + stream.producer.grant()

    def missed(self, unit: Unit, how: str, now_s: float) -> list[Action]:
        """No other host has answered the unit, of a live stream; it ends as `how` says, LATE or DROPPED."""
        stream = self._of(unit)
        self._tally.end(unit, how if stream is not None else DROPPED)
        return self._release(stream, now_s) + stream.producer.grant() if stream is not None else []

    def release(self, now_s: float) -> list[Action]:
        """Release held results that are due or wait for no earlier frame."""
        actions: list[Action] = []
        for stream in list(self._holding.values()):
            actions += self._release(stream, now_s) + stream.producer.grant()
        return actions

    @property
    def deadline_s(self) -> float | None:
        """When `release` is due at the latest; None when no result is held."""
        if not self._holding:
            return None
        due = [order.deadline_s for stream in self._holding.values() for order in stream.live_orders.values()]
        return min((when_s for when_s in due if when_s is not None), default=None)

    def publish(self, unit: Unit, outcome: Outcome, now_s: float) -> None:
        """End the unit with a result and record it in the order of frames."""
        stream = self._of(unit)
        if not self._tally.end(unit, RESULT if stream else DROPPED) or stream is None:
            return
        stream.detection.count(now_s)
        stream.latency.add(now_s - unit.frame.captured_s)
        self._in_turn(stream, unit, outcome, now_s)

    def give_up(self, unit: Unit, error: str, now_s: float) -> None:
        """End the unit without a result. An ordered stream records `error`; a live one records nothing."""
        stream = self._of(unit)
        if self._tally.end(unit, GIVEN_UP) and stream is not None and stream.ordered:
            self._in_turn(stream, unit, Outcome(error=error), now_s)

    def abandon(self, unit: Unit, error: str, now_s: float) -> None:
        """The daemon ends before this unit: a resumable stream has no record of it."""
        stream = self._of(unit)
        if stream is not None and stream.resumable:
            self._tally.end(unit, DROPPED)
        else:
            self.give_up(unit, error, now_s)

    def flush(self, now_s: float) -> list[Action]:
        """Release all held results: earlier frames will not finish."""
        actions: list[Action] = []
        for stream in self.by_name.values():
            for order in stream.live_orders.values():
                for unit, outcome in order.flush():
                    actions += self._enrich(stream, unit, outcome, now_s)
        self._holding.clear()
        return actions

    def full(self, stream: Stream) -> bool:
        """A sink of this stream is full."""
        return self._sinks.full(stream.sinks)

    def hold_full(self) -> None:
        """Hold the lanes of ordered streams while one of their sinks is full."""
        for stream in self._ordered:
            self._dispatcher.hold(stream.name, held=self.full(stream))

    def _of(self, unit: Unit) -> Stream | None:
        """The unit's stream; None when it was closed meanwhile."""
        return None if unit.closed else self.by_name.get(unit.stream)

    def _release(self, stream: Stream, now_s: float) -> list[Action]:
        actions: list[Action] = []
        holding = False
        for order in stream.live_orders.values():
            for unit, outcome in order.ready(now_s):
                actions += self._enrich(stream, unit, outcome, now_s)
            holding = holding or order.deadline_s is not None
        if holding:
            self._holding[stream.name] = stream
        else:
            self._holding.pop(stream.name, None)
        return actions

    def _enrich(self, stream: Stream, unit: Unit, outcome: Outcome, now_s: float) -> list[Action]:
        actions = stream.producer.enrich(unit, outcome, now_s)
        if actions is not None:
            return actions
        self.publish(unit, outcome, now_s)
        return []

    def _in_turn(self, stream: Stream, unit: Unit, outcome: Outcome, now_s: float) -> None:
        if stream.asker is not None:
            stream.asker.answer(unit, outcome)
            return
        ready = stream.reorders[unit.graph].finished(unit, outcome) if stream.ordered else [(unit, outcome)]
        for each, result in ready:
            self._record(stream, each, result, now_s)

    def _record(self, stream: Stream, unit: Unit, outcome: Outcome, now_s: float) -> None:
        if unit.number <= stream.published.get(unit.graph, -1):
            self._tally.out_of_order += 1
        stream.published[unit.graph] = unit.number
        if not self._sinks.by_name:
            return
        latency_s = None if outcome.error is not None else now_s - unit.frame.captured_s
        frame, graph = unit.frame, self.graphs[unit.graph]
        record = Record(
            stream.name,
            unit.number,
            frame.captured_at,
            frame.item,
            unit.stick,
            graph,
            latency_s,
            outcome,
            frame.size,
            frame.item_frame,
            frame.item_fps,
        )
        size = len(msgspec.msgpack.encode(record))
        if size > LONGEST_RECORD:
            too_long = Outcome(error=f"result of {size} bytes is longer than {LONGEST_RECORD} bytes")
            record = msgspec.structs.replace(record, latency_s=None, outcome=too_long)
        self._sinks.put(record, stream.sinks, live=not stream.ordered)
