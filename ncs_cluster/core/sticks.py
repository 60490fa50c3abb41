"""All sticks: found, gone and configured, and the order in which they boot. Which of them work is decided by `regulator`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ncs_cluster import policies
from ncs_cluster.core.actions import Action, LogEvent, Send
from ncs_cluster.core.boots import Boots
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.loaded_graphs import changed, has_all
from ncs_cluster.core.stick import Stick
from ncs_cluster.messages import ChangeGraphs, OpenStick, StickOpened
from ncs_cluster.specs import GraphSpec, PoolSpec, StickSpec
from ncs_cluster.types import StickId

SCAN_LAG_S = 1.0
"""A change on the bus is seen within this time: it is scanned twice a second."""
BACK_S, BACK_QUARANTINED_S = 2.0, 10.0
"""The longest wait of a stick that is back on the bus: a loose plug bounces, and one in quarantine may reset itself for ever."""


class Sticks:
    """The sticks by id, in ring order: by their numbers, sim-2 before sim-10."""

    def __init__(self, pools: Sequence[PoolSpec], graphs: list[GraphSpec], dispatcher: Dispatcher, limits: Limits) -> None:
        self.by_id: dict[StickId, Stick] = {}
        self.graphs = graphs
        self.ignored: dict[str, str] = {}
        """Devices that are left alone: port -> why."""
        self.boots = Boots(max((pool.discovery.stagger_s for pool in pools if pool.discovery), default=0.0))
        self.fallback: str | None = None
        """The name of the pool whose workers `core.fallback` starts and stops."""
        self.spare: str | None = None
        """The name of the pool of `core.overflow`."""
        self._pools = {pool.name: pool for pool in pools}
        self._by_pool: dict[str, list[Stick]] = {name: [] for name in self._pools}
        self._dispatcher = dispatcher
        self._limits = limits

    def of_pool(self, name: str) -> list[Stick]:
        return self._by_pool.get(name, [])

    def name_of(self, origin: str) -> str | None:
        """The operator's name of the port of a stick, which is given as the origin of a log event."""
        stick = self.by_id.get(StickId(origin.removeprefix("worker ")))
        return stick.spec.name if stick is not None else None

    # -- found, gone, configured

    def found(self, spec: StickSpec, now_s: float) -> list[Action]:
        known = self.by_id.get(spec.id)
        if known is None:
            pool = self._pools.get(spec.pool)
            if pool is None:
                return [LogEvent("error", spec.id, f'belongs to pool "{spec.pool}", which is not configured: ignored')]
            stick = self.by_id[spec.id] = Stick(spec, policies.trip_c(pool.clusters), self._limits)
            self._order()
            return [] if spec.pool == self.fallback else stick.child.start(now_s)
        if known.present:
            # its options have changed, for its next worker
            known.spec = spec
            if not spec.exclusive_boot:
                self.boots.finish(spec.id, now_s)
            return []
        # a process that still exists is stopping
        known.present, known.renamed, known.removed, known.spec = True, False, False, spec
        known.child.runtime = spec.runtime
        return [LogEvent("info", spec.id, "is plugged in again"), *known.child.retry_now(now_s), *known.child.start(now_s)]

    def gone(self, stick: StickId, now_s: float, renamed: bool = False) -> list[Action]:
        known = self.by_id.get(stick)
        if known is None or not known.present:
            return []
        known.present, known.renamed = False, renamed
        known.in_flight_limit.unplugged(now_s)
        known.child.last_error = "unplugged"
        actions: list[Action] = [LogEvent("warning", stick, "is unplugged")]
        if renamed:
            text = "was left booted by another process; after a reset its id is its boot port"
            actions = [LogEvent("info", stick, text)]
        # closing a stick that is unplugged may block for long
        stopping = known.child.stop(now_s)
        return actions + (known.child.kill(now_s, "its stick is unplugged") if stopping else [])

    def ignore(self, port: str, why: str) -> list[Action]:
        """A device that is no stick of ours came, or left where `why` is empty."""
        if not why:
            self.ignored.pop(port, None)
            return []
        self.ignored[port] = why
        return [LogEvent("info", "usb", f"port {port} {why}")]

    def listed(self, stick: StickId, state: str, now_s: float, usb_mbps: float | None = None) -> list[Action]:
        """The kernel lists the stick anew. One that waits for its next try, and has been plugged in again or has reset itself, is
        another one than the one that failed."""
        known = self.by_id.get(stick)
        if known is None or not known.present:
            return []
        known.listed, known.listed_s, known.usb_mbps = state, now_s, usb_mbps
        # a boot that ended in the ROM is seen here after its worker has reported it
        by_worker = not known.reported_missing and now_s < known.exited_s + SCAN_LAG_S
        return known.child.retry_within(self._back_s(known), now_s) if state == "rom" and not by_worker else []

    def exited(self, stick: Stick, now_s: float) -> list[Action]:
        """The worker has exited. The bus may list a stick that it has not found."""
        stick.exited_s = now_s
        if stick.reported_missing and stick.listed == "rom" and stick.present:
            return stick.child.retry_within(self._back_s(stick), now_s)
        return []

    def _back_s(self, stick: Stick) -> float:
        return BACK_QUARANTINED_S if stick.child.quarantined else BACK_S

    def configure(self, pools: Sequence[PoolSpec], now_s: float) -> list[Action]:
        """Start new counted sticks, stop those that are no longer configured, restart those that changed."""
        before, self._pools = self._pools, {pool.name: pool for pool in pools}
        wanted = {stick.id: stick for pool in pools for stick in pool.sticks}
        actions: list[Action] = []
        for pool in before.values():
            for spec in pool.sticks:
                stick = self.by_id.get(spec.id)
                if spec.id not in wanted and stick is not None:
                    stick.present, stick.removed = False, True
                    actions += [LogEvent("info", spec.id, "is removed"), *stick.child.stop(now_s)]
        self._order()
        for spec in wanted.values():
            known = self.by_id.get(spec.id)
            if known is None:
                actions += [LogEvent("info", spec.id, "is added"), *self.found(spec, now_s)]
            elif known.removed or spec != known.spec:
                actions += self._change(known, spec, now_s)
        return actions

    def _change(self, stick: Stick, spec: StickSpec, now_s: float) -> list[Action]:
        """Restart the stick's worker with the new settings, in the new pool; an unplugged stick gets them when it is plugged in
        again."""
        back, stick.removed = stick.removed, False
        stick.present = stick.present or back
        stick.spec, stick.child.runtime = spec, spec.runtime
        if pool := self._pools.get(spec.pool):
            stick.zone.switch_temp_c = policies.trip_c(pool.clusters)
        self._order()
        text = "is added" if back else "has new settings: restarting"
        return [LogEvent("info", spec.id, text), *stick.child.restart(now_s)] if stick.present else []

    def change_graphs(self, graphs: list[GraphSpec], now_s: float) -> list[Action]:
        """Other graphs. Workers apply at once what needs no other model; the rest is decided by `rollout`."""
        self.graphs = graphs
        actions: list[Action] = []
        for stick in self.by_id.values():
            new = changed(stick.graphs, graphs)
            if stick.child.listening and new != stick.graphs:
                stick.graphs = new
                actions.append(Send(stick.child.endpoint, ChangeGraphs(new)))
            if stick.refuses_graphs:
                stick.refuses_graphs = False
                actions += stick.child.retry_now(now_s)
        return actions

    def has_graphs(self, stick: Stick) -> bool:
        """Its worker has all graphs of the settings, or will load them when it starts."""
        return not stick.child.listening or has_all(stick.graphs, self.graphs)

    def forget_removed(self) -> None:
        """Delete sticks that are no longer configured and whose process has exited."""
        for stick in [stick for stick in self.by_id.values() if stick.removed and not stick.child.alive]:
            del self.by_id[stick.spec.id]
            self._order()

    # -- opening

    def hello(self, stick: Stick, now_s: float) -> list[Action]:
        """The worker has sent Hello. OpenStick follows now or, where other sticks boot first, at its turn."""
        if stick.spec.pool in (self.fallback, self.spare):
            # it has no boot, and works while the others have theirs
            return self.open(stick, now_s)
        return self.open(stick, now_s) if self.boots.request(stick.spec.id, now_s, exclusive=stick.spec.exclusive_boot) else []

    def extend_boot_deadlines(self, now_s: float) -> None:
        """The time for which a worker waits for its turn to boot does not count against its deadline."""
        for stick in self.boots.waiting:
            self.by_id[stick].child.extend_opening(now_s)

    def due(self, now_s: float) -> list[Stick]:
        """Sticks whose turn to boot has come."""
        due = []
        while (stick := self.boots.next_due(now_s)) is not None:
            if self.by_id[stick].child.state in (State.STARTING, State.OPENING):
                due.append(self.by_id[stick])
            else:
                self.boots.finish(stick, now_s)
        return due

    def open(self, stick: Stick, now_s: float) -> list[Action]:
        stick.child.hello(now_s)
        # from here on a boot explains that the stick is missing on the bus
        stick.reported_missing = False
        stick.reset_epoch, stick.opened_as, stick.graphs = 0, stick.spec, self.graphs
        return [Send(stick.child.endpoint, OpenStick(stick.spec, self.graphs, self.time_scale(stick)))]

    def opened(self, stick: Stick, message: StickOpened, now_s: float, graphs: Mapping[int, int] | None = None) -> list[Action]:
        """`graphs`: as StickQueue.graphs."""
        stick.child.ready(now_s)
        stick.refuses_graphs = False
        stick.opened_s = now_s
        stick.boots += 1
        self.boots.finish(stick.spec.id, now_s)
        stick.device, stick.firmware = message.device, message.firmware
        stick.throttle_level = stick.measured_s = None
        stick.zone.open(message.has_sensor)
        self._dispatcher.attach(
            stick.spec.id,
            message.max_in_flight,
            pool=stick.spec.pool,
            can_reset=message.can_reset,
            executors=message.executors,
            graphs=graphs,
            spare=stick.spec.pool == self.spare,
        )
        told = stick.in_flight_limit.opened(message.max_in_flight, now_s)
        self._dispatcher.limit(stick.spec.id, stick.in_flight_limit.allowed)
        ready = LogEvent("info", stick.spec.id, f"is ready: {message.device}")
        return [ready] if told is None else [LogEvent("warning", stick.spec.id, told), ready]

    def raise_in_flight(self, now_s: float) -> list[Action]:
        """More requests in flight, on trial, for sticks that were limited and have worked for long."""
        actions: list[Action] = []
        for stick in self.by_id.values():
            if stick.child.running and (told := stick.in_flight_limit.raise_due(now_s)) is not None:
                self._dispatcher.limit(stick.spec.id, stick.in_flight_limit.allowed)
                actions.append(LogEvent("info", stick.spec.id, told))
        return actions

    def time_scale(self, stick: Stick) -> float:
        pool = self._pools.get(stick.spec.pool)
        return pool.clusters.time_scale if pool else 1.0

    @property
    def without_boot(self) -> set[StickId]:
        """Sticks with no boot ahead, either open or reported missing by their worker: one missing on the bus is unplugged."""
        return {stick.spec.id for stick in self.by_id.values() if stick.child.running or stick.reported_missing}

    @property
    def present(self) -> int:
        """All sticks but those of the fallback, and the neighbours."""
        aside = (self.fallback, self.spare)
        return sum(1 for stick in self.by_id.values() if stick.present and stick.spec.pool not in aside)

    def _order(self) -> None:
        self.by_id = dict(sorted(self.by_id.items(), key=lambda item: _natural(item[0])))
        self._by_pool = {name: [stick for stick in self.by_id.values() if stick.spec.pool == name] for name in self._pools}


def _natural(name: str) -> list[tuple[int, str]]:
    """sim-2 before sim-10; 1.2 before 1.10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
