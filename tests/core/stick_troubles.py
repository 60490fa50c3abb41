"""What may happen to the sticks of a virtual world, as rules for machines of Hypothesis."""

from __future__ import annotations

import math

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ncs_cluster.testing.world import World

READINGS = st.one_of(
    st.floats(20, 61), st.floats(62, 64.9), st.floats(65, 90), st.sampled_from([None, math.nan, math.inf, -89.7, 200.0, 62.0, 65.0])
)
STICKS = st.integers(1, 5).map(lambda number: f"sim-{number}")


class StickTroubles(RuleBasedStateMachine):
    """A machine that inherits this sets `world` in its first step."""

    world: World

    @rule(stick=STICKS)
    def a_stick_hangs(self, stick: str) -> None:
        self.world.sticks[stick].hangs = True

    @rule(stick=STICKS)
    def a_stick_is_lost(self, stick: str) -> None:
        if (worker := self.world.worker(stick)) is not None:
            worker.lose_stick()

    @rule(stick=STICKS, level=st.integers(0, 2))
    def its_firmware_throttles_it(self, stick: str, level: int) -> None:
        self.world.sticks[stick].throttle_level = level

    @rule(stick=STICKS, reading=READINGS)
    def its_sensor_says(self, stick: str, reading: float | None) -> None:
        self.world.sticks[stick].temperature_c = reading

    @rule(reading=READINGS)
    def all_sensors_say(self, reading: float | None) -> None:
        for stick in self.world.sticks.values():
            stick.temperature_c = reading

    @rule(stick=STICKS, mute=st.booleans())
    def a_stick_reports_or_not(self, stick: str, mute: bool) -> None:
        self.world.sticks[stick].mute = mute

    @rule(stick=STICKS)
    def a_stick_is_pulled(self, stick: str) -> None:
        self.world.unplug(stick)

    @rule(stick=STICKS)
    def a_stick_is_plugged_in(self, stick: str) -> None:
        self.world.plug(stick)
