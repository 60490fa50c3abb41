"""Which USB device is which stick, over random histories of a hub."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ncs_cluster.core.usb_identity import BOOT_S, UsbIdentity
from tests.hypothesis_profiles import examples

BEFORE_BOOT, BOOTED = False, True


CHAINS = ["1.1", "1.2", "1.3", "1.4"]


class AnyHub(RuleBasedStateMachine):
    """Four sockets whose sticks boot, reset, are pulled and plugged in any order; sockets keep their two ports."""

    @initialize(pi4=st.booleans(), known=st.booleans())
    def begin(self, pi4: bool, known: bool) -> None:
        self.fast = {f"1-{chain}": f"2-{chain[-1] if pi4 else chain}" for chain in CHAINS}
        self.now_s = 0.0
        self.ports = UsbIdentity({fast: slow for slow, fast in self.fast.items()} if known else {})
        self.state: dict[str, object] = dict.fromkeys(self.fast, "pulled")
        self.present: set[str] = set()
        self.lonely: set[str] = set()

    @rule(chain=st.sampled_from(CHAINS), to=st.sampled_from(["pulled", "away", BEFORE_BOOT, BOOTED]))
    def something_happens(self, chain: str, to: object) -> None:
        home = f"1-{chain}"
        if to == BOOTED and self.state[home] in ("pulled", BEFORE_BOOT):
            self.state[home] = "away"
            self.update(0.3)
        self.state[home] = to if self.state[home] != "pulled" or to != "away" else "pulled"

    @rule(dt_s=st.floats(0.1, 4.0))
    def update(self, dt_s: float) -> None:
        self.now_s += dt_s
        self.listed({})

    @rule(chain=st.sampled_from(CHAINS), dt_s=st.floats(0.1, 1.0))
    def resets_and_shows_twice(self, chain: str, dt_s: float) -> None:
        """Already in its ROM, and for one look more at its other port."""
        home = f"1-{chain}"
        if self.state[home] == BOOTED:
            self.now_s += dt_s
            self.listed({})
            shadow = {} if self.ports.port_of.get(home) != self.fast[home] else {self.fast[home]: BOOTED}
            self.state[home] = BEFORE_BOOT
            before, sticks = dict(self.ports.pairs), set(self.present)
            self.now_s += 0.1
            self.listed(shadow)
            if shadow:
                assert self.ports.pairs == before, "nothing is learned of a shadow"
                assert self.present <= sticks, "it is no stick of its own"

    def listed(self, shadow: dict[str, bool]) -> None:
        seen: dict[str, bool] = {}
        for home, state in self.state.items():
            if state in (BEFORE_BOOT, BOOTED):
                seen[home if state == BEFORE_BOOT else self.fast[home]] = state
        found, gone = self.ports.update({**seen, **shadow}, (), self.now_s)
        assert len(set(found)) == len(found)
        assert not set(found) & self.present, "found twice"
        assert set(gone) <= self.present, "gone without having been there"
        self.present = (self.present | set(found)) - set(gone)
        assert self.present == set(self.ports.port_of)
        lonely = set(seen) - set(self.ports.port_of.values())
        assert not lonely & self.lonely, "a device belongs to no stick for longer than a shadow lasts"
        self.lonely = lonely

    @invariant()
    def nothing_grows(self) -> None:
        if hasattr(self, "ports"):
            assert len(self.present) <= 8
            assert len(self.ports.pairs) <= 8

    def teardown(self) -> None:
        """All is pulled, and all is gone; then each is plugged in alone, and is called by its home."""
        if not hasattr(self, "ports"):
            return
        self.state = dict.fromkeys(self.fast, "pulled")
        self.update(0.1)
        self.update(BOOT_S + 0.1)
        assert self.present == set()
        for home in self.state:
            self.state[home] = BEFORE_BOOT
            self.update(1.0)
        assert self.present == set(self.fast)


TestAnyHub = pytest.mark.slow(AnyHub.TestCase)
TestAnyHub.settings = settings(max_examples=examples(300), stateful_step_count=30, deadline=None)
