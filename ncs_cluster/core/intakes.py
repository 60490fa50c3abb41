"""All intakes, and what the daemon tells them of its graphs and sticks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ncs_cluster.core.actions import Action, Send
from ncs_cluster.core.daemon import Daemon
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.intake import LEAST_OPEN, SLOTS, Intake
from ncs_cluster.core.load import Load
from ncs_cluster.core.stream import Stream
from ncs_cluster.core.streams import Streams
from ncs_cluster.core.work import DROPPED, Tally, Unit
from ncs_cluster.core.workers import Workers
from ncs_cluster.messages import Served, ServedGraph
from ncs_cluster.specs import GraphSpec


class Intakes:
    """The intakes by name."""

    def __init__(
        self,
        graphs: Callable[[], Sequence[GraphSpec]],
        workers: Workers,
        load: Load,
        tally: Tally,
        daemon: Daemon,
    ) -> None:
        self.by_name: dict[str, Intake] = {}
        self.pools = workers.pools
        self.dispatcher: Dispatcher = workers.dispatcher
        self._streams: Streams = workers.streams
        self._graphs, self._workers, self._load, self._tally, self._daemon = graphs, workers, load, tally, daemon
        self._told: dict[str, Served] = {}
        self._seen: tuple[int, object, object] = (-1, None, None)
        """`able_changes`, ports and graphs at the last message to the intakes."""

    @property
    def stopping(self) -> bool:
        return self._daemon.stopping

    def add(self, name: str, endpoint: Endpoint, weight: float) -> Intake:
        self.by_name[name] = Intake(name, endpoint, self, weight)
        return self.by_name[name]

    def set_weights(self, weights: Mapping[str, float]) -> None:
        for name, weight in weights.items():
            intake = self.by_name[name]
            intake.weight = weight
            if intake.stream is not None:
                self._streams.set_weight(intake.stream.name, weight * len(intake.stream.graphs))

    def change_graphs(self, now_s: float) -> None:
        """The graphs of the settings have changed. Pictures that wait for a removed graph are answered with an error."""
        for intake in self.by_name.values():
            if intake.stream is not None:
                graphs = self._streams.indices([])
                self._streams.change_graphs(intake.stream, graphs, now_s, weight=intake.weight * len(graphs))

    def listening(self) -> list[Endpoint]:
        """The workers that map the pools."""
        return self._workers.listening

    def graph_index(self, name: str) -> int | None:
        return next(iter(self._streams.indices([name])), None)

    def open_stream(self, intake: Intake) -> Stream:
        graphs = self._streams.indices([])
        # each ask goes through one of the graphs, so the stream's weight is not divided among them
        weight = intake.weight * len(graphs)
        stream = Stream(f"asks of {intake.name}", intake, graphs=graphs, weight=weight, ordered=True, sinks=(), asker=intake)
        self._streams.open(stream)
        return stream

    def drop(self, unit: Unit) -> None:
        """Drop a withdrawn unit: at once while it waits in its lane, else when its stick answers."""
        if unit.ended is None and self.dispatcher.withdraw(unit):
            self._tally.end(unit, DROPPED)

    def most_open(self) -> int:
        """Asks of one intake that may be open at once: what the sticks hold, and as much again that waits for them."""
        return min(SLOTS, max(LEAST_OPEN, 2 * sum(queue.capacity for queue in self.dispatcher.queues.values())))

    def served(self, now_s: float) -> Served:
        ports = self._workers.ports
        graphs = []
        for spec in self._graphs():
            known = ports.get(spec.name)
            size = (known.width, known.height, known.outputs) if known is not None else (0, 0, [])
            graphs.append(ServedGraph(spec.name, spec.decoder, spec.labels, *size, spec))
        sticks = sum(1 for queue in self.dispatcher.queues.values() if queue.duty > 0.0)
        capacity = self._load.capacity
        retry_after_s = self._load.retry_after_s(now_s)
        sustained = self._load.sustained_now
        spare = None if sustained is None else round(max(0.0, sustained - self._load.asked_now), 1)
        return Served(graphs, sticks, None if capacity is None else round(capacity, 1), retry_after_s, spare)

    def flush(self) -> list[Action]:
        """The answers that wait to be sent."""
        return [action for intake in self.by_name.values() if intake.has_answers for action in intake.grant()]

    def tick(self) -> list[Action]:
        return [action for intake in self.by_name.values() for action in intake.tick()]

    def tell_at_once(self, now_s: float) -> list[Action]:
        """Send changes of sticks and graphs at once, so that a picture sent as soon as a stick is ready is not refused. Called in
        each turn of the loop, so it reads no stick."""
        changes, ports, graphs = self._seen
        if changes == self.dispatcher.able_changes and ports is self._workers.ports and graphs is self._graphs():
            return []
        return self.tell(now_s)

    def tell(self, now_s: float) -> list[Action]:
        """Send what has changed for the intakes, with rates and the time to ask again. Called once a second."""
        self._seen = self.dispatcher.able_changes, self._workers.ports, self._graphs()
        listening = [intake for intake in self.by_name.values() if intake.is_open]
        if not listening:
            return []
        served = self.served(now_s)
        actions: list[Action] = []
        for intake in listening:
            if self._told.get(intake.name) != served:
                self._told[intake.name] = served
                actions.append(Send(intake.endpoint, served))
        return actions
