"""Overflow: a pool that stands for other hosts, and gets frames of live streams that no stick of this host can take.

It is released when the sticks sustain less than the live streams ask for, and held again once they sustain clearly more. Its
worker always runs: a connection to the server costs nothing while no frame is sent. The dispatcher gives it a frame only when no
other stick takes that one, so sticks of this host lose no work to it. After refused or late frames it pauses, longer each time.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.load import Load
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.role_pool import RolePool
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.specs import OverflowSpec
from ncs_cluster.types import OverflowCounts

SHORT, ENOUGH = 0.97, 1.05
"""Parts of what is asked for: released below the first, held from the second on."""
RELEASE_S, HOLD_S, FIRST_S = 1.0, 5.0, 15.0
"""For how long that must be so; and how long after the daemon's start sticks may take until the first one works."""
LATE_IN_A_ROW = 3
"""After so many late frames in a row no frame is sent for a pause; after a refused frame at once."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
RELEASED, HELD = "times neighbours were asked for help", "times neighbours were needed no more"


class Overflow(RolePool):
    """The neighbours' pool beside the others."""

    def __init__(
        self, spec: OverflowSpec, sticks: Sticks, dispatcher: Dispatcher, regulators: Mapping[str, Regulator], load: Load
    ) -> None:
        super().__init__(spec.pool.name, sticks, regulators, needed=False)
        self.spec = spec
        self.bytes_per_s = 0.0
        """In the last second, of pictures."""
        self._dispatcher, self._load = dispatcher, load
        self._differs_since_s: float | None = None
        self._answered = self._misses = self._pauses = 0
        """Frames answered when one was missed last; late ones and pauses since then."""
        self._before, self._now = OverflowCounts(), OverflowCounts()
        """Of earlier processes of the worker, together; of the present one."""
        self._counted_s = 0.0
        self._patient_until_s = 0.0
        sticks.spare = spec.pool.name
        self.regulator.held = True
        for each in regulators.values():
            each.helped = True

    def fps(self, now_s: float) -> float:
        """Answers per second."""
        spares = self._dispatcher.spares
        return sum(spares[stick.spec.id].done.per_s(now_s) for stick in self.members if stick.spec.id in spares)

    def answering(self, now_s: float) -> bool:
        """Neighbours process frames."""
        return self.serving and self.fps(now_s) > 0.0

    @property
    def counts(self) -> OverflowCounts:
        """Since the daemon's start."""
        return _sum(self._before, self._now)

    # -- time

    def start(self, now_s: float) -> list[Action]:
        """Called when the daemon starts."""
        self._patient_until_s = now_s + FIRST_S
        return [action for spec in self.spec.pool.sticks for action in self._sticks.found(spec, now_s)]

    def look(self, now_s: float) -> list[Action]:
        """A second is over. Called after Load.look."""
        asked, sustained = self._load.asked_now, self._load.sustained_now
        if sustained:
            self._patient_until_s = 0.0
        if sustained is None or now_s < self._patient_until_s:
            differs = False
        elif self.needed:
            differs = sustained >= ENOUGH * asked
        else:
            differs = sustained < SHORT * asked
        if not differs:
            self._differs_since_s = None
            return []
        if self._differs_since_s is None:
            self._differs_since_s = now_s
        if now_s - self._differs_since_s < (HOLD_S if self.needed else RELEASE_S):
            return []
        self.needed, self._differs_since_s = not self.needed, None
        self.regulator.held, self._load.relieved = not self.needed, self.needed
        text, group = "the sticks keep up with the cameras again: neighbours get no more frames", HELD
        if self.needed:
            text, group = (
                f"the cameras ask for {asked:.1f}/s, the sticks sustain {sustained:.1f}/s: neighbours get the rest",
                RELEASED,
            )
        return [LogEvent("info", "clusters", text, group), *self.regulator.regulate(now_s)]

    # -- what its worker tells

    def missed(self, stick: Stick, why: str, now_s: float) -> None:
        """A frame has no answer. `why`: as backends.base.Completed.missed."""
        if stick.inferences > self._answered:
            self._answered, self._misses, self._pauses = stick.inferences, 0, 0
        if why == "held back":
            return
        self._misses += 1
        if why == "refused" or self._misses >= LATE_IN_A_ROW:
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._pauses, 16))
            self._misses, self._pauses = 0, self._pauses + 1
            self._dispatcher.pause(stick.spec.id, now_s + pause_s)

    def count(self, stick: Stick, counts: OverflowCounts, now_s: float) -> None:
        queue = self._dispatcher.spares.get(stick.spec.id)
        if queue is not None:
            queue.gap_s = counts.gap_s
        if counts.sent < self._now.sent:
            # the worker's process has started again
            self._before, self._now = self.counts, OverflowCounts()
        if now_s > self._counted_s:
            self.bytes_per_s = (counts.bytes - self._now.bytes) / (now_s - self._counted_s)
        self._now, self._counted_s = counts, now_s


def _sum(one: OverflowCounts, other: OverflowCounts) -> OverflowCounts:
    added = {name: getattr(one, name) + getattr(other, name) for name in OverflowCounts.__struct_fields__ if name != "gap_s"}
    return structs.replace(other, **added)
