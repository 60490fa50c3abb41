"""Sticks whose times vary: how much of what they finish is published, and how much comes too late behind a newer frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ncs_cluster.testing.daemon import sticks
from tests.benchmarks.house import all_results, bench, camera, percentile
from tests.benchmarks.table import Line

COUNT, LATENCY_MS, FPS = 8, 33.0, 240.0


def jitter(quick: bool) -> Iterator[Line]:
    """A live camera that saturates eight sticks; each inference takes up to 10 % or 30 % more or less, evenly spread. Compared with
    sticks whose times do not vary."""
    seconds, steady_ms = 4.0 if quick else 15.0, 0.0
    for share in (0.0, 0.1, 0.3):
        pool = sticks(COUNT, latency_ms=LATENCY_MS, jitter_ms=LATENCY_MS * share, heat=False)
        with bench(pool, [camera(fps=FPS)], write=True) as house:
            time.sleep(1.0)
            before, began_s = _camera(house.daemon.status()), time.time()
            time.sleep(seconds)
            after, ended_s = _camera(house.daemon.status()), time.time()
            house.daemon.stop()
            results = all_results(house)
        published, late = (after[key] - before[key] for key in ("results", "late"))
        finished = published + late
        latencies_ms = [result.latency_s * 1000 for result in results if began_s <= result.at_s < ended_s]
        p50_ms = percentile(latencies_ms, 0.5)
        steady_ms = steady_ms or p50_ms
        measured = (
            f"{finished / (ended_s - began_s):.0f}/s finished, {published / finished:.1%} published, {late / finished:.1%} late; "
            f"p50 {p50_ms:.1f} ({p50_ms / steady_ms:.2f} of that without jitter), p99 {percentile(latencies_ms, 0.99):.1f} ms"
        )
        what = f"live, jitter {share:.0%}, N={COUNT}, L={LATENCY_MS:.0f} ms, camera {FPS:.0f}/s"
        yield Line(what, "-", "late <= 1 %, p50 <= 1.1", measured, late / finished <= 0.01 and p50_ms <= 1.1 * steady_ms)


def _camera(status: dict[str, Any]) -> dict[str, int]:
    (camera_status,) = status["cameras"]
    found: dict[str, int] = camera_status
    return found
