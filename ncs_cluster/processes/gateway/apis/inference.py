"""Open Inference Protocol v2: the graphs as its models, and one inference, by REST and by gRPC alike."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional, TypeVar

from ncs_cluster.messages import ServedGraph
from ncs_cluster.processes.gateway.apis.asked import Asked, UnknownModel, check_outputs
from ncs_cluster.processes.gateway.apis.asking import ANSWER_S, check_sticks
from ncs_cluster.processes.gateway.apis.models import Statistics, is_ready
from ncs_cluster.processes.intake import NO_STICK_RETRY_S, Answer, Intake, NoStick

T = TypeVar("T")


class Models:
    """The graphs that the daemon serves, by name; each is a model of version 1."""

    def __init__(self, intake: Intake, threads: ThreadPoolExecutor) -> None:
        self._intake, self._threads = intake, threads
        self._statistics: defaultdict[str, Statistics] = defaultdict(Statistics)

    @property
    def names(self) -> list[str]:
        return list(self._intake.graphs)

    def named(self, name: str, version: str = "") -> ServedGraph:
        """`version`: empty for the one there is. Raises UnknownModel."""
        graph = self._intake.graphs.get(name)
        if graph is None:
            raise UnknownModel(f"there is no model {name[:80]!r}; the daemon serves: {', '.join(self.names) or 'none'}")
        if version not in ("", "1"):
            raise UnknownModel(f"{name} has version 1 alone")
        return graph

    def can_work(self, graph: Optional[ServedGraph] = None) -> bool:
        """Whether a stick can take a picture for the graph now; None: for any."""
        graphs = self._intake.graphs.values() if graph is None else [graph]
        return self._intake.served is not None and self._intake.served.sticks > 0 and any(map(is_ready, graphs))

    @property
    def most_pixels(self) -> int:
        """Of the largest input that is known."""
        return max((graph.width * graph.height for graph in self._intake.graphs.values()), default=0)

    def statistics(self, names: list[str]) -> dict[str, Any]:
        return {"model_stats": [self._statistics[name].document(name) for name in names]}

    def index(self) -> list[dict[str, Any]]:
        return [{"name": name, "version": "1", "state": "READY"} for name in self.names]

    async def infer(
        self,
        graph: ServedGraph,
        began_s: float,
        read: Callable[[int, int], Asked],
        write: Callable[[Asked, Answer], T],
        *,
        timeout_s: float = ANSWER_S,
        wait: Optional[Callable[[Coroutine[Any, Any, Answer]], Awaitable[Answer]]] = None,
    ) -> T:
        """The response to a request that began at `began_s`, monotonic. `read(width, height)` makes the request of what was sent
        for a graph of that size, `write` makes the response of its answer, both in a thread. `wait`: waits for the answer, and may
        do so for another event too. Raises BadTensors, Overloaded, TimedOut, Unanswered, and what `wait` raises."""
        statistics = self._statistics[graph.name]
        try:
            check_sticks(self._intake)
            if not is_ready(graph):
                raise NoStick(f"no stick has opened {graph.name} yet", NO_STICK_RETRY_S)
            received_s = time.monotonic()
            asked: Asked = await self.in_thread(read, graph.width, graph.height)
            check_outputs(asked, [output.name for output in graph.outputs])
            read_s = time.monotonic() - received_s
            timeout_s = min(ANSWER_S, timeout_s, asked.timeout_s or ANSWER_S)
            work = self._intake.infer(graph.name, asked.tensor, timeout_s=timeout_s, raw=True, insist=True)
            answer = await (work if wait is None else wait(work))
            answered_s = time.monotonic()
            response: T = await self.in_thread(write, asked, answer)
        except (Exception, asyncio.CancelledError):
            statistics.failed += 1
            statistics.failed_s += time.monotonic() - began_s
            raise
        now_s = time.monotonic()
        statistics.succeeded(now_s - began_s, answer.latency_s, read_s, now_s - answered_s)
        return response

    async def in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)
