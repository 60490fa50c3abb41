"""What differs between two settings, in words: "camera door added", "graph ssd: threshold 0.5 -> 0.4". Nothing secret is in them.

Values are shown where they are numbers or switches, and where settings have a text for people. Other options, such as addresses,
may hold a password: they are named alone.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from msgspec import Struct

from ncs_cluster.specs import CameraSpec, GatewaySpec, GraphSpec, PoolSpec, Settings, SinkSpec, StickSpec

PLAIN = {
    "weight",
    "picture",
    "background",
    "window",
    "runtime",
    "threshold",
    "resize",
    "align",
    "colour",
    "cluster_size",
    "policy",
    "switch_interval_s",
    "switch_temp_c",
    "host",
    "port",
}
"""Fields whose values are shown."""
OTHERS = "other settings changed"


def differences(old: Settings, new: Settings) -> list[str]:
    """One text for each thing that differs; notices do not count."""
    found = [
        *_cameras({each.name: each for each in old.cameras}, {each.name: each for each in new.cameras}),
        *_graphs({each.name: each for each in old.all_graphs}, {each.name: each for each in new.all_graphs}),
        *_pools({each.name: each for each in old.pools}, {each.name: each for each in new.pools}),
        *_sinks({each.name: each for each in old.sinks}, {each.name: each for each in new.sinks}),
        *_page(old.gateway, new.gateway),
    ]
    compared = set(Settings.__struct_fields__) - {"notices", "jobs"}
    if not found and any(getattr(old, name) != getattr(new, name) for name in compared):
        return [OTHERS]
    return found


def _cameras(old: Mapping[str, CameraSpec], new: Mapping[str, CameraSpec]) -> Iterator[str]:
    yield from (f"camera {name} removed" for name in old if name not in new)
    for name, camera in new.items():
        before = old.get(name)
        if before is None:
            yield f"camera {name} added"
        elif before.source != camera.source or before.shown != camera.shown:
            yield f"camera {name}: source {before.shown} -> {camera.shown}"
        else:
            yield from _named(f"camera {name}", [*_fields(before, camera, {"shown"}), *_options(before.options, camera.options)])


def _graphs(old: Mapping[str, GraphSpec], new: Mapping[str, GraphSpec]) -> Iterator[str]:
    yield from (f"graph {name} removed" for name in old if name not in new)
    for name, graph in new.items():
        before = old.get(name)
        if before is None:
            yield f"graph {name} added"
        else:
            yield from _named(f"graph {name}", list(_fields(before, graph)))


def _pools(old: Mapping[str, PoolSpec], new: Mapping[str, PoolSpec]) -> Iterator[str]:
    yield from (f"pool {name} removed" for name in old if name not in new)
    for name, pool in new.items():
        before = old.get(name)
        if before is None:
            yield f"pool {name} added"
            continue
        clusters = [
            *_fields(before.clusters, pool.clusters, {"policy_options"}),
            *_options(before.clusters.policy_options, pool.clusters.policy_options),
        ]
        yield from _named(f"pool {name}", clusters)
        yield from _sticks({each.id: each for each in before.sticks}, {each.id: each for each in pool.sticks})
        earlier, later = (each.names if each is not None else {} for each in (before.discovery, pool.discovery))
        for port in sorted({**earlier, **later}):
            if earlier.get(port) != later.get(port):
                yield f"port {port}: name {earlier.get(port, 'none')} -> {later.get(port, 'none')}"


def _sticks(old: Mapping[str, StickSpec], new: Mapping[str, StickSpec]) -> Iterator[str]:
    yield from (f"stick {name} removed" for name in old if name not in new)
    for name, stick in new.items():
        before = old.get(name)
        if before is None:
            yield f"stick {name} added"
        else:
            yield from _named(f"stick {name}", [*_fields(before, stick), *_options(before.options, stick.options)])


def _sinks(old: Mapping[str, SinkSpec], new: Mapping[str, SinkSpec]) -> Iterator[str]:
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if before is None or after is None or before.shown != after.shown:
            yield from () if before is None else (f"results no more to {before.shown}",)
            yield from () if after is None else (f"results to {after.shown}",)
        else:
            yield from _named(f"results to {after.shown}", [*_fields(before, after), *_options(before.options, after.options)])


def _page(old: GatewaySpec | None, new: GatewaySpec | None) -> Iterator[str]:
    if old is None or new is None:
        yield from () if old == new else ("page added" if old is None else "page removed",)
        return
    yield from _named("page", list(_fields(old, new)))


def _named(what: str, changes: list[str]) -> list[str]:
    return [f"{what}: {', '.join(changes)}"] if changes else []


def _fields(old: Struct, new: Struct, besides: Container[str] = ()) -> Iterator[str]:
    """The fields that differ, `options` and those of `besides` aside."""
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if before != after and name != "options" and name not in besides:
            yield f"{name} {_shown(before)} -> {_shown(after)}" if name in PLAIN else f"{name} changed"


def _options(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({**old, **new}):
        before, after = old.get(name), new.get(name)
        if before != after:
            told = all(isinstance(each, (bool, int, float, type(None))) for each in (before, after))
            yield f"{name} {_shown(before)} -> {_shown(after)}" if told else f"{name} changed"


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
