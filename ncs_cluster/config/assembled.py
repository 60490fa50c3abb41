"""Settings, assembled from the parts that are made of the validated keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import structs

from ncs_cluster.config.cameras import cameras
from ncs_cluster.config.climate import ambient, fan
from ncs_cluster.config.context import Context
from ncs_cluster.config.graphs import graphs
from ncs_cluster.config.intakes import intakes
from ncs_cluster.config.listen import gateway
from ncs_cluster.config.mqtt import mqtt
from ncs_cluster.config.nats import fleet_of, nats
from ncs_cluster.config.notify import notify
from ncs_cluster.config.overflow import receiver, sender
from ncs_cluster.config.paths import runtime_dir, state_dir
from ncs_cluster.config.pools import pools
from ncs_cluster.config.resume import resumed
from ncs_cluster.config.runtimes import runtimes
from ncs_cluster.config.sinks import sinks
from ncs_cluster.specs import CameraSpec, GraphSpec, Settings, SinkSpec

Attempt = Callable[..., Any]


def assembled(context: Context, attempt: Attempt = lambda part, *given: part(*given)) -> Settings:
    """Raises ConfigError at the first part that is wrong. `attempt(part, *given)` calls a part; it may go on behind one that fails,
    and then raises in the end."""
    driven = attempt(pools, context)
    environments = attempt(runtimes, context)
    seen = attempt(cameras, context)
    written, page = attempt(sinks, context), attempt(gateway, context)
    wanted = attempt(graphs_of, context, driven, seen)
    here = attempt(runtime_dir, context)
    resumable = attempt(going_on, context, seen, wanted, written)
    parts = {
        "state_dir": attempt(state_dir, context),
        "fan": attempt(fan, context),
        "ambient": attempt(ambient, context),
        "intakes": attempt(intakes, context, wanted),
        "overflowing": attempt(sender, context, wanted, driven),
        "of_neighbours": attempt(receiver, context, wanted),
        "published": attempt(mqtt, context, seen, wanted, page, here),
        "notified": attempt(notify, context, here),
        "announced": attempt(nats, context, page, here),
    }
    made: Settings = attempt(whole, context, driven, environments, resumable, written, page, wanted, here, parts)
    return made


def graphs_of(context: Context, driven: Any, seen: list[CameraSpec]) -> list[GraphSpec]:
    """The graphs for the backends of these pools."""
    return graphs(context, driven[2], seen)


def whole(
    context: Context,
    driven: Any,
    environments: Any,
    cameras: list[CameraSpec],
    written: list[SinkSpec],
    page: Any,
    graphs: list[GraphSpec],
    runtime_dir: str,
    parts: dict[str, Any],
) -> Settings:
    """The settings of these parts."""
    return Settings(
        pools=driven[0],
        graphs=graphs,
        cameras=cameras,
        runtimes=environments,
        runtime_dir=runtime_dir,
        state_dir=parts["state_dir"],
        sinks=[*written, *parts["published"], *parts["announced"], *parts["notified"]],
        gateway=None if page is None else structs.replace(page, fleet=fleet_of(parts["announced"])),
        log_level=context.root.log_level,
        notices=context.notices,
        fan=parts["fan"],
        ambient=parts["ambient"],
        intakes=[*parts["intakes"], *parts["of_neighbours"]],
        history_days=context.root.history_days,
        fallback=driven[1],
        overflow=parts["overflowing"],
    )


def going_on(context: Context, seen: list[CameraSpec], graphs: Sequence[GraphSpec], sinks: Sequence[SinkSpec]) -> list[CameraSpec]:
    """Cameras whose results have frames of an earlier run continue after them; running cameras keep their own count."""
    running = set() if context.running is None else {camera.name for camera in context.running.cameras}
    new = [camera for camera in seen if camera.name not in running]
    known = {camera.name: camera for camera in resumed(new, graphs, sinks, context.notices)}
    return [known.get(camera.name, camera) for camera in seen]
