"""The operator's requests: stop, and new settings, of which the difference to the present ones is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from msgspec import structs

from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.events import Configured, OperatorEvent, StopRequested
from ncs_cluster.specs import GraphSpec, IntakeSpec, Settings

if TYPE_CHECKING:
    from ncs_cluster.core.engine import Engine

LIVE_GRAPH_FIELDS = {"threshold", "labels", "decoder_options"}
"""Fields of a GraphSpec that a worker applies to a loaded graph."""


RESTART_FIELDS = ("runtime_dir", "state_dir", "runtimes", "log_level", "fan", "ambient")


class Operator:
    """Handles events.OperatorEvent."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handle(self, message: OperatorEvent, now_s: float) -> list[Action]:
        match message:
            case StopRequested():
                return self._engine.stop(now_s)
            case Configured(settings=settings):
                return [] if self._engine.stopping else self._configure(settings, now_s)
            case _:
                assert_never(message)

    def _configure(self, new: Settings, now_s: float) -> list[Action]:
        engine, old = self._engine, self._engine.settings
        if keys := restart_needed(old, new):
            text = f"new settings are not applied: {', '.join(keys)} changed, which takes effect at the next start of the daemon"
            return [LogEvent("warning", "daemon", text)]
        engine.settings = new
        actions = engine.sinks.configure(new.sinks, now_s)
        actions += engine.workers.configure(new.pools, new.graphs, now_s)
        actions += engine.cameras.configure(new.cameras, now_s, others=engine.jobs.cameras)
        actions += engine.jobs.check_graphs(now_s)
        if engine.gateway is not None and new.gateway is not None:
            actions += engine.gateway.configure(new.gateway, new, now_s)
            engine.intakes.set_weights({"api": new.gateway.api_weight})
        engine.intakes.set_weights({intake.name: intake.weight for intake in new.intakes})
        return [*actions, LogEvent("info", "daemon", "new settings: no difference" if new == old else "new settings are applied")]


def restart_needed(old: Settings, new: Settings) -> list[str]:
    """Changed keys that take effect only at the next start of the daemon."""
    keys = [name for name in RESTART_FIELDS if getattr(old, name) != getattr(new, name)]
    if _intakes(old) != _intakes(new):
        keys.append("intakes")
    if [_model(graph) for graph in old.graphs] != [_model(graph) for graph in new.graphs]:
        keys.append("graphs")
    if (old.gateway is None) != (new.gateway is None):
        keys.append("gateway")
    before, after = ({pool.name: pool for pool in each.pools} for each in (old, new))
    if set(before) != set(after) or any(before[name].discovery != after[name].discovery for name in before):
        keys.append("pools")
    elif any(before[name].clusters.time_scale != after[name].clusters.time_scale for name in before):
        keys.append("time_scale")
    return keys


def _intakes(settings: Settings) -> list[IntakeSpec]:
    """What their processes are told; the weight is the core's."""
    return [structs.replace(intake, weight=1.0) for intake in settings.intakes]


def _model(graph: GraphSpec) -> list[object]:
    """The fields of a graph on which its loaded model depends."""
    return [getattr(graph, name) for name in graph.__struct_fields__ if name not in LIVE_GRAPH_FIELDS]
