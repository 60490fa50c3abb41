"""Whether an operator has taken this host out of the work of the fleet, and whether it has work of other hosts in hand. The
processes that take such work tell what they know; this changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.intake_process import IntakeProcess
from ncs_cluster.core.sinks import Sink, Sinks

TELLS, TAKES = "fleet", ("fleet", "chunks", "overflow")
"""The sink that announces the host; and all sinks and intakes that take part in the fleet."""


class FleetDrain:
    """See the module."""

    def __init__(self, sinks: Sinks, intakes: Mapping[str, IntakeProcess]) -> None:
        self._sinks, self._intakes = sinks, intakes
        self._told = "no"

    @property
    def announced(self) -> Sink | None:
        """The sink that announces the host; None: it is in no fleet."""
        return next((sink for sink in self._sinks.by_name.values() if sink.spec.kind == TELLS), None)

    @property
    def state(self) -> str | None:
        """ "no"; "draining": it takes nothing more, or will not as soon as all its processes know; "drained": nothing is in hand,
        and nothing will be; None: not known."""
        told = [sink.work for sink in self._sinks.by_name.values() if sink.spec.kind in TAKES]
        told += [intake.work for intake in self._intakes.values() if intake.spec.name in TAKES]
        drained = [None if work is None else work.drained for work in told]
        if True not in drained:
            return "no" if False in drained else None
        whole = all(drained) and self.chunks + self.frames == 0
        return "drained" if whole else "draining"

    @property
    def chunks(self) -> int:
        """Chunks of jobs over hosts in hand."""
        return sum(sink.work.in_hand for sink in self._sinks.by_name.values() if sink.work is not None)

    @property
    def frames(self) -> int:
        """Frames of other hosts in hand."""
        return sum(len(each.intake.asks) for each in self._intakes.values() if each.spec.name in TAKES)

    @property
    def offered(self) -> list[str] | None:
        """Jobs over hosts that are open; None: not known."""
        return next(
            (sink.work.jobs for sink in self._sinks.by_name.values() if sink.work is not None and sink.work.jobs is not None), None
        )

    def tick(self) -> list[Action]:
        """Tell of what has changed."""
        state = self.state
        if state is None or state == self._told:
            return []
        self._told = state
        texts = {
            "no": "takes work of the fleet again",
            "draining": "is draining: it takes no chunks of jobs and no frames of other hosts, and ends those that it has",
            "drained": "is drained: no chunk of a job and no frame of another host is in hand",
        }
        return [LogEvent("info", "daemon", texts[state], group="")]
