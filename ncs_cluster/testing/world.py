"""A virtual machine room for the core: an Engine, children that behave well or badly, and a clock that jumps from event to event.

    world = World(house(sticks=5, cluster_size=2))
    world.run(3600.0)                        # an hour of rotation in a blink

Actions are performed as the supervisor performs them: one after the other, and a spawned process tells of itself before the next
one is looked at. A message takes `hop_s`; the core is woken on a grid of `grain_s`, as epoll does it. Traits of sticks, cameras
and sink outlive their processes and may be changed at any time. No thread, no sleep, no real clock.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core import events as e
from ncs_cluster.core.child import Limits
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, GATEWAY, OPERATOR, SINK, Who
from ncs_cluster.specs import CameraSpec, ClusterSpec, DiscoverySpec, GatewaySpec, GraphSpec, Settings, SinkSpec, StickSpec
from ncs_cluster.thermal import Heat, Plant
from ncs_cluster.types import CameraName, Detection, FrameRef, GraphName, Outcome, StickId

EPOCH_S = 1000.0
"""Where the monotonic clock stands when the world begins."""
BOX = Outcome([Detection("thing", 1, 0.9, (0.1, 0.1, 0.5, 0.5))])


def house(
    sticks: int = 4,
    cameras: tuple[str, ...] = ("cam0",),
    graphs: tuple[str, ...] = ("demo",),
    *,
    cluster_size: int = 0,
    policy: str | None = None,
    interval_s: float = 10.0,
    switch_temp_c: float = 65.0,
    time_scale: float = 1.0,
    weights: dict[str, float] | None = None,
    results: bool = True,
    page: bool = False,
    stagger_s: float = 0.0,
) -> Settings:
    """Settings of a small installation. Sticks are sim-1, sim-2, ..."""
    return Settings(
        sticks=[StickSpec(StickId(f"sim-{number + 1}"), f"port {number + 1}", "simulated") for number in range(sticks)],
        graphs=[GraphSpec(GraphName(name), f"{name}.xml", "ssd") for name in graphs],
        cameras=[
            CameraSpec(CameraName(name), "synthetic", {}, "synthetic", weight=(weights or {}).get(name, 1.0)) for name in cameras
        ],
        clusters=ClusterSpec(cluster_size, policy or ("ring" if cluster_size else "all"), interval_s, switch_temp_c, time_scale),
        runtimes={},
        runtime_dir="runtime",
        state_dir="state",
        discovery=DiscoverySpec("simulated", stagger_s=stagger_s) if stagger_s else None,
        sink=SinkSpec("results.jsonl") if results else None,
        gateway=GatewaySpec("127.0.0.1", 8080) if page else None,
    )


@dataclass
class StickTraits:
    """A stick as hardware."""

    latency_s: float = 0.1
    depth: int = 2
    sensor: bool = True
    temperature_c: float | None = 40.0
    """What its sensor says when there is no `plant`; None: nothing."""
    throttle_level: int = 0
    plant: Plant | None = None
    heat: Heat = field(default_factory=lambda: Heat(25.0, 25.0))
    poison: Callable[[FrameRef], bool] = lambda _: False
    """Frames it dies of when it begins with them."""
    hangs: bool = False
    """Answers nothing more; still reports its temperature. Over when its process ends, or it was reset."""
    mends: bool = False
    """Its worker resets it in place: when it is told to, or notices after `notices_s`. It is open again after World.open_s."""
    notices_s: float = 1.5
    obeys: bool = True
    refuses: bool = False
    """Answers each frame at once with an error."""
    mute: bool = False
    """Reports nothing."""
    done: int = 0


@dataclass
class CameraTraits:
    """A source."""

    period_s: float = 1 / 30
    frames: int | None = None
    """How many there are; None: for ever."""
    ordered: bool = False
    size: tuple[int, int] = (640, 480)
    depth_scale_m: float | None = 0.001
    corrupt: frozenset[int] = frozenset()
    measure_s: float = 0.001
    answers: bool = True
    """False: its main thread hangs while its capture thread goes on."""


@dataclass
class SinkTraits:
    """The place where results go."""

    write_s: float = 0.0005
    ack_s: float = 0.0005
    full: bool = False
    file: list[bytes] = field(default_factory=list)
    """What a reader of the file sees."""

    def size(self) -> int:
        return sum(len(record) + 1 for record in self.file)

    def behind(self, offset: int) -> int:
        """Whole records after so many bytes."""
        ends = itertools.accumulate(len(record) + 1 for record in self.file)
        return sum(1 for end in ends if end > offset)


class Process:
    """A child from its spawn to its end."""

    def __init__(self, world: World, who: Who) -> None:
        self.world, self.who = world, who
        self.alive = True
        self.heard_by_core = True
        self.stuck = False
        """Neither works nor can be killed."""
        self.frozen = False
        """SIGSTOP: does nothing, dies when killed."""
        self.greeted = False
        self.heard: list[object] = []
        world.after(world.start_s, self._hello)

    def _hello(self) -> None:
        self.greeted = True
        self.say(m.Hello(m.PROTOCOL, self.world.pid(self.who), "3.11"))
        self.beat()

    def say(self, message: object) -> None:
        if self.alive and not self.frozen and not self.stuck:
            self.world.after(self.world.hop_s, lambda: self._deliver(message))

    def _deliver(self, message: object) -> None:
        if self.heard_by_core:
            self.world.tell(self.who, message)

    def beat(self) -> None:
        """Once a second."""
        if self.alive:
            self.heartbeat()
            self.world.after(self.beat_s, self.beat)

    beat_s = 1.0

    def heartbeat(self) -> None:
        self.say(m.Heartbeat())

    def hear(self, message: object) -> None:
        self.heard.append(message)
        if isinstance(message, m.Stop):
            self.world.after(0.01, lambda: self.world.exits(self, "exit code 0", 0))
        else:
            self.react(message)

    def react(self, message: object) -> None: ...


class Worker(Process):
    """Drives a stick: one inference at a time, the next begins when the last one ends."""

    def __init__(self, world: World, who: Who) -> None:
        super().__init__(world, who)
        self.stick = world.sticks[who.name]
        self.stick.hangs = False
        self.open = False
        self._noticing = False
        self.in_hand: dict[int, m.Infer] = {}
        self._free_s = 0.0
        self._busy_s = 0.0
        self._warmed_s = world.now_s
        self.beat_s = max(0.05, 1.0 / world.settings.clusters.time_scale)

    def react(self, message: object) -> None:
        match message:
            case m.OpenStick():
                self.world.after(self.world.open_s, self._opened)
            case m.ResetStick() if self.stick.obeys:
                self.lose()
            case m.Infer() if not self.open:
                pass  # it was on its way when the stick was lost
            case m.Infer():
                if self.stick.refuses:
                    self.say(m.Inferred(message.ticket, Outcome(error="cannot"), 0.0))
                    return
                self.in_hand[message.ticket] = message
                begin_s = max(self.world.now_s, self._free_s)
                self._free_s = begin_s + self.stick.latency_s
                self.world.at(begin_s, lambda: self._begin(message))

    def _opened(self) -> None:
        self.open = True
        self.say(m.StickOpened("virtual stick", self.stick.sensor, self.stick.depth, "virtual firmware", self.stick.mends))
        self.heartbeat()

    def lose(self) -> None:
        """The stick is lost: say so, forget what it had, and open it again."""
        if not self.alive or self.frozen or not self.open:
            return
        self.open = self._noticing = False
        self._free_s = 0.0
        self.in_hand.clear()
        self.say(m.StickLost("no answer in time: it hangs"))
        self.world.after(self.world.open_s, self._reopened)

    def _reopened(self) -> None:
        if self.alive and not self.frozen:
            self.stick.hangs = False
            self._opened()

    def _begin(self, infer: m.Infer) -> None:
        if not self.alive or infer.ticket not in self.in_hand:
            return
        if self.stick.poison(infer.frame):
            self.world.crash(self.who)
            return
        self.world.after(self.stick.latency_s, lambda: self._end(infer))

    def _end(self, infer: m.Infer) -> None:
        if not self.alive or self.frozen or infer.ticket not in self.in_hand:
            return
        if self.stick.hangs:
            if self.stick.mends and not self._noticing:
                self._noticing = True
                self.world.after(self.stick.notices_s, self.lose)
            return
        self._busy_s += self.stick.latency_s
        self.stick.done += 1
        self.world.read(infer.frame)
        del self.in_hand[infer.ticket]
        self.say(m.Inferred(infer.ticket, BOX, self.stick.latency_s))

    def heartbeat(self) -> None:
        if not self.open or self.stick.mute:
            return
        self.warm()
        stick = self.stick
        self.say(m.Telemetry(stick.heat.die_c if stick.plant else stick.temperature_c, stick.throttle_level))

    def warm(self) -> None:
        """Bring the plant up to now."""
        dt_s = self.world.now_s - self._warmed_s
        if self.stick.plant and dt_s > 0:
            plant_s = dt_s * self.world.settings.clusters.time_scale
            share = min(1.0, self._busy_s / dt_s)
            self.stick.heat = self.stick.plant.step(self.stick.heat, plant_s, share, self.world.ambient_c)
        self._warmed_s, self._busy_s = self.world.now_s, 0.0


class Camera(Process):
    """Captures into granted slots. A live one skips when it has none, an ordered one waits."""

    def __init__(self, world: World, who: Who) -> None:
        super().__init__(world, who)
        self.source = world.cameras[who.name]
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
        """The source gives frames (again); call it once more after changing its size."""
        source, first = self.source, not self.open
        self.open = True
        self.grants = deque(grant for grant in self.grants if self._sizes[grant.pool] == source.size)
        finite = source.frames is not None
        self.say(m.SourceOpened(*source.size, 1 / source.period_s, source.depth_scale_m, finite, source.ordered, ""))
        if first:
            self._due_s = self.world.now_s + source.period_s
            self.world.at(self._due_s, self._capture)

    def _capture(self) -> None:
        source = self.source
        if not self.alive or self.frozen:
            return
        if source.frames is not None and self.next_frame >= source.frames:
            self.say(m.SourceEnded(self.next_frame))
            return
        if source.ordered and not self.grants:
            self._waiting = True
            return
        frame = self.next_frame
        self.next_frame += 1
        if self.grants:
            grant = self.grants.popleft()
            ref = FrameRef(CameraName(self.who.name), grant.pool, grant.slot, frame, *source.size)
            error = "no picture" if frame in source.corrupt else None
            self.world.pixels[grant.pool, grant.slot] = (self.who.name, frame)
            self.say(m.FrameCaptured(ref, self.world.now_s, self.world.now_s, f"{frame}.jpg", error))
        else:
            self.say(m.Skipped(frame))
        self._due_s = max(self.world.now_s, self._due_s + source.period_s)
        self.world.at(self._due_s, self._capture)

    def _measured(self, asked: m.Measure) -> None:
        if self.alive and not self.frozen:
            self.world.read(asked.frame)
            self.say(m.Measured(asked.ticket, asked.outcome.detections))

    def heartbeat(self) -> None:
        if self.open and self.source.answers:
            self.say(m.CameraRates(1 / self.source.period_s, 0.0))


class Sink(Process):
    """Writes to a file that outlives it."""

    def __init__(self, world: World, who: Who) -> None:
        super().__init__(world, who)
        self._queue: deque[m.Write] = deque()

    def react(self, message: object) -> None:
        sink = self.world.sink
        match message:
            case m.OpenSink(offset=offset):
                self._opened = m.SinkOpened(0 if offset is None else sink.behind(offset), sink.size())
                self.world.after(self.world.open_s, lambda: self.say(self._opened))
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
        sink.file.append(write.record)
        acked = m.Acked(write.number, sink.size())
        self.world.after(sink.ack_s, lambda: self.say(acked))
        if self._queue:
            self.world.after(sink.write_s, self._write)


class Gateway(Process):
    """The page."""

    def react(self, message: object) -> None:
        if isinstance(message, m.OpenGateway):
            self.say(m.GatewayOpened("127.0.0.1", 8080))


KINDS: dict[str, type[Process]] = {"worker": Worker, "camera": Camera, "sink": Sink, "gateway": Gateway}


class World:
    """Everything around one Engine."""

    def __init__(self, settings: Settings, *, hop_s: float = 0.0002, grain_s: float = 0.001, limits: Limits | None = None) -> None:
        self.settings = settings
        self.hop_s, self.grain_s = hop_s, grain_s
        self.start_s, self.open_s, self.exit_s = 0.2, 0.3, 0.005
        self.ambient_c = 25.0
        self.now_s = EPOCH_S
        self.engine = Engine(settings, self.now_s, limits)
        self.sticks: dict[str, StickTraits] = defaultdict(StickTraits)
        self.cameras: dict[str, CameraTraits] = defaultdict(CameraTraits)
        self.sink = SinkTraits()
        self.processes: dict[Who, Process] = {}
        self.unspawnable: set[Who] = set()
        self.notes: list[tuple[float, a.Note]] = []
        self.replies: list[m.Reply] = []
        self.pixels: dict[tuple[int, int], tuple[str, int]] = {}
        self.torn = 0
        """Frames that were overwritten while somebody read them."""
        self.wakes = 0
        self.exit_code: int | None = None
        self.exited_s: float | None = None
        self.watchers: list[Callable[[a.Action], None]] = []
        """Called with each action just before it is performed."""
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._stalled = False
        self._untold: list[tuple[Who, object, Process | None]] = []

    # -- time

    def start(self) -> World:
        self._perform(self.engine.start(self.now_s))
        return self

    def at(self, when_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when_s, next(self._count), do))

    def after(self, in_s: float, do: Callable[[], None]) -> None:
        self.at(self.now_s + in_s, do)

    def run(self, for_s: float) -> None:
        """Until that much time has passed or the daemon has ended."""
        end_s = self.now_s + for_s
        while self.exit_code is None:
            wake_s = math.ceil(self.engine.deadline_s / self.grain_s - 1e-6) * self.grain_s
            event_s = self._queue[0][0] if self._queue else math.inf
            if min(wake_s, event_s) > end_s:
                break
            if event_s <= wake_s:
                self.now_s = max(self.now_s, event_s)
                heapq.heappop(self._queue)[2]()
            else:
                # a real clock never stands still
                self.now_s = max(self.now_s + 1e-6, wake_s)
                self.wakes += 1
                self._perform(self.engine.wake(self.now_s))
        self.now_s = max(self.now_s, end_s)

    def stall(self, for_s: float) -> None:
        """The supervisor stands still; its children do not."""
        end_s = self.now_s + for_s
        self._stalled = True
        while self._queue and self._queue[0][0] <= end_s:
            self.now_s = max(self.now_s, self._queue[0][0])
            heapq.heappop(self._queue)[2]()
        self.now_s, self._stalled = end_s, False
        late, self._untold = self._untold, []
        for who, message, process in late:
            if process is None or process.heard_by_core:
                self.tell(who, message)

    # -- what happens to it

    def tell(self, who: Who, message: object) -> None:
        """An event for the core."""
        if self.exit_code is not None:
            return
        if self._stalled:
            self._untold.append((who, message, self.processes.get(who)))
            return
        if isinstance(message, e.Exited):
            self.processes.pop(who, None)
        self._perform(self.engine.handle(who, message, self.now_s))

    def crash(self, who: Who, how: str = "killed by SIGSEGV") -> None:
        """The process ends by itself; what it has said before is still heard."""
        if who in self.processes:
            self.exits(self.processes[who], how, -11)

    def exits(self, process: Process, how: str, code: int) -> None:
        if process.alive and not process.stuck:
            process.alive = False
            self.after(self.exit_s, lambda: self.tell(process.who, e.Exited(how, code)))

    def unplug(self, stick: str) -> None:
        self.tell(BUS, e.StickGone(StickId(stick)))

    def plug(self, stick: str) -> None:
        known = {spec.id: spec for spec in self.settings.sticks}
        found = known.get(StickId(stick)) or StickSpec(StickId(stick), "port", "simulated")
        self.tell(BUS, e.StickFound(found))

    def ask_stop(self) -> None:
        self.tell(OPERATOR, e.StopAsked())

    def ask_switch(self) -> m.Reply:
        self.tell(Who("client", "1"), m.AskSwitch())
        return self.replies[-1]

    def pid(self, who: Who) -> int:
        return 2 + abs(hash(who)) % 30_000

    def read(self, frame: FrameRef) -> None:
        """Somebody has just finished reading these pixels."""
        if self.pixels.get((frame.pool, frame.slot)) != (frame.camera, frame.frame):
            self.torn += 1

    def worker(self, stick: str) -> Worker | None:
        process = self.processes.get(Who("worker", stick))
        return process if isinstance(process, Worker) else None

    def camera(self, name: str = "cam0") -> Camera | None:
        process = self.processes.get(Who("camera", name))
        return process if isinstance(process, Camera) else None

    @property
    def notes_text(self) -> str:
        return "\n".join(f"{when_s - EPOCH_S:9.3f} {note.who}: {note.text}" for when_s, note in self.notes)

    # -- what the core wants

    def _perform(self, actions: list[a.Action]) -> None:
        for action in actions:
            for watch in self.watchers:
                watch(action)
            match action:
                case a.Send(to=to, message=message):
                    self._send(to, message)
                case a.Spawn(who=who):
                    self._spawn(who)
                case a.Kill(who=who):
                    self._kill(who)
                case a.Unplug(stick=stick):
                    self.unplug(stick)
                case a.Note():
                    self.notes.append((self.now_s, action))
                case a.Exit(code=code):
                    if self.exit_code is None:
                        self.exit_code, self.exited_s = code, self.now_s
                case _:
                    pass

    def _send(self, to: Who, message: object) -> None:
        if to.kind == "client":
            assert isinstance(message, m.Reply)
            self.replies.append(message)
            return
        process = self.processes.get(to)
        if process is None or not process.alive or not process.heard_by_core:
            return

        def arrive() -> None:
            if process.alive and not process.frozen and not process.stuck:
                process.hear(message)

        self.after(self.hop_s, arrive)

    def _spawn(self, who: Who) -> None:
        if who in self.unspawnable:
            self.tell(who, e.SpawnFailed("no such interpreter"))
            return
        assert who not in self.processes, f"{who} is spawned while it still runs"
        self.processes[who] = KINDS[who.kind](self, who)
        self.tell(who, e.Spawned(self.pid(who)))

    def _kill(self, who: Who) -> None:
        process = self.processes.get(who)
        if process is None:
            return
        process.heard_by_core = False
        self.exits(process, "killed by SIGKILL", -9)


__all__ = ["BUS", "GATEWAY", "OPERATOR", "SINK", "CameraTraits", "SinkTraits", "StickTraits", "Who", "World", "house"]
