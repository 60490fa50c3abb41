"""The whole engine under arbitrary misfortune: frames, answers, deaths, hangs, heat, pulled sticks and stopped clocks in any order.

Every action and every step is looked at by the referee; at the end all trouble is over, and what was begun must come to an end.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from ncs_cluster import messages as m
from ncs_cluster.control_messages import ChangeStick
from ncs_cluster.core.events import GATEWAY, SINK, Endpoint
from ncs_cluster.testing.hardware import StickTraits
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import CameraName, FrameRef, Outcome
from tests.core.referee import Referee
from tests.core.stick_troubles import STICKS, StickTroubles
from tests.hypothesis_profiles import examples

pytestmark = pytest.mark.slow

CAMERAS = st.integers(0, 2).map(lambda number: f"cam{number}")
KINDS = st.sampled_from(["worker", "camera", "sink", "gateway"])


class AnyOrder(StickTroubles):
    """What hypothesis does to a world."""

    @initialize(
        sticks=st.integers(1, 5),
        cluster_size=st.integers(0, 3),
        policy=st.sampled_from(["ring", "all", "coolest", "predictive"]),
        cameras=st.integers(1, 3),
        ordered=st.lists(st.booleans(), min_size=3, max_size=3),
        graphs=st.integers(1, 3),
        interval_s=st.sampled_from([0.0, 0.5, 3.0]),
        max_in_flight=st.integers(1, 4),
        gateway=st.booleans(),
        sensor=st.booleans(),
        stagger_s=st.sampled_from([0.0, 0.3]),
    )
    def begin(
        self,
        sticks: int,
        cluster_size: int,
        policy: str,
        cameras: int,
        ordered: list[bool],
        graphs: int,
        interval_s: float,
        max_in_flight: int,
        gateway: bool,
        sensor: bool,
        stagger_s: float,
    ) -> None:
        names = tuple(f"cam{number}" for number in range(cameras))
        self.world = World(
            installation(
                sticks,
                names,
                tuple(f"graph{number}" for number in range(graphs)),
                cluster_size=cluster_size,
                policy=policy,
                interval_s=interval_s,
                gateway=gateway,
                stagger_s=stagger_s,
            ),
            hop_s=0.002,
        )
        self.referee = Referee(self.world)
        for number in range(sticks):
            self.world.sticks[f"sim-{number + 1}"] = StickTraits(
                latency_s=0.15 + 0.1 * number, max_in_flight=max_in_flight, sensor=sensor
            )
        for number, name in enumerate(names):
            source = self.world.cameras[name]
            source.ordered, source.period_s = ordered[number], 0.15 + 0.05 * number
            source.measure_s = 0.005 * number
        self.world.start()
        self.world.run(0.9)

    # -- time

    @rule(for_s=st.floats(0.001, 0.5))
    def a_moment(self, for_s: float) -> None:
        self.world.run(for_s)

    @rule(for_s=st.floats(0.5, 20))
    def a_while(self, for_s: float) -> None:
        self.world.run(for_s)

    @rule(for_s=st.floats(0.5, 30))
    def the_supervisor_stands_still(self, for_s: float) -> None:
        self.world.stall(for_s)

    # -- processes

    @rule(kind=KINDS, stick=STICKS, camera=CAMERAS)
    def a_child_dies(self, kind: str, stick: str, camera: str) -> None:
        self.world.crash(self.endpoint(kind, stick, camera))

    @rule(kind=KINDS, stick=STICKS, camera=CAMERAS, also_unkillable=st.booleans())
    def a_child_stops_moving(self, kind: str, stick: str, camera: str, also_unkillable: bool) -> None:
        process = self.world.processes.get(self.endpoint(kind, stick, camera))
        if process is not None:
            process.frozen, process.stuck = True, process.stuck or also_unkillable

    @rule(kind=KINDS, stick=STICKS, camera=CAMERAS)
    def what_hung_in_the_kernel_comes_loose(self, kind: str, stick: str, camera: str) -> None:
        self.loosen(self.endpoint(kind, stick, camera))

    @rule(kind=KINDS, stick=STICKS, camera=CAMERAS, fails=st.booleans())
    def starting_fails_for_a_while(self, kind: str, stick: str, camera: str, fails: bool) -> None:
        endpoint = self.endpoint(kind, stick, camera)
        if fails:
            self.world.unspawnable.add(endpoint)
        else:
            self.world.unspawnable.discard(endpoint)

    @rule(kind=KINDS, stick=STICKS, camera=CAMERAS, permanent=st.booleans())
    def a_child_says_it_failed(self, kind: str, stick: str, camera: str, permanent: bool) -> None:
        endpoint = self.endpoint(kind, stick, camera)
        known = self.world.engine.cameras.by_name.get(endpoint.name)
        never_opened = known is not None and known.info is None
        if endpoint in self.world.processes and not (permanent and (never_opened or kind in ("sink", "gateway"))):
            self.world.processes[endpoint].send(m.Failed("read", "cannot go on", permanent))
            self.world.crash(endpoint)

    # -- sticks

    @rule(stick=STICKS, can_reset=st.booleans(), obeys=st.booleans(), notices_s=st.floats(0.01, 8.0))
    def its_worker_resets_it_or_not(self, stick: str, can_reset: bool, obeys: bool, notices_s: float) -> None:
        traits = self.world.sticks[stick]
        traits.can_reset, traits.obeys, traits.notices_s = can_reset, obeys, notices_s

    @rule(stick=STICKS, latency_s=st.floats(0.001, 1.5))
    def a_stick_changes_its_speed(self, stick: str, latency_s: float) -> None:
        self.world.sticks[stick].latency_s = latency_s

    @rule(stick=STICKS, verb=st.sampled_from(["park", "work", "restart", "forget"]))
    def an_operator_changes_a_stick(self, stick: str, verb: str) -> None:
        self.ask_of(stick, verb)

    def ask_of(self, stick: str, verb: str) -> None:
        self.world.deliver(Endpoint("client", "1"), ChangeStick(stick, verb))

    @rule()
    def an_operator_asks_for_a_switch(self) -> None:
        self.world.ask_switch()

    # -- sources and results

    @rule(camera=CAMERAS, size=st.sampled_from([(640, 480), (320, 240)]))
    def a_source_comes_back(self, camera: str, size: tuple[int, int]) -> None:
        process = self.world.camera(camera)
        if process is not None and process.open:
            process.send(m.SourceLost("cable"))
            self.world.cameras[camera].size = size
            process.opened()
            # no source is opened twice within the time a message takes
            self.world.run(0.01)

    @rule(camera=CAMERAS, answers=st.booleans())
    def a_camera_stops_measuring(self, camera: str, answers: bool) -> None:
        self.world.cameras[camera].answers = answers

    @rule(full=st.booleans())
    def the_disk_is_full_or_not(self, full: bool) -> None:
        self.world.sink.full = full

    # -- lies

    @rule(stick=STICKS, ticket=st.integers(-1, 400))
    def a_worker_answers_what_it_was_not_asked(self, stick: str, ticket: int) -> None:
        endpoint = Endpoint("worker", stick)
        mine = self.world.engine.dispatcher.queues.get(stick)  # type: ignore[call-overload]
        if endpoint in self.world.processes and (mine is None or ticket not in mine.in_flight):
            self.world.processes[endpoint].send(m.Inferred(ticket, Outcome(), 0.1))

    @rule(stick=STICKS)
    def a_worker_opens_twice(self, stick: str) -> None:
        worker = self.world.worker(stick)
        if worker is not None:
            worker.send(m.StickOpened("again", True, 2))

    @rule(stick=STICKS)
    def a_worker_says_that_it_lost_what_it_never_had(self, stick: str) -> None:
        worker = self.world.worker(stick)
        if worker is not None and not worker.open:
            worker.send(m.StickLost("it was never there"))

    @rule(camera=CAMERAS, pool=st.integers(0, 4), slot=st.integers(0, 40), ahead=st.integers(-3, 3))
    def a_camera_lies(self, camera: str, pool: int, slot: int, ahead: int) -> None:
        process = self.world.camera(camera)
        known = self.world.engine.cameras.by_name.get(camera)
        if process is None or known is None:
            return
        mine = {slots.layout.pool for slots in (known.slots, *known.retired) if slots is not None}
        if pool in mine and slot in self.world.engine.cameras.pools.by_number[pool]._granted:
            held = [grant for grant in process.grants if (grant.pool, grant.slot) == (pool, slot)]
            if ahead >= 0 or not held:
                return  # that would be no lie, or it would write twice into what it was given once
            process.grants.remove(held[0])
        frame = FrameRef(CameraName(camera), pool, slot, max(0, known.next_frame + ahead), 640, 480)
        self.world.deliver(process.endpoint, m.FrameCaptured(frame, self.world.now_s, self.world.now_s))

    @rule(camera=CAMERAS, ticket=st.integers(0, 400))
    def a_camera_measures_what_it_was_not_asked(self, camera: str, ticket: int) -> None:
        process = self.world.camera(camera)
        if process is not None:
            process.send(m.Measured(ticket, []))

    @rule(kind=KINDS, stick=STICKS, camera=CAMERAS)
    def late_words_of_the_dead(self, kind: str, stick: str, camera: str) -> None:
        """The core is told something by a child it has killed."""
        endpoint = self.endpoint(kind, stick, camera)
        process = self.world.processes.get(endpoint)
        if process is None or process.connected:
            return
        queue = self.world.engine.dispatcher.queues.get(stick)  # type: ignore[call-overload]
        ticket = next(iter(queue.in_flight), 0) if queue else 0
        words: dict[str, list[object]] = {
            "worker": [
                m.StickOpened("late", True, 2),
                m.StickLost("late"),
                m.Telemetry(30.0),
                m.Inferred(ticket, Outcome(), 0.1),
            ],
            "camera": [m.SourceOpened(320, 240, None, None, False, False, "late"), m.SourceEnded(3)],
            "sink": [m.SinkOpened(3, b""), m.Acked(10_000, b"")],
            "gateway": [m.GatewayOpened("nowhere", 1)],
        }
        for word in words[kind]:
            self.world.deliver(endpoint, word)

    # -- always

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def all_is_well(self) -> None:
        self.referee.check()

    def endpoint(self, kind: str, stick: str, camera: str) -> Endpoint:
        return {"worker": Endpoint("worker", stick), "camera": Endpoint("camera", camera), "sink": SINK, "gateway": GATEWAY}[kind]

    def loosen(self, endpoint: Endpoint) -> None:
        process = self.world.processes.get(endpoint)
        if process is not None and process.stuck:
            process.stuck = False
            if not process.connected:
                self.world.exits(process, "killed by SIGKILL", -9)

    def teardown(self) -> None:
        """All trouble ends: work goes on, and then everything comes to its end."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.sink.full = False
        world.unspawnable.clear()
        for source in world.cameras.values():
            source.answers = True
        for process in list(world.processes.values()):
            self.loosen(process.endpoint)
        for name, stick in world.sticks.items():
            stick.mute, stick.temperature_c, stick.latency_s, stick.throttle_level = False, 40.0, 0.2, 0
            world.plug(name)
            self.ask_of(name, "work")
        # nothing but backoffs is waited for, so frames may be few
        periods = {name: source.period_s for name, source in world.cameras.items()}
        for source in world.cameras.values():
            source.period_s = 1.0
        world.run(145.0)
        for name, source in world.cameras.items():
            source.period_s = periods[name]
        world.run(5.0)
        self.referee.check()
        streams = world.engine.tally.streams
        before = {camera.name: streams[camera.name].result for camera in world.engine.settings.cameras}
        world.run(10.0)
        self.referee.check()
        for name in before:
            assert streams[name].result > before[name], f"{name} does not work again: {world.log_text}"
        asked_s = world.now_s
        world.ask_stop()
        world.run(10.0)
        assert world.exit_code == 0
        assert world.exited_s is not None
        assert world.exited_s - asked_s <= 5.0
        self.referee.check()
        self.referee.drained()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=examples(20), stateful_step_count=30, deadline=None)
