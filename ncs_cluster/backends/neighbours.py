"""Neighbours: other hosts of the fleet infer frames, as one stick with several requests in flight.

A frame is scaled to the size that it has inside the graph's input, which makes it small and is what a stick of this host would do
with it, and sent as a JPEG to a host that has the same graph with the same settings. That host decodes what its stick has found. A
frame without an answer in time is missed, and nothing is wrong with the device. When the connection to the server is lost, so is
the device: its worker starts again. Runs on CPython 3.9.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Dict, List, NamedTuple, Optional, Tuple

from ncs_cluster.backends._preprocess import inner_size
from ncs_cluster.backends.base import Completed, DeviceInfo, Reading
from ncs_cluster.errors import NcsClusterError, StickError
from ncs_cluster.fleet import address, overflow, same_graph
from ncs_cluster.fleet.connection import library
from ncs_cluster.fleet.link_share import LinkShare
from ncs_cluster.fleet.neighbours import LATE, REFUSED, Frame, Neighbours
from ncs_cluster.fleet.server_files import server
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import OverflowCounts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HELD_BACK = "held back"
FIRST_SIDE = 640
"""Pixels: the longer side of a frame for a graph whose input's size no neighbour has told yet."""


@dataclass(frozen=True)
class Options:
    """How neighbours are reached, and what they get."""

    __pydantic_config__ = {"extra": "forbid"}

    url: str
    node: str
    """Of this host."""
    user: Optional[str] = None
    password_file: Optional[str] = None
    ca_file: Optional[str] = None
    nkey_file: Optional[str] = None
    credentials_file: Optional[str] = None
    deadline_ms: int = 500
    bytes_per_s: float = 3_125_000.0
    """Of pictures."""
    in_flight: int = 16
    quality: int = 90
    """Of the JPEGs, 1 to 100."""

    def __post_init__(self) -> None:
        address.parse(self.url)
        if not address.NODE.fullmatch(self.node):
            raise ValueError(f"node {self.node!r} may hold letters, digits, _ and - only, 64 at most")
        if not 1 <= self.deadline_ms <= overflow.LONGEST_MS:
            raise ValueError(f"deadline_ms must be 1 to {overflow.LONGEST_MS}")
        if not 0 < self.bytes_per_s < math.inf:
            raise ValueError("bytes_per_s must be more than 0")
        if not 1 <= self.in_flight <= 64 or not 1 <= self.quality <= 100:
            raise ValueError("in_flight must be 1 to 64, and quality 1 to 100")


class _Sent(NamedTuple):
    graph: int
    sent_s: float


class OtherHosts:
    """See base.Backend and base.Forwarding."""

    needs_frames = True

    def __init__(self, time_scale: float = 1.0) -> None:
        """Other hosts know no time scale."""
        self.wake_fd: Optional[int] = None
        self.due_s: Optional[float] = None
        self._neighbours: Optional[Neighbours] = None
        self._pipe: Optional[Tuple[int, int]] = None
        self._sent: Dict[int, _Sent] = {}
        self._unsent: List[Completed] = []
        self._inputs: Dict[int, Tuple[int, int]] = {}
        """Width and height of the input of each graph, once a neighbour has told it."""
        self._answered = self._late = self._refused = self._held_back = 0

    def open(self, stick: StickSpec, graphs: List[GraphSpec], phase: Callable[[str], None]) -> DeviceInfo:
        phase("opening")
        try:
            self._options = options = Options(**stick.options)
            files = (options.password_file, options.ca_file, options.nkey_file, options.credentials_file)
            where = server(options.url, options.user, *files)
            library()
        except (TypeError, ValueError, NcsClusterError) as error:
            raise StickError("open", str(error)) from error
        try:
            self._contents = [same_graph.content(graph) for graph in graphs]
        except OSError as error:
            raise StickError("graph", f"{error.filename}: {error.strerror}") from error
        self.change_graphs(graphs)
        self._share = LinkShare(options.bytes_per_s, time.monotonic())
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self._neighbours = Neighbours(where, options.node, self._wake)
        try:
            self._neighbours.open()
        except NcsClusterError as error:
            raise StickError("open", f"the NATS server {where.address} cannot be used: {error}") from error
        self.wake_fd = self._pipe[0]
        return DeviceInfo("neighbours", has_sensor=False, max_in_flight=options.in_flight, executors=options.in_flight)

    def submit(self, tag: int, graph: int, image: Optional[NDArray[np.uint8]]) -> None:
        assert image is not None
        assert self._neighbours is not None
        now_s = time.monotonic()
        picture = self._encoded(graph, image)
        if len(picture) > overflow.LARGEST_PICTURE or not self._share.take(len(picture), now_s):
            self._held_back += 1
            self._unsent.append(Completed(tag, None, 0.0, missed=HELD_BACK))
            self._wake()
            return
        self._sent[tag] = _Sent(graph, now_s)
        until_s = now_s + self._options.deadline_ms / 1000
        self._neighbours.send(Frame(tag, overflow.subject(self._identities[graph]), picture, until_s))

    def collect(self) -> List[Completed]:
        assert self._neighbours is not None
        assert self._pipe is not None
        try:
            os.read(self._pipe[0], 4096)
        except BlockingIOError:
            pass
        if self._neighbours.lost is not None:
            raise StickError("link", f"the NATS server {address.parse(self._options.url)} cannot be used: {self._neighbours.lost}")
        done, self._unsent = self._unsent, []
        while self._neighbours.ended:
            tag, answer, missed = self._neighbours.ended.popleft()
            sent = self._sent.pop(tag)
            self._late += missed == LATE
            self._refused += missed == REFUSED
            took_s = time.monotonic() - sent.sent_s
            if answer is None:
                done.append(Completed(tag, None, took_s, missed=missed))
                continue
            self._answered += 1
            if answer.width and answer.height:
                self._inputs[sent.graph] = answer.width, answer.height
            outcome = overflow.outcome_of(answer, self._graphs[sent.graph].labels)
            done.append(Completed(tag, None, took_s, outcome=outcome))
        return done

    def read_sensor(self) -> Reading:
        return Reading(None)

    def change_graphs(self, graphs: List[GraphSpec]) -> None:
        self._graphs = graphs
        self._identities = [same_graph.identity(content, graph) for content, graph in zip(self._contents, graphs)]

    def counts(self) -> OverflowCounts:
        assert self._neighbours is not None
        known = self._neighbours
        return OverflowCounts(
            known.sent, self._answered, self._late, self._refused, self._held_back, known.sent_bytes, self._share.gap_s
        )

    def close(self) -> None:
        if self._neighbours is not None:
            self._neighbours.close()
        if self._pipe is not None:
            for end in self._pipe:
                os.close(end)
            self._pipe = None

    def _encoded(self, graph: int, image: NDArray[np.uint8]) -> bytes:
        import cv2

        rows, columns = image.shape[:2]
        if graph in self._inputs:
            width, height = inner_size(columns, rows, self._graphs[graph], *self._inputs[graph])
        else:
            scale = FIRST_SIDE / max(columns, rows)
            width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
        if width * height < columns * rows:
            # as a stick's worker resizes it
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        _, picture = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._options.quality])
        return picture.tobytes()

    def _wake(self) -> None:
        if self._pipe is not None:
            try:
                os.write(self._pipe[1], b"!")
            except BlockingIOError:
                pass
