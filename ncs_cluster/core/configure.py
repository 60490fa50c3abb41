"""The operator's requests: stop, and new settings, of which the difference to the present ones is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from msgspec.structs import replace

from ncs_cluster.control_messages import SETTINGS_REFUSED, Reloaded
from ncs_cluster.core.actions import Action, LogEvent
from ncs_cluster.core.differences import differences
from ncs_cluster.core.events import Configured, Endpoint, OperatorEvent, StopRequested
from ncs_cluster.core.replies import answer, refuse
from ncs_cluster.specs import CameraSpec, DiscoverySpec, IntakeSpec, PoolSpec, Settings

if TYPE_CHECKING:
    from ncs_cluster.core.engine import Engine

RESTART_FIELDS = ("runtime_dir", "state_dir", "runtimes", "log_level", "fan", "ambient", "history_days", "fallback", "overflow")


class Operator:
    """Handles events.OperatorEvent."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handle(self, message: OperatorEvent, now_s: float) -> list[Action]:
        match message:
            case StopRequested():
                return self._engine.stop(now_s)
            case Configured(settings=settings, clients=clients):
                asked = [Endpoint("client", name) for name in clients]
                if self._engine.stopping:
                    return [refuse(client, "the daemon is stopping") for client in asked]
                return self._configure(settings, asked, now_s)
            case _:
                assert_never(message)

    def _configure(self, new: Settings, asked: list[Endpoint], now_s: float) -> list[Action]:
        engine, old = self._engine, self._engine.settings
        new = replace(new, cameras=going_on(old.cameras, new.cameras))
        if keys := restart_needed(old, new):
            why = f"{', '.join(keys)} changed, which takes effect at the next start of the daemon"
            event = LogEvent("warning", "daemon", f"new settings are not applied: {why}")
            return [event, *(refuse(client, why, SETTINGS_REFUSED) for client in asked)]
        engine.settings = new
        engine.streams.set_graphs([graph.name for graph in new.graphs], [graph.name for graph in new.guests])
        actions = engine.sinks.configure(new.sinks, now_s)
        actions += engine.workers.configure(new.all_pools, new.all_graphs, now_s)
        actions += engine.cameras.configure(new.cameras, now_s, others=engine.jobs.cameras)
        actions += engine.jobs.check_graphs(now_s)
        engine.cameras.change_graphs(now_s)
        engine.intakes.change_graphs(now_s)
        if engine.gateway is not None and new.gateway is not None:
            actions += engine.gateway.configure(new.gateway, new, now_s)
            engine.intakes.set_weights({"api": new.gateway.api_weight})
        engine.intakes.set_weights({intake.name: intake.weight for intake in new.intakes})
        changes = differences(old, new)
        notices = [text for text in new.notices if text not in old.notices]
        actions += [LogEvent("info", "daemon", text, group="") for text in notices]
        text = f"new settings are applied: {'; '.join(changes)}" if changes else "new settings: no difference"
        actions.append(LogEvent("info", "daemon", text, group=""))
        return [*actions, *(answer(client, Reloaded(changes, notices)) for client in asked)]


def going_on(old: list[CameraSpec], new: list[CameraSpec]) -> list[CameraSpec]:
    """The new cameras. One that runs goes on by its own count: what the results of an earlier run said counts at its start only."""
    running = {camera.name: camera for camera in old}
    return [replace(camera, written=_written(running[camera.name], camera)) if camera.name in running else camera for camera in new]


def _written(old: CameraSpec, new: CameraSpec) -> dict[str, int]:
    return old.written if (old.source, old.options) == (new.source, new.options) else {}


def restart_needed(old: Settings, new: Settings) -> list[str]:
    """Changed keys that take effect only at the next start of the daemon."""
    keys = [name for name in RESTART_FIELDS if getattr(old, name) != getattr(new, name)]
    if _intakes(old) != _intakes(new):
        keys.append("intakes")
    if (old.gateway is None) != (new.gateway is None):
        keys.append("gateway")
    before, after = ({pool.name: pool for pool in each.pools} for each in (old, new))
    if set(before) != set(after) or any(_found(before[name]) != _found(after[name]) for name in before):
        keys.append("pools")
    elif any(before[name].clusters.time_scale != after[name].clusters.time_scale for name in before):
        keys.append("time_scale")
    return keys


def _found(pool: PoolSpec) -> DiscoverySpec | None:
    """How its sticks are found; names of ports are for people."""
    return None if pool.discovery is None else replace(pool.discovery, names={})


def _intakes(settings: Settings) -> list[IntakeSpec]:
    """What their processes are told; the weight is the core's."""
    return [replace(intake, weight=1.0) for intake in settings.intakes]
