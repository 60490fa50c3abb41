"""Guests: graphs of jobs of other machines, which come and go while the daemon runs. They reach the sticks as new graphs of the
settings do, but the cameras must not pay for one that no stick can load: it is dropped, and the jobs that name it fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.child import State
from ncs_cluster.core.stick import Stick
from ncs_cluster.specs import GraphSpec, JobRecord

if TYPE_CHECKING:
    from ncs_cluster.core.engine import Engine

MOST_FAILURES = 2
"""Exits of a worker that opens its stick with a guest, after which the guest is at fault where it works on no other stick."""


def restore(engine: Engine, records: Sequence[JobRecord]) -> None:
    """Before the start: the guests that jobs of the daemon before this one go on with."""
    kept = [record.job.graph for record in records if record.state in ("running", "paused") and record.job.graph.is_guest]
    by_name = {graph.name: graph for graph in [*engine.settings.guests, *kept]}
    if by_name and engine.settings.graphs:
        _set(engine, list(by_name.values()))
        engine.sticks.graphs = engine.settings.all_graphs


def drop_unfit(engine: Engine, now_s: float) -> list[Action]:
    """Drop the newest guest while a stick refuses the graphs, or fails with them and none works with them."""
    guests = engine.settings.guests
    if not guests or not (failing := _failing(engine, guests[-1].name)):
        return []
    *kept, dropped = guests
    _set(engine, kept)
    text = f"graph {dropped.name} is dropped: {failing[0].label} cannot work with it: {failing[0].child.last_error or 'it fails'}"
    actions: list[Action] = [LogEvent("error", "daemon", text, group="")]
    actions += engine.workers.configure(engine.settings.all_pools, engine.settings.all_graphs, now_s)
    for stick in failing:
        actions += stick.child.retry_now(now_s)
    return actions + engine.jobs.check_graphs(now_s)


def _failing(engine: Engine, guest: str) -> list[Stick]:
    sticks = [stick for stick in engine.sticks.by_id.values() if stick.present and loads(stick, guest)]
    if refusing := [stick for stick in sticks if stick.refuses_graphs]:
        return refusing
    failing = [stick for stick in sticks if stick.child.state is State.BACKOFF and stick.child.failures >= MOST_FAILURES]
    return [] if any(stick.child.running for stick in sticks) else failing


def loads(stick: Stick, guest: str) -> bool:
    """Its present or last worker has the graph, or has tried to load it."""
    return any(graph.name == guest for graph in stick.graphs)


def _set(engine: Engine, guests: list[GraphSpec]) -> None:
    engine.settings = replace(engine.settings, guests=guests)
    engine.streams.set_graphs([graph.name for graph in engine.settings.graphs], [graph.name for graph in guests])
