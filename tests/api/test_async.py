"""Cluster beside a running event loop: the same results, and the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ncs_cluster import Cluster
from ncs_cluster.errors import ClusterClosed, ImageRefused
from tests.api.images import PATIENCE_S, SIMULATED, WITHOUT_GRAPH, shown

pytestmark = pytest.mark.slow

Images = list[np.ndarray]
Expected = list[list[dict[str, Any]]]


def test_many_at_once_get_each_their_own_result(cluster: Cluster, images: Images, expected: Expected) -> None:
    async def work() -> list[Any]:
        return await asyncio.wait_for(asyncio.gather(*(cluster.ainfer(image) for image in images * 3)), PATIENCE_S)

    assert [shown(result) for result in asyncio.run(work())] == expected * 3


@pytest.mark.parametrize("asynchronous", [True, False])
def test_amap_gives_results_in_order(cluster: Cluster, images: Images, expected: Expected, asynchronous: bool) -> None:
    async def given() -> AsyncIterator[np.ndarray]:
        for image in images:
            await asyncio.sleep(0)
            yield image

    async def work() -> list[Any]:
        return [result async for result in cluster.amap(given() if asynchronous else images)]

    results = asyncio.run(work())
    assert [result.number for result in results] == list(range(len(images)))
    assert [shown(result) for result in results] == expected


def test_the_loop_goes_on_while_images_wait_for_room(cluster: Cluster, images: Images) -> None:
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def work() -> int:
        ticking = asyncio.create_task(tick())
        results = [result async for result in cluster.amap(images * 3)]
        ticking.cancel()
        return len(results)

    assert asyncio.run(work()) == 3 * len(images)
    assert turns > 3 * len(images)


def test_an_exception_of_the_iterable_comes_after_the_results_before_it(
    cluster: Cluster, images: Images, expected: Expected
) -> None:
    async def work() -> list[Any]:
        results = cluster.amap([*images[:3], "no image", images[3]])  # type: ignore[list-item]
        found = [shown(await anext(results)) for _ in range(3)]
        with pytest.raises(ImageRefused):
            await anext(results)
        return found

    assert asyncio.run(work()) == expected[:3]


def test_a_cancelled_call_disturbs_no_other(cluster: Cluster, images: Images, expected: Expected) -> None:
    async def work() -> Any:
        calls = [asyncio.create_task(cluster.ainfer(image)) for image in images]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(work())
    assert [shown(result) for result in results[1::2]] == expected[1::2]
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])


def test_a_stream_is_followed_to_its_end(cluster: Cluster, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for number in range(40):
        writer.write(np.full((48, 64, 3), number, np.uint8))
    writer.release()

    async def work(every_frame: bool) -> list[int]:
        return [result.number async for result in cluster.astream(str(tmp_path / "film.avi"), every_frame=every_frame)]

    assert asyncio.run(work(True)) == list(range(40))
    assert asyncio.run(work(False))[-1] == 39


def test_a_cluster_is_closed_at_the_end_of_its_block(images: Images, expected: Expected, small_graph_folder: Path) -> None:
    async def work() -> Cluster:
        given: dict[str, Any] = {"backend": "simulated", "graph": small_graph_folder, "settings": SIMULATED}
        made = await asyncio.to_thread(lambda: Cluster(**given, sticks=1))
        async with made as cluster:
            assert shown(await cluster.ainfer(images[0])) == expected[0]
        with pytest.raises(ClusterClosed):
            await cluster.ainfer(images[0])
        return cluster

    asyncio.run(work())


def test_closing_ends_a_waiting_call(images: Images) -> None:
    async def work() -> None:
        given = {**WITHOUT_GRAPH, "settings": {"simulated.latency_ms": 60_000}}
        async with await asyncio.to_thread(lambda: Cluster(**given, sticks=1)) as cluster:
            calls = [asyncio.create_task(cluster.ainfer(images[0])) for _ in range(30)]
            await asyncio.sleep(0.1)
        ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), PATIENCE_S)
        assert [type(error) for error in ended] == [ClusterClosed] * 30

    asyncio.run(work())
