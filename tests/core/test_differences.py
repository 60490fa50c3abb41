"""What differs between two settings, in words: nothing that differs is left out, nothing secret is shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ncs_cluster.core.differences import OTHERS, differences
from ncs_cluster.specs import CameraSpec, ClusterSpec, DiscoverySpec, FanSpec, GatewaySpec, PoolSpec, Settings, SinkSpec
from ncs_cluster.testing.world import installation
from ncs_cluster.types import CameraName

BASE = replace(installation(2, ("a", "b"), ("demo",)), gateway=GatewaySpec("127.0.0.1", 8080), notices=["hello"])
(POOL,) = BASE.pools
A, B = BASE.cameras
(GRAPH,) = BASE.graphs


def pool(**changed: Any) -> dict[str, list[PoolSpec]]:
    return {"pools": [replace(POOL, **changed)]}


def a_with(**options: Any) -> dict[str, list[CameraSpec]]:
    return {"cameras": [replace(A, options={**A.options, **options}), B]}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"notices": ["other"]}, []),
        ({"cameras": [A]}, ["camera b removed"]),
        ({"cameras": [A, B, replace(A, name=CameraName("door"))]}, ["camera door added"]),
        ({"cameras": [replace(A, weight=2.5, picture="exact"), B]}, ["camera a: weight 1 -> 2.5, picture live -> exact"]),
        ({"cameras": [replace(A, ordered=not A.ordered), B]}, ["camera a: ordered changed"]),
        ({"cameras": [replace(A, shown="usb:1"), B]}, [f"camera a: source {A.shown} -> usb:1"]),
        (
            {"cameras": [replace(A, options={**A.options, "fps": 9, "loop": True}), B]},
            ["camera a: fps none -> 9, loop none -> true"],
        ),
        (a_with(url="rtsp://u:secret@x"), ["camera a: url changed"]),
        ({"graphs": [replace(GRAPH, threshold=0.25)]}, ["graph demo: threshold 0.6 -> 0.25"]),
        ({"graphs": [replace(GRAPH, labels={1: "cat"})]}, ["graph demo: labels changed"]),
        ({"graphs": []}, ["graph demo removed"]),
        (pool(clusters=ClusterSpec(1, switch_temp_c=60.5)), ["pool default: cluster_size 0 -> 1, switch_temp_c 65 -> 60.5"]),
        (pool(clusters=replace(POOL.clusters, policy_options={"step": 2.0})), ["pool default: step none -> 2"]),
        (pool(sticks=POOL.sticks[:1]), ["stick sim-2 removed"]),
        (pool(sticks=[replace(POOL.sticks[0], options={"heat": False}), POOL.sticks[1]]), ["stick sim-1: heat none -> false"]),
        (pool(discovery=DiscoverySpec("xlink", names={"1.2": "left"})), ["port 1.2: name none -> left"]),
        ({"pools": [POOL, PoolSpec(ClusterSpec(), name="cpu")]}, ["pool cpu added"]),
        ({"sinks": []}, ["results no more to results.jsonl"]),
        ({"sinks": [*BASE.sinks, SinkSpec("jsonl", {"path": "b"}, "b", "2")]}, ["results to b"]),
        ({"sinks": [replace(BASE.sinks[0], shown="b")]}, ["results no more to results.jsonl", "results to b"]),
        ({"sinks": [replace(BASE.sinks[0], options={"every": 2})]}, ["results to results.jsonl: every none -> 2, path changed"]),
        ({"gateway": None}, ["page removed"]),
        ({"gateway": GatewaySpec("0.0.0.0", 8080, "secret")}, ["page: host 127.0.0.1 -> 0.0.0.0, token changed"]),
        ({"fan": FanSpec("pwmfan")}, [OTHERS]),
    ],
)
def test_each_difference_is_told_in_words(changed: dict[str, Any], told: list[str]) -> None:
    texts = differences(BASE, replace(BASE, **changed))
    assert texts == told
    assert "secret" not in str(texts)


def test_a_page_that_is_new_is_told() -> None:
    assert differences(replace(BASE, gateway=None), BASE) == ["page added"]


@pytest.mark.parametrize("field", [name for name in CameraSpec.__struct_fields__ if name != "name"])
def test_no_field_of_a_camera_differs_unseen(field: str) -> None:
    other = {"str": "other", "float": 7.5, "bool": True, "dict": {"x": 1}, "list": ["x"], "int": 9}
    value = getattr(A, field)
    changed = other["list" if value is None else type(value).__name__]
    if changed == value:
        changed = not value
    (told,) = differences(BASE, replace(BASE, cameras=[replace(A, **{field: changed}), B]))
    assert told.startswith("camera a: ")


def test_the_same_settings_read_twice_have_no_difference() -> None:
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(BASE), type=Settings)
    assert differences(BASE, again) == []
