"""What careless and hostile clients of the control socket cost: detections, and the supervisor's memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil

from ncs_cluster.testing.daemon import sticks
from tests.benchmarks.house import Bench, all_results, bench, camera, rate
from tests.benchmarks.table import Line
from tests.hostile import SIXTEEN, attack


def clients(quick: bool) -> Iterator[Line]:
    """Eight sticks that never wait; 16 clients that ask without a pause, most of which never read, in turns with and without."""
    for_s, turns = (4.0, 1) if quick else (10.0, 3)
    calm, attacked, answers = [], [], []
    with bench(sticks(8, latency_ms=33.0, heat=False), [camera(fps=240.0)], write=True) as house:
        supervisor = psutil.Process(house.daemon.pid)
        _rate(house, 2.0)
        before = supervisor.memory_info().rss
        for _ in range(turns):
            calm += [_rate(house, for_s)]
            with attack(house.daemon.runtime_dir, SIXTEEN):
                time.sleep(1.0)
                attacked += [_rate(house, for_s)]
                began_s = time.monotonic()
                house.daemon.status()
                answers.append(time.monotonic() - began_s)
        grown = (supervisor.memory_info().rss - before) / 1e6
    share = (sum(attacked) / len(attacked)) / (sum(calm) / len(calm))
    measured = (
        f"{share:.3f} ({sum(attacked) / len(attacked):.0f} of {sum(calm) / len(calm):.0f}/s); +{grown:.1f} MB;"
        f" another client's answer after {max(answers):.2f} s"
    )
    what = "detections/s with 16 hostile clients / without; memory of the supervisor, N=8, L=33 ms"
    yield Line(what, "-", ">= 0.97; <= 10 MB", measured, share >= 0.97 and grown <= 10)


def _rate(house: Bench, for_s: float) -> float:
    """Detections per second from now on."""
    begin_s = time.time()
    time.sleep(for_s)
    end_s = time.time()
    return rate([result.at_s for result in all_results(house) if begin_s <= result.at_s <= end_s])
