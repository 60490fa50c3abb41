"""The simulated child processes of testing.world, one class per kind: each sends the messages of the real one, with faults by its
traits. State that outlives a process is in `hardware`; `world` moves messages and time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ncs_cluster import messages as m
from ncs_cluster.core.events import Endpoint
from ncs_cluster.sinks._json import encode
from ncs_cluster.specs import GraphSpec
from ncs_cluster.thermal import throttle_level
from ncs_cluster.types import CameraName, Detection, FrameRef, GraphName, Outcome

if TYPE_CHECKING:
    from ncs_cluster.testing.world import World

BOX = Outcome([Detection("thing", 1, 0.9, (0.1, 0.1, 0.5, 0.5))])


class Process:
    """A child process from its spawn to its exit."""

    def __init__(self, world: World, endpoint: Endpoint) -> None:
        self.world, self.endpoint = world, endpoint
        self.alive = True
        self.connected = True
        self.stuck = False
        """Blocked in the kernel: does nothing and cannot be killed."""
        self.frozen = False
        """Stopped by SIGSTOP: does nothing, but can be killed."""
        self.hello_sent = False
        self.received: list[object] = []
        world.after(world.start_s, self._hello)

    def _hello(self) -> None:
        self.hello_sent = True
        self.send(m.Hello(m.PROTOCOL, self.world.pid(self.endpoint), "3.11"))
        self._send_heartbeats()

    def send(self, message: object) -> None:
        if self.alive and not self.frozen and not self.stuck:
            self.world.after(self.world.hop_s, lambda: self._deliver(message))

    def _deliver(self, message: object) -> None:
        if self.connected:
            self.world.deliver(self.endpoint, message)

    def _send_heartbeats(self) -> None:
        """Send a heartbeat, then again every `heartbeat_period_s`."""
        if self.alive:
            self.heartbeat()
            self.world.after(self.heartbeat_period_s, self._send_heartbeats)

    heartbeat_period_s = 1.0

    def heartbeat(self) -> None:
        self.send(m.Heartbeat())

    def receive(self, message: object) -> None:
        self.received.append(message)
        if isinstance(message, m.Stop):
            self.world.after(0.01, lambda: self.world.exits(self, "exit code 0", 0))
        else:
            self.react(message)

    def react(self, message: object) -> None: ...


class Worker(Process):
    """Drives a stick: one inference at a time."""

    def __init__(self, world: World, endpoint: Endpoint) -> None:
        super().__init__(world, endpoint)
        self.stick = world.sticks[endpoint.name]
        self.stick.hangs = False
        self.open = False
        self._loss_pending = False
        self.graphs: list[GraphSpec] = []
        self.in_hand: dict[int, m.Infer] = {}
        self._free_s = 0.0
        self._reset_epoch = 0
        self._busy_s = 0.0
        self._warmed_s = world.now_s
        self.heartbeat_period_s = max(0.05, 1.0 / world.time_scale)

    def react(self, message: object) -> None:
        match message:
            case m.OpenStick(graphs=graphs):
                self.graphs = graphs
                self.world.after(self.world.open_s, self._opened)
            case m.ChangeGraphs(graphs=graphs):
                assert [graph.model for graph in graphs] == [graph.model for graph in self.graphs]
                self.graphs = graphs
            case m.ResetStick() if self.stick.obeys:
                self.lose_stick()
            case m.Reopen() if not self.open:
                self.world.after(self.world.open_s, self._reopened)
            case m.Infer() if not self.open:
                pass  # sent before the stick was lost
            case m.Infer() if message.reset_epoch != self._reset_epoch:
                pass  # sent before the supervisor received StickLost
            case m.Infer():
                if self.stick.refuses:
                    self.send(m.Inferred(message.ticket, Outcome(error="cannot"), 0.0))
                    return
                if self.stick.misses:
                    missed = m.Inferred(message.ticket, Outcome(), self.stick.latency_s, [], self.stick.misses)
                    self.world.after(self.stick.latency_s, lambda: self.send(missed))
                    return
                self.in_hand[message.ticket] = message
                begin_s = max(self.world.now_s, self._free_s)
                self._free_s = begin_s + self._takes_s(message)
                self.world.at(begin_s, lambda: self._begin(message))

    def _opened(self) -> None:
        for model in [graph.model for graph in self.graphs if graph.model in self.stick.cannot_load]:
            self.send(m.Failed("graph", f"{model}: too large", permanent=True))
            self.world.after(self.world.exit_s, lambda: self.world.exits(self, "exit code 1", 1))
            return
        if any(graph.model in self.stick.crashes_with for graph in self.graphs):
            self.world.crash(self.endpoint)
            return
        self.open = True
        self.send(
            m.StickOpened("virtual stick", self.stick.sensor, self.stick.max_in_flight, "virtual firmware", self.stick.can_reset)
        )
        self.heartbeat()

    def lose_stick(self) -> None:
        """The stick is lost: send StickLost, drop its requests, open it again after Reopen."""
        if not self.alive or self.frozen or not self.open:
            return
        self.open = self._loss_pending = False
        self._reset_epoch += 1
        self._free_s = 0.0
        self.in_hand.clear()
        self.send(m.StickLost("no result in time: stick hangs"))

    def _reopened(self) -> None:
        if self.alive and not self.frozen:
            self.stick.hangs = False
            self._opened()

    def _takes_s(self, infer: m.Infer) -> float:
        return self.stick.slower.get(infer.graph, self.stick.latency_s) + self.stick.pause_s

    def _begin(self, infer: m.Infer) -> None:
        if not self.alive or infer.ticket not in self.in_hand:
            return
        if self.stick.poison(infer.frame):
            self.world.crash(self.endpoint)
            return
        self.world.after(self._takes_s(infer), lambda: self._end(infer))

    def _end(self, infer: m.Infer) -> None:
        if not self.alive or self.frozen or infer.ticket not in self.in_hand:
            return
        if self.stick.hangs:
            if self.stick.can_reset and not self._loss_pending:
                self._loss_pending = True
                self.world.after(self.stick.notices_s, self.lose_stick)
            return
        self._busy_s += self._takes_s(infer) - self.stick.pause_s
        self.stick.done += 1
        self.world.read(infer.frame)
        del self.in_hand[infer.ticket]
        model = self.graphs[infer.graph].model if self.graphs else "none"
        found = Outcome([Detection(model, 1, 0.9, (0.1, 0.1, 0.5, 0.5))]) if self.stick.names_model else BOX
        self.send(m.Inferred(infer.ticket, found, self._takes_s(infer)))

    def heartbeat(self) -> None:
        if not self.open or self.stick.mute:
            return
        self.warm()
        stick = self.stick
        self.send(m.Telemetry(stick.heat.die_c if stick.plant else stick.temperature_c, stick.throttle_level))

    def warm(self) -> None:
        """Advance the plant to the present time."""
        dt_s = self.world.now_s - self._warmed_s
        if self.stick.plant and dt_s > 0:
            plant_s = dt_s * self.world.time_scale
            share = min(1.0, self._busy_s / dt_s)
            self.stick.heat = self.stick.plant.step(self.stick.heat, plant_s, share, self.world.ambient_c)
            self.stick.level = throttle_level(self.stick.level, self.stick.heat.die_c)
        self._warmed_s, self._busy_s = self.world.now_s, 0.0


class Camera(Process):
    """Captures into granted slots. Without one a live camera skips the frame, an ordered one waits."""

    def __init__(self, world: World, endpoint: Endpoint) -> None:
        super().__init__(world, endpoint)
        self.source = world.cameras[endpoint.name]
        self.next_frame = 0
        self.open = False
        self.grants: deque[m.Grant] = deque()
        self._due_s = 0.0
        self._waiting = False
        self._sizes: dict[int, tuple[int, int]] = {}

    def react(self, message: object) -> None:
        match message:
            case m.OpenSource(first_frame=first):
                self.next_frame = first
                self.world.after(self.world.open_s, self.opened)
            case m.MapPool(layout=layout):
                self._sizes[layout.pool] = (layout.max_width, layout.max_height)
            case m.Grant() if self._sizes[message.pool] == self.source.size:
                self.grants.append(message)
                if self._waiting:
                    self._waiting = False
                    self._capture()
            case m.Measure() if self.source.answers:
                self.world.after(self.source.measure_s, lambda: self._measured(message))

    def opened(self) -> None:
        """The source is open; call it again after a change of its size."""
        source, first = self.source, not self.open
        self.open = True
        self.grants = deque(grant for grant in self.grants if self._sizes[grant.pool] == source.size)
        finite = source.frames is not None
        self.send(m.SourceOpened(*source.size, 1 / source.period_s, source.depth_scale_m, finite, source.ordered, ""))
        if first:
            self._due_s = self.world.now_s + source.period_s
            self.world.at(self._due_s, self._capture)

    def _capture(self) -> None:
        source = self.source
        if not self.alive or self.frozen:
            return
        if source.frames is not None and self.next_frame >= source.frames:
            self.send(m.SourceEnded(self.next_frame))
            return
        if source.ordered and not self.grants:
            self._waiting = True
            return
        frame = self.next_frame
        self.next_frame += 1
        if self.grants:
            grant = self.grants.popleft()
            ref = FrameRef(CameraName(self.endpoint.name), grant.pool, grant.slot, frame, *source.size)
            error = "no picture" if frame in source.corrupt else None
            self.world.pixels[grant.pool, grant.slot] = (self.endpoint.name, frame)
            self.send(m.FrameCaptured(ref, self.world.now_s, self.world.now_s, f"{frame}.jpg", error))
        else:
            self.send(m.Skipped(frame))
        self._due_s = max(self.world.now_s, self._due_s + source.period_s)
        self.world.at(self._due_s, self._capture)

    def _measured(self, measure: m.Measure) -> None:
        if self.alive and not self.frozen:
            self.world.read(measure.frame)
            self.send(m.Measured(measure.ticket, measure.outcome.detections))

    def heartbeat(self) -> None:
        if self.open and self.source.answers:
            self.send(m.CameraRates(1 / self.source.period_s, 0.0))


class Sink(Process):
    """Writes to SinkTraits.file, which outlives the process."""

    def __init__(self, world: World, endpoint: Endpoint) -> None:
        super().__init__(world, endpoint)
        self._queue: deque[m.Write] = deque()

    def react(self, message: object) -> None:
        sink = self.world.sink
        match message:
            case m.OpenSink(first=first, token=token):
                written = 0 if token is None else sink.behind(int(token))
                self._opened = m.SinkOpened(first + written, b"%d" % sink.size)
                self.world.after(self.world.open_s, lambda: self.send(self._opened))
            case m.Write():
                self._queue.append(message)
                if len(self._queue) == 1:
                    self.world.after(sink.write_s, self._write)

    def _write(self) -> None:
        sink = self.world.sink
        if not self.alive or self.frozen:
            return
        if sink.full:
            self.world.after(1.0, self._write)
            return
        write = self._queue.popleft()
        sink.write(encode(write.record))
        acked = m.Acked(write.number, b"%d" % sink.size)
        self.world.after(sink.ack_s, lambda: self.send(acked))
        if self._queue:
            self.world.after(sink.write_s, self._write)


class Gateway(Process):
    """The gateway process, whose clients ask as often as `world.clients` says."""

    def __init__(self, world: World, endpoint: Endpoint) -> None:
        super().__init__(world, endpoint)
        self.grants: deque[m.Grant] = deque()

    def react(self, message: object) -> None:
        if isinstance(message, m.OpenGateway):
            self.send(m.GatewayOpened("127.0.0.1", 8080))
            if self.world.clients.every_s:
                self.send(m.OpenIntake())
                self.world.after(self.world.clients.every_s, self._ask)
        elif isinstance(message, m.Grant):
            self.grants.append(message)
        elif isinstance(message, m.Answered):
            self.world.clients.answers[message.ask].append(message)

    def _ask(self) -> None:
        clients = self.world.clients
        if not self.alive:
            return
        self.world.after(clients.every_s, self._ask)
        if self.frozen or self.stuck or not self.grants:
            clients.refused += 1
            return
        grant, number = self.grants.popleft(), clients.asked
        clients.asked += 1
        self.world.pixels[grant.pool, grant.slot] = ("api", number)
        self.send(m.Ask(GraphName(clients.graph), FrameRef(CameraName("api"), grant.pool, grant.slot, number, 640, 480)))
        if clients.patience_s:
            self.world.after(clients.patience_s, lambda: self._withdraw(number))

    def _withdraw(self, number: int) -> None:
        if not self.world.clients.answers[number]:
            self.world.clients.withdrawn.add(number)
            self.send(m.Withdraw(number))


KINDS: dict[str, type[Process]] = {"worker": Worker, "camera": Camera, "sink": Sink, "gateway": Gateway}
