"""A simulation around the core: an Engine, child processes with faults on demand, and a clock that jumps from event to event.

    world = World(installation(sticks=5, cluster_size=2))
    world.run(3600.0)                        # an hour of rotation in a moment

Actions are performed as by the supervisor, in order; events they cause (a spawned process) follow the last one. A message takes
`hop_s`; the core is woken at multiples of `grain_s`, as by epoll. Traits of sticks, cameras and sink (`hardware`) outlive their
`processes` and may be changed at any time. No thread, no sleep, no real clock.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ncs_cluster import messages as m
from ncs_cluster.backends import ON_CPU, SIMULATED
from ncs_cluster.core import actions as a
from ncs_cluster.core import events as e
from ncs_cluster.core.child import Limits
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import BUS, OPERATOR, Endpoint
from ncs_cluster.specs import (
    CameraSpec,
    ClusterSpec,
    DiscoverySpec,
    FallbackSpec,
    GatewaySpec,
    GraphSpec,
    PoolSpec,
    Settings,
    SinkSpec,
    StickSpec,
)
from ncs_cluster.testing.hardware import CameraTraits, ClientTraits, SinkTraits, StickTraits
from ncs_cluster.testing.processes import KINDS, Camera, Process, Worker
from ncs_cluster.types import CameraName, FrameRef, GraphName, StickId

EPOCH_S = 1000.0
"""The monotonic time at which a world begins."""


def installation(
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
    gateway: bool = False,
    stagger_s: float = 0.0,
    fallback: FallbackSpec | None = None,
) -> Settings:
    """Settings of a small installation. Sticks are sim-1, sim-2, ..."""
    clusters = ClusterSpec(cluster_size, policy or ("ring" if cluster_size else "all"), interval_s, switch_temp_c, time_scale)
    return Settings(
        pools=[
            PoolSpec(
                clusters,
                [StickSpec(StickId(f"sim-{n}"), f"port {n}", SIMULATED, simulated=True) for n in range(1, sticks + 1)],
                DiscoverySpec(SIMULATED, stagger_s=stagger_s, simulated=True) if stagger_s else None,
            )
        ],
        graphs=[GraphSpec(GraphName(name), f"{name}.xml", "ssd") for name in graphs],
        cameras=[
            CameraSpec(CameraName(name), "synthetic", {}, "synthetic", weight=(weights or {}).get(name, 1.0)) for name in cameras
        ],
        runtimes={},
        runtime_dir="runtime",
        state_dir="state",
        sinks=[SinkSpec("jsonl", {"path": "results.jsonl"}, "results.jsonl")] if results else [],
        gateway=GatewaySpec("127.0.0.1", 8080) if gateway else None,
        fallback=fallback,
    )


def cpu_fallback(*, standby: bool = True) -> FallbackSpec:
    """A fallback of one CPU worker, cpu-1."""
    stick = StickSpec(StickId("cpu-1"), "CPU 1", ON_CPU, on_host=True, pool="fallback")
    return FallbackSpec(PoolSpec(ClusterSpec(), [stick], name="fallback"), standby=standby)


class World:
    """The simulated processes and hardware around one Engine."""

    def __init__(self, settings: Settings, *, hop_s: float = 0.0002, grain_s: float = 0.001, limits: Limits | None = None) -> None:
        self.settings = settings
        self.time_scale = settings.pools[0].clusters.time_scale
        self.hop_s, self.grain_s = hop_s, grain_s
        self.start_s, self.open_s, self.exit_s = 0.2, 0.3, 0.005
        self.ambient_c = 25.0
        self.now_s = EPOCH_S
        self.engine = Engine(settings, self.now_s, limits)
        self.sticks: dict[str, StickTraits] = defaultdict(StickTraits)
        self.cameras: dict[str, CameraTraits] = defaultdict(CameraTraits)
        self.sink = SinkTraits()
        self.clients = ClientTraits()
        self.processes: dict[Endpoint, Process] = {}
        self.unspawnable: set[Endpoint] = set()
        self.log_events: list[tuple[float, a.LogEvent]] = []
        self.replies: list[m.Reply] = []
        self.pixels: dict[tuple[int, int], tuple[str, int]] = {}
        self.torn = 0
        """Frames that were overwritten while a process read them."""
        self.wakes = 0
        self.exit_code: int | None = None
        self.exited_s: float | None = None
        self.watchers: list[Callable[[a.Action], None]] = []
        """Called with each action before it is performed."""
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._stalled = False
        self._inbox: deque[tuple[Endpoint, object]] = deque()
        self._queueing = False
        """Events wait in the inbox."""
        self._undelivered: list[tuple[Endpoint, object, Process | None]] = []

    # -- time

    def start(self) -> World:
        self._perform(self.engine.start(self.now_s))
        self._drain()
        return self

    def at(self, when_s: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when_s, next(self._count), do))

    def after(self, in_s: float, do: Callable[[], None]) -> None:
        self.at(self.now_s + in_s, do)

    def run(self, for_s: float) -> None:
        """Run for `for_s` of simulated time, or until the daemon ends."""
        end_s = self.now_s + for_s
        while self.exit_code is None:
            wake_s = math.ceil(self.engine.deadline_s / self.grain_s - 1e-6) * self.grain_s
            event_s = self._queue[0][0] if self._queue else math.inf
            if min(wake_s, event_s) > end_s:
                break
            if event_s <= wake_s:
                self.now_s = max(self.now_s, event_s)
                # as _one_turn, without its cost a hundred thousand times
                self._queueing = True
                while self._queue and self._queue[0][0] == event_s:
                    heapq.heappop(self._queue)[2]()
                self._queueing = False
                self._drain()
            else:
                # a real clock always advances
                self.now_s = max(self.now_s + 1e-6, wake_s)
                self.wakes += 1
                self._perform(self.engine.wake(self.now_s))
                self._drain()
        self.now_s = max(self.now_s, end_s)

    def stall(self, for_s: float) -> None:
        """The supervisor's event loop stalls; its children run."""
        end_s = self.now_s + for_s
        self._stalled = True
        while self._queue and self._queue[0][0] <= end_s:
            self.now_s = max(self.now_s, self._queue[0][0])
            heapq.heappop(self._queue)[2]()
        self.now_s, self._stalled = end_s, False
        late, self._undelivered = self._undelivered, []
        with self._one_turn():
            for endpoint, message, process in late:
                if process is None or process.connected:
                    self.deliver(endpoint, message)

    # -- events

    def deliver(self, endpoint: Endpoint, message: object) -> None:
        """Deliver an event to the core."""
        if self.exit_code is not None:
            return
        if self._stalled:
            self._undelivered.append((endpoint, message, self.processes.get(endpoint)))
            return
        self._inbox.append((endpoint, message))
        if not self._queueing:
            self._drain()

    @contextmanager
    def _one_turn(self) -> Iterator[None]:
        """Events of this block are handled after it, in one turn of the event loop."""
        self._queueing = True
        yield
        self._queueing = False
        self._drain()

    def _drain(self) -> None:
        """Handle the queued events, including those that the handling causes, as the supervisor does."""
        while self._inbox and self.exit_code is None:
            while self._inbox:
                endpoint, message = self._inbox.popleft()
                if isinstance(message, e.Exited):
                    self.processes.pop(endpoint, None)
                if self.exit_code is None:
                    self._perform(self.engine.receive(endpoint, message, self.now_s))
            if self.exit_code is None:
                self._perform(self.engine.hand_over(self.now_s))

    def crash(self, endpoint: Endpoint, how: str = "killed by SIGSEGV") -> None:
        """The process crashes; messages it has sent are still delivered."""
        if endpoint in self.processes:
            self.exits(self.processes[endpoint], how, -11)

    def exits(self, process: Process, how: str, code: int) -> None:
        if process.alive and not process.stuck:
            process.alive = False
            self.after(self.exit_s, lambda: self.deliver(process.endpoint, e.Exited(how, code)))

    def unplug(self, stick: str) -> None:
        self.deliver(BUS, e.StickGone(StickId(stick)))

    def plug(self, stick: str) -> None:
        known = {spec.id: spec for spec in self.settings.sticks}
        found = known.get(StickId(stick)) or StickSpec(StickId(stick), "port", SIMULATED, simulated=True)
        self.deliver(BUS, e.StickFound(found))

    def ask_stop(self) -> None:
        self.deliver(OPERATOR, e.StopRequested())

    def ask_switch(self) -> None:
        self.deliver(Endpoint("client", "1"), m.AskSwitch())

    def pid(self, endpoint: Endpoint) -> int:
        return 2 + abs(hash(endpoint)) % 30_000

    def read(self, frame: FrameRef) -> None:
        """A process has finished reading this frame: counts it as torn where the slot holds another one."""
        if self.pixels.get((frame.pool, frame.slot)) != (frame.camera, frame.frame):
            self.torn += 1

    def worker(self, stick: str) -> Worker | None:
        process = self.processes.get(Endpoint("worker", stick))
        return process if isinstance(process, Worker) else None

    def camera(self, name: str = "cam0") -> Camera | None:
        process = self.processes.get(Endpoint("camera", name))
        return process if isinstance(process, Camera) else None

    @property
    def log_text(self) -> str:
        return "\n".join(f"{when_s - EPOCH_S:9.3f} {note.origin}: {note.text}" for when_s, note in self.log_events)

    # -- actions

    def _perform(self, actions: list[a.Action]) -> None:
        queueing, self._queueing = self._queueing, True
        for action in actions:
            for watch in self.watchers:
                watch(action)
            match action:
                case a.Send(to=to, message=message):
                    self._send(to, message)
                case a.Spawn(endpoint=endpoint):
                    self._spawn(endpoint)
                case a.Kill(endpoint=endpoint):
                    self._kill(endpoint)
                case a.Unplug(stick=stick):
                    self.unplug(stick)
                case a.LogEvent():
                    self.log_events.append((self.now_s, action))
                case a.Exit(code=code):
                    if self.exit_code is None:
                        self.exit_code, self.exited_s = code, self.now_s
                case _:
                    pass
        self._queueing = queueing

    def _send(self, to: Endpoint, message: object) -> None:
        if to.kind == "client":
            assert isinstance(message, m.Reply)
            self.replies.append(message)
            return
        process = self.processes.get(to)
        if process is None or not process.alive or not process.connected:
            return

        def arrive() -> None:
            if process.alive and not process.frozen and not process.stuck:
                process.receive(message)

        self.after(self.hop_s, arrive)

    def _spawn(self, endpoint: Endpoint) -> None:
        if endpoint in self.unspawnable:
            self.deliver(endpoint, e.SpawnFailed("no such interpreter"))
            return
        assert endpoint not in self.processes, f"{endpoint} is spawned while it still runs"
        self.processes[endpoint] = KINDS[endpoint.kind](self, endpoint)
        self.deliver(endpoint, e.Spawned(self.pid(endpoint)))

    def _kill(self, endpoint: Endpoint) -> None:
        process = self.processes.get(endpoint)
        if process is None:
            return
        process.connected = False
        self.exits(process, "killed by SIGKILL", -9)
