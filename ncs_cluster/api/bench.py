"""The program with a cluster that `ncsctl bench` measures, as a user of the library writes it: threads read pictures and call
`Cluster.infer`. There are as many as the sticks take requests at once, and one for each core, which reads meanwhile.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ncs_cluster.api.cluster import Cluster
from ncs_cluster.errors import NcsClusterError, StickError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages.bench import OpenCluster, ToBench
from ncs_cluster.processes import child
from ncs_cluster.processes.bench.loop import PictureThread, Program, ended
from ncs_cluster.status import Status, StickStatus
from ncs_cluster.types import Outcome

LOOK_S = 0.02
PATIENCE_S = 120.0
"""For the boot of all sticks."""
INFER_S = 600.0
"""Longest wait for a result: sticks may all be too hot for a while."""
NOT_READY = ("starting", "absent", "backoff", "quarantined")
"""States of a stick that takes no picture."""


def main() -> NoReturn:
    """The process. Exit code 0 after Stop, 1 after Failed."""
    channel = child.enter("bench", ToBench)
    settings = child.first_message(channel, OpenCluster)
    try:
        with Cluster(graph=settings.graph, settings=settings.settings, config=settings.config, log=settings.log) as cluster:
            _serve(channel, settings, cluster)
    except (NcsClusterError, OSError, EOFError) as error:
        ended(channel, error)
    except Exception as error:
        child.fail(channel, child.unexpected(error))
    os._exit(0)


def _serve(channel: Channel[Any], settings: OpenCluster, cluster: Cluster) -> None:
    sticks = _ready(cluster, settings.sticks)
    count = sum(stick.max_in_flight or 1 for stick in sticks) + (os.cpu_count() or 1)

    def infer(image: NDArray[np.uint8]) -> tuple[str | None, str, Outcome]:
        result = cluster.infer(image, timeout_s=INFER_S)
        features = None if result.features is None else result.features.tobytes()
        return result.stick, result.graph, Outcome(result.detections, result.classes, None, features)

    def temperatures() -> dict[str, float | None]:
        return {stick.id: stick.temperature_c for stick in cluster.status().sticks}

    executor = ThreadPoolExecutor(count, "reader")
    Program(channel, settings.pictures, [PictureThread(executor.submit, infer)] * count, temperatures).run()


def _ready(cluster: Cluster, wanted: int) -> list[StickStatus]:
    """The sticks, once `wanted` of them take pictures. Raises StickError where they do not."""
    until_s = time.monotonic() + PATIENCE_S
    while len(ready := _working(status := cluster.status())) < wanted:
        if time.monotonic() > until_s:
            raise StickError("open", f"{len(ready)} of {wanted} sticks are ready after {PATIENCE_S:.0f} s: {_why(status)}")
        time.sleep(LOOK_S)
    return ready


def _working(status: Status) -> list[StickStatus]:
    return [stick for stick in status.sticks if stick.state not in NOT_READY]


def _why(status: Status) -> str:
    return "; ".join(status.daemon.reasons) or "no stick is found"


if __name__ == "__main__":
    main()
