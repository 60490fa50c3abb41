"""The loop that every measured program has: take the next picture, read and decode it, infer, write what was found.

Programs differ in how many threads run it, and in what `infer` does. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Dict, Iterator, List, NamedTuple, NoReturn, Optional, Tuple, Union

import msgspec

from ncs_cluster.errors import NcsClusterError, SourceError, StickError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages.bench import BenchItem, Done, Pictures, Ready, Temperatures, Work
from ncs_cluster.messages.child import Failed, Stop
from ncs_cluster.processes import child
from ncs_cluster.processes.bench import picture_numbers
from ncs_cluster.sinks._json import encode
from ncs_cluster.sources._opencv import need_opencv
from ncs_cluster.sources._picture import Unreadable, scaled
from ncs_cluster.types import Outcome, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STREAM = "bench"
TEMPERATURES_S = 1.0
"""Time between two reports of the temperatures."""

Infer = Callable[["NDArray[np.uint8]"], Tuple[Optional[str], str, Outcome]]
"""uint8 BGR [height, width, 3] -> the stick that answered, the graph, and what it says."""


class PictureThread(NamedTuple):
    """One thread, and how it infers."""

    submit: Callable[..., Future[None]]
    """Begins a call with its arguments in the thread, after those before."""
    infer: Infer


class Program:
    """Serves `ncsctl bench` once its devices are open."""

    def __init__(
        self,
        channel: Channel[Any],
        pictures: Pictures,
        threads: List[PictureThread],
        temperatures: Callable[[], Dict[str, Optional[float]]],
    ) -> None:
        self._channel, self._threads, self._temperatures = channel, threads, temperatures
        self._most = pictures.most
        with open(pictures.items, "rb") as file:
            self._items = msgspec.msgpack.decode(file.read(), type=List[BenchItem])
        self._writing = threading.Lock()

    def run(self) -> None:
        """Work off the first picture with every thread, say Ready, then do each Work until Stop. Raises EOFError when the command
        has ended, StickError, InferenceFailed or SourceError for a picture without a result."""
        need_opencv()
        with open(os.devnull, "wb") as nowhere:
            self._all(nowhere, [iter([0]) for _ in self._threads])
        self._channel.send(Ready(len(self._threads)))
        while True:
            received = self._channel.receive()
            assert received is not None
            if isinstance(received.message, Stop):
                return
            if not isinstance(received.message, Work):
                raise StickError("protocol", f"unexpected {type(received.message).__name__}: the devices are open")
            self._work(received.message, received.fds)
            self._channel.send(Done())

    def _work(self, work: Work, fds: List[int]) -> None:
        count = len(self._threads)
        with open(work.results, "ab") as results:
            if work.seconds is None:
                self._all(results, [picture_numbers.taken(fds[0]) for _ in self._threads])
            else:
                end_s = time.monotonic() + work.seconds
                self._all(results, [picture_numbers.until(end_s, first, count) for first in range(count)], reports=True)
        for fd in fds:
            os.close(fd)

    def _all(self, results: BinaryIO, numbers: List[Iterator[int]], *, reports: bool = False) -> None:
        """Run the loop in every thread, and raise the first error of one."""
        running: List[Future[None]] = [
            thread.submit(self._loop, thread.infer, of_thread, results) for thread, of_thread in zip(self._threads, numbers)
        ]
        while reports and wait(running, TEMPERATURES_S).not_done:
            self._channel.send(Temperatures(self._temperatures()))
        for each in running:
            each.result()

    def _loop(self, infer: Infer, numbers: Iterator[int], results: BinaryIO) -> None:
        for number in numbers:
            item = self._items[number % len(self._items)]
            began_s, began = time.monotonic(), time.time()
            try:
                picture = scaled(item.path, self._most, item.home)
            except Unreadable as error:
                raise SourceError(f"{item.name}: {error}") from error
            stick, graph, outcome = infer(picture.pixels)
            record = Record(STREAM, number, began, item.name, stick, graph, time.monotonic() - began_s, outcome, picture.size)
            line = encode(record) + b"\n"
            with self._writing:
                results.write(line)


def ended(channel: Channel[Any], error: Union[NcsClusterError, OSError, EOFError]) -> NoReturn:
    """Say why the program ends, and exit with code 1."""
    if isinstance(error, (EOFError, BrokenPipeError)):
        os._exit(1)
    reason = error.reason if isinstance(error, StickError) else "protocol"
    child.fail(channel, Failed(reason, " ".join(str(error).split())))
