"""The fallback under arbitrary misfortune of sticks: a live stream never waits for 2 s while the CPU can work."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.reasons import reasons
from ncs_cluster.testing.hardware import StickTraits
from ncs_cluster.testing.world import World, cpu_fallback, installation
from tests.core.referee import Referee
from tests.core.stick_troubles import STICKS, StickTroubles
from tests.hypothesis_profiles import examples

pytestmark = pytest.mark.slow

CPU = "cpu-1"
UNSERVED_S = 2.0
STEP_S = 0.1


class Misfortunes(StickTroubles):
    """What happens to the sticks of a world, and at times to its CPU. Cameras and sink are well."""

    @initialize(
        sticks=st.integers(0, 4),
        cluster_size=st.integers(0, 2),
        policy=st.sampled_from(["ring", "all", "coolest", "predictive"]),
        cameras=st.integers(1, 3),
        ordered=st.booleans(),
        max_in_flight=st.integers(1, 4),
        can_reset=st.booleans(),
        stagger_s=st.sampled_from([0.0, 0.3]),
        standby=st.booleans(),
    )
    def begin(
        self,
        sticks: int,
        cluster_size: int,
        policy: str,
        cameras: int,
        ordered: bool,
        max_in_flight: int,
        can_reset: bool,
        stagger_s: float,
        standby: bool,
    ) -> None:
        size = cluster_size or (1 if policy == "ring" else 0)
        names = tuple(f"cam{number}" for number in range(cameras))
        self.world = world = World(
            installation(
                sticks,
                names,
                cluster_size=size,
                policy=policy,
                interval_s=3.0,
                stagger_s=stagger_s,
                fallback=cpu_fallback(standby=standby),
            ),
            hop_s=0.002,
        )
        self.referee = Referee(world)
        for number in range(1, 6):
            world.sticks[f"sim-{number}"] = StickTraits(
                latency_s=0.1 + 0.05 * number, max_in_flight=max_in_flight, can_reset=can_reset
            )
        world.sticks[CPU] = StickTraits(latency_s=0.1, sensor=False)
        for number, name in enumerate(names):
            world.cameras[name].period_s = 0.11 + 0.04 * number
        # the last one; the others are live
        world.cameras[names[-1]].ordered = ordered and cameras > 1
        self.live = [name for name in names if not world.cameras[name].ordered]
        self.open_s = 0.0
        """For how long the CPU could have worked without a break."""
        self.results = dict.fromkeys(self.live, (0, world.now_s))
        world.start()
        self.go_on(2.0)

    def go_on(self, for_s: float) -> None:
        """Time passes, and is looked at."""
        for _ in range(max(1, round(for_s / STEP_S))):
            self.world.run(STEP_S)
            self.look()
        self.referee.check()

    def look(self) -> None:
        world, worker = self.world, self.world.worker(CPU)
        well = worker is not None and worker.open and worker.alive and worker.connected and not (worker.frozen or worker.stuck)
        self.open_s = self.open_s + STEP_S if well else 0.0
        for name in self.live:
            count, since_s = self.results[name]
            now = world.engine.tally.count(name).result
            if now != count:
                self.results[name] = now, world.now_s
            elif self.open_s > UNSERVED_S:
                unserved_s = world.now_s - since_s
                assert unserved_s <= UNSERVED_S + STEP_S, f"{name} waits for {unserved_s:.1f} s\n{world.log_text}"
        fallback = world.engine.fallback
        assert fallback is not None
        said, down = reasons(world.engine, world.now_s)
        if fallback.serving:
            assert not down
            assert said[0].startswith("no stick can work: ")
            assert " serves at " in said[0]
        else:
            assert not any("serves at" in reason for reason in said)

    # -- time

    @rule(for_s=st.floats(0.1, 1.0))
    def a_moment(self, for_s: float) -> None:
        self.go_on(for_s)

    @rule(for_s=st.floats(1.0, 15.0))
    def a_while(self, for_s: float) -> None:
        self.go_on(for_s)

    # -- sticks

    @rule(stick=STICKS)
    def its_worker_dies(self, stick: str) -> None:
        self.world.crash(Endpoint("worker", stick))

    @rule(stick=STICKS, also_unkillable=st.booleans())
    def its_worker_stops_moving(self, stick: str, also_unkillable: bool) -> None:
        if (worker := self.world.worker(stick)) is not None:
            worker.frozen, worker.stuck = True, worker.stuck or also_unkillable

    @rule(stick=STICKS, fails=st.booleans())
    def its_worker_cannot_be_started(self, stick: str, fails: bool) -> None:
        (self.world.unspawnable.add if fails else self.world.unspawnable.discard)(Endpoint("worker", stick))

    @rule()
    def all_sticks_hang(self) -> None:
        for name, stick in self.world.sticks.items():
            stick.hangs = name != CPU

    @rule(stick=STICKS, obeys=st.booleans(), notices_s=st.floats(0.01, 8.0))
    def its_worker_resets_it_or_not(self, stick: str, obeys: bool, notices_s: float) -> None:
        self.world.sticks[stick].obeys, self.world.sticks[stick].notices_s = obeys, notices_s

    @rule()
    def all_sticks_are_pulled(self) -> None:
        for number in range(1, 6):
            self.world.unplug(f"sim-{number}")

    @rule()
    def an_operator_asks_for_a_switch(self) -> None:
        self.world.ask_switch()

    # -- the CPU

    @rule()
    def the_cpu_s_worker_dies(self) -> None:
        self.world.crash(Endpoint("worker", CPU))

    @rule()
    def the_cpu_s_worker_stops_moving(self) -> None:
        if (worker := self.world.worker(CPU)) is not None:
            worker.frozen = True

    def teardown(self) -> None:
        """All trouble ends: sticks work again and the CPU does not, nothing is lost or doubled, and everything comes to its end."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.unspawnable.clear()
        for process in list(world.processes.values()):
            if process.stuck:
                process.stuck = False
                if not process.connected:
                    world.exits(process, "killed by SIGKILL", -9)
        for name, stick in world.sticks.items():
            stick.mute, stick.temperature_c, stick.throttle_level = False, 40.0, 0
            if name != CPU:
                world.plug(name)
        for source in world.cameras.values():
            source.period_s = 1.0
        world.run(145.0)
        self.referee.check()
        assert world.engine.fallback is not None
        assert not world.engine.fallback.needed, world.log_text
        done = world.sticks[CPU].done
        counts = {name: world.engine.tally.count(name).result for name in world.cameras}
        world.run(5.0)
        assert world.sticks[CPU].done == done
        assert all(world.engine.tally.count(name).result > count for name, count in counts.items())
        world.ask_stop()
        world.run(10.0)
        assert world.exit_code == 0
        self.referee.check()
        self.referee.drained()


TestMisfortunes = Misfortunes.TestCase
TestMisfortunes.settings = settings(max_examples=examples(15), stateful_step_count=30, deadline=None)
