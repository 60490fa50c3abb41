"""Cluster: images in, results out, on sticks that belong to this program."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from ncs_cluster.api import keywords
from ncs_cluster.api.feed import Feed, checked
from ncs_cluster.api.results import Result
from ncs_cluster.api.session import Session
from ncs_cluster.errors import ForkedCluster, InferenceFailed, ResultTimeout
from ncs_cluster.status import Status

Array = NDArray[np.uint8]
Path = str | os.PathLike[str]
T = TypeVar("T")

WINDOW = 64
"""Images of one `map` that are read and have no result yet, at most."""


class Cluster:
    """Sticks of this program's own, and the processes that drive them.

        with Cluster(backend="simulated", sticks=4, graph="demo") as cluster:
            for result in cluster.map(images):
                print(result.number, result.detections)

    An image is a numpy array, uint8 BGR [height, width, 3], of any size; it is copied before the call returns or the next image is
    asked for. Any thread may call any method. Errors are subclasses of `ncs_cluster.errors.NcsClusterError`: ClusterClosed in every
    waiting call when the processes have ended, ForkedCluster in a forked process, ImageRefused for what is no image.
    """

    def __init__(
        self,
        *,
        graph: Path | Iterable[Path] | None = None,
        backend: str | None = None,
        sticks: int | None = None,
        threshold: float | None = None,
        cluster_size: int | None = None,
        config: Path | None = None,
        settings: Mapping[str, Any] | None = None,
        log: Path | None = None,
        **unknown: object,
    ) -> None:
        """Starts the processes; sticks may still boot when it returns. The arguments are as the flags of ncs-clusterd of the same
        name. `graph`: a name or a folder, or several. `config`: a file of settings. `settings`: any other key, as for --set:
        {"simulated.latency_ms": 10}. `log`: a file to which the processes append their log. Raises ConfigError, one line."""
        keywords.refuse_unknown(unknown)
        argv = keywords.flags(
            graph, config, settings or {}, backend=backend, sticks=sticks, threshold=threshold, cluster_size=cluster_size
        )
        self._session = Session(argv, log)
        # at the interpreter's exit too
        self._close = weakref.finalize(self, self._session.close)
        self._submitting: ThreadPoolExecutor | None = None

    @property
    def graphs(self) -> list[str]:
        """Names of the graphs."""
        return list(self._session.graphs)

    def infer(self, image: Array, *, graph: str | None = None, timeout_s: float | None = None) -> Result:
        """The result of one image. Raises InferenceFailed where there is none, ResultTimeout after `timeout_s`. `graph`: its name,
        where this Cluster has several."""
        feed = self._session.feed(graph)
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        future = feed.submit(image, 0, timeout_s)
        try:
            return _good(future.result(None if until_s is None else max(0.0, until_s - time.monotonic())))
        except FutureTimeout as error:
            future.cancel()
            raise ResultTimeout(f"no result within {timeout_s:g} s") from error

    def map(self, images: Iterable[Array], *, graph: str | None = None) -> Iterator[Result]:
        """The result of each image, in order. At most WINDOW images are read ahead. An image without a result gives one with
        `error`. An exception of the iterable, or an image that is none, is raised after the results of the images before it."""
        return _mapped(self, self._session.feed(graph), iter(images))

    def stream(self, source: str, *, every_frame: bool = False) -> Iterator[Result]:
        """The results of a source, as --source of ncs-clusterd names it: "usb:0", "rtsp://...", a film, a folder. One for each
        frame and graph; closing the iterator ends the source. Live sources: the newest frame is worked on, and a caller that is
        slow gets the newest results. Pictures, and films with `every_frame`: every frame, in order, and the source waits for the
        caller. Raises ConfigError, and SourceError where the source can never be opened; one that is away is waited for."""
        self._session.check()
        return _followed(self, self._session, source, every_frame=every_frame)

    async def ainfer(self, image: Array, *, graph: str | None = None) -> Result:
        """As `infer`, beside a running event loop; asyncio.timeout and cancellation end the wait."""
        feed = self._session.feed(graph)
        return _good(await asyncio.wrap_future(await self._submit(feed, image, 0)))

    async def amap(self, images: Iterable[Array] | AsyncIterable[Array], *, graph: str | None = None) -> AsyncIterator[Result]:
        """As `map`, beside a running event loop. The images may come from an asynchronous iterable."""
        feed = self._session.feed(graph)
        waiting: deque[asyncio.Future[Result]] = deque()
        failure: Exception | None = None
        position, more = 0, True
        following = _following_image(images)
        try:
            while True:
                while more and failure is None and len(waiting) < WINDOW:
                    try:
                        image = await following()
                        waiting.append(asyncio.wrap_future(await self._submit(feed, image, position)))
                        position += 1
                        # a result is seen, and other tasks go on, in the loop's next turn
                        await asyncio.sleep(0)
                    except StopAsyncIteration:
                        more = False
                    except Exception as error:
                        failure = error
                    if waiting and waiting[0].done():
                        break
                if not waiting:
                    break
                yield await waiting.popleft()
            if failure is not None:
                raise failure
        finally:
            for future in waiting:
                future.cancel()

    async def astream(self, source: str, *, every_frame: bool = False) -> AsyncIterator[Result]:
        """As `stream`, beside a running event loop."""
        name, following = await asyncio.to_thread(self._session.follow, source, every_frame=every_frame)
        try:
            while (result := await asyncio.wrap_future(following.next())) is not None:
                yield result
            if not following.ordered:
                await asyncio.to_thread(self._session.settled, name)
                for result in following.rest():
                    yield result
        finally:
            self._session.unfollow(name)

    def status(self) -> Status:
        """What `ncsctl status --json` shows: docs/status.md."""
        return self._session.status()

    def close(self) -> None:
        """End the processes; waiting calls raise ClusterClosed. Any number of times, from any thread."""
        self._close()
        self._session.close()
        if self._submitting is not None:
            self._submitting.shutdown(wait=False, cancel_futures=True)

    async def aclose(self) -> None:
        """As `close`, beside a running event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Cluster:
        self._session.check()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Cluster:
        return self.__enter__()

    async def __aexit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise ForkedCluster("a Cluster cannot be sent to another process; make one there")

    def __repr__(self) -> str:
        return f"<Cluster of {', '.join(self.graphs) or 'no graph'}, host process {self._session.pid}>"

    async def _submit(self, feed: Feed, image: Array, position: int) -> Future[Result]:
        checked(image)
        if not feed.would_wait(image):
            return feed.submit(image, position)
        if self._submitting is None:
            # one thread: images keep their order
            self._submitting = ThreadPoolExecutor(1, "ncs-submit")
        return await asyncio.get_running_loop().run_in_executor(self._submitting, feed.submit, image, position)


def _good(result: Result) -> Result:
    if result.error is not None:
        raise InferenceFailed(result.error)
    return result


def _mapped(_held: Cluster, feed: Feed, images: Iterator[Array]) -> Iterator[Result]:
    """Holds the Cluster, which would end without a reference."""
    waiting: deque[Future[Result]] = deque()
    failure: Exception | None = None
    position, more = 0, True
    try:
        while True:
            # at least one image for each result, so that the sticks have work while the caller has; and no more than are needed
            while more and failure is None and len(waiting) < WINDOW:
                try:
                    waiting.append(feed.submit(next(images), position))
                    position += 1
                except StopIteration:
                    more = False
                except Exception as error:
                    failure = error
                if waiting and waiting[0].done():
                    break
            if not waiting:
                break
            yield waiting.popleft().result()
        if failure is not None:
            raise failure
    finally:
        for future in waiting:
            future.cancel()


def _followed(_held: Cluster, session: Session, source: str, *, every_frame: bool) -> Iterator[Result]:
    """Opens the source when the first result is asked for, so that an iterator that is never used opens none."""
    name, following = session.follow(source, every_frame=every_frame)
    try:
        while (result := following.next().result()) is not None:
            yield result
        if not following.ordered:
            session.settled(name)
            yield from following.rest()
    finally:
        session.unfollow(name)


def _following_image(images: Iterable[T] | AsyncIterable[T]) -> Callable[[], Any]:
    """A coroutine function that gives the next one, or raises StopAsyncIteration."""
    if isinstance(images, AsyncIterable):
        return aiter(images).__anext__
    iterator = iter(images)

    async def following() -> T:
        for image in iterator:
            return image
        raise StopAsyncIteration

    return following
