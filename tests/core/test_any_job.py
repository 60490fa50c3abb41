"""A job under arbitrary misfortune: deaths of its processes and of the daemon, pauses and restarts at any moment.

Each output has each turn once and in order at any time; when all trouble is over the job ends, and the outputs are whole.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ncs_cluster.core.events import Endpoint
from tests.core.jobworld import JobWorld
from tests.core.onejob import CAMERA, CSV, JSONL
from tests.hypothesis_profiles import examples

pytestmark = pytest.mark.slow

OUTPUTS = st.sampled_from([JSONL, CSV])
TURNS = 400
"""Rounds in which a job without trouble ends, with room."""


class AnyJob(RuleBasedStateMachine):
    """What hypothesis does to a job."""

    @initialize(frames=st.integers(0, 40))
    def begin(self, frames: int) -> None:
        self.world = JobWorld(frames)

    @rule(
        rounds=st.integers(1, 8),
        starts=st.integers(0, 3),
        captures=st.integers(0, 3),
        answers=st.lists(st.integers(0, 3), max_size=3),
    )
    def work(self, rounds: int, starts: int, captures: int, answers: list[int]) -> None:
        """Processes start, frames are read, the stick answers in any order."""
        for _ in range(rounds):
            self.world.tick()
            for _ in range(starts):
                self.world.start()
            for _ in range(captures):
                self.world.capture()
            for which in answers:
                self.world.infer(which)

    @rule(output=OUTPUTS, times=st.integers(1, 8))
    def write(self, output: Endpoint, times: int) -> None:
        for _ in range(times):
            self.world.write(output)

    @rule(output=OUTPUTS)
    def note(self, output: Endpoint) -> None:
        self.world.note(output)

    @rule()
    def stop(self) -> None:
        self.world.stop()

    @rule(what=st.sampled_from([CAMERA, JSONL, CSV, "pause", "pause", "resume", "resume", "restart"]))
    def trouble(self, what: Endpoint | str) -> None:
        """A process dies, a user asks for something, or the daemon dies."""
        if isinstance(what, Endpoint):
            self.world.die(what)
        elif what == "restart":
            self.world.restart_daemon()
        else:
            self.world.perform(self.world.daemon.ask(what))

    @invariant()
    def every_output_has_each_turn_once_and_in_order(self) -> None:
        for output in self.world.disk.values():
            assert output.turns == list(range(len(output.turns)))
            assert output.noted <= len(output.turns)

    @invariant()
    def no_unit_is_lost_or_doubled(self) -> None:
        tally = self.world.daemon.engine.tally
        assert (tally.lost, tally.doubled, tally.out_of_order) == (0, 0, 0)

    @invariant()
    def a_job_that_is_done_has_whole_outputs(self) -> None:
        if self.world.daemon.job.state == "done":
            assert [output.noted for output in self.world.disk.values()] == [self.world.frames] * 2

    def teardown(self) -> None:
        """All trouble is over."""
        if not hasattr(self, "world"):
            return
        world = self.world
        if world.daemon.job.state == "paused":
            world.perform(world.daemon.ask("resume"))
        for _ in range(TURNS):
            world.tick()
            world.start()
            world.stop()
            world.capture()
            world.infer(0)
            for output in (JSONL, CSV):
                world.write(output)
                world.note(output)
            if world.daemon.job.ended:
                break
        assert world.daemon.job.state == "done"
        self.a_job_that_is_done_has_whole_outputs()


TestAnyJob = AnyJob.TestCase
TestAnyJob.settings = settings(max_examples=examples(100), stateful_step_count=30, deadline=None)
