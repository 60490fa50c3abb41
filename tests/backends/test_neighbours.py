"""The backend that stands for other hosts, at a real NATS server with a neighbour that the test plays."""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from ncs_cluster.backends._preprocess import resize_into
from ncs_cluster.backends.base import Completed
from ncs_cluster.backends.neighbours import HELD_BACK, OtherHosts
from ncs_cluster.errors import StickError
from ncs_cluster.fleet import overflow, same_graph
from ncs_cluster.fleet.overflow import Answer
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import Detection, GraphName, Outcome, StickId
from tests.nats_server import NatsServer, nats_server

WIDTH, HEIGHT = 64, 48
Reply = Callable[[NDArray[np.uint8]], Answer | None]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(tmp_path_factory.mktemp("nats"), jetstream=False) as made:
        yield made


@pytest.fixture
def graph(tmp_path: Path) -> GraphSpec:
    (tmp_path / "net.onnx").write_bytes(b"net")
    return GraphSpec(GraphName("cats"), str(tmp_path / "net.onnx"), "ssd", {1: "cat"}, resize="letterbox")


@contextmanager
def neighbour(place: NatsServer, graph: GraphSpec, reply: Reply) -> Iterator[list[NDArray[np.uint8]]]:
    """Answers each frame by `reply`; None: not at all. The frames that it has seen, uint8 BGR."""
    seen: list[NDArray[np.uint8]] = []
    subject = overflow.subject(same_graph.identity(same_graph.content(graph), graph))
    loop, ready, ends = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        import nats

        client = await nats.connect(place.url, allow_reconnect=False)

        async def heard(message: Any) -> None:
            assert overflow.request_of(message.headers) is not None
            picture: Any = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
            seen.append(picture)
            if (answer := reply(picture)) is not None:
                await message.respond(overflow.encoded(answer))

        await client.subscribe(subject, overflow.GROUP, cb=heard)
        await client.flush()
        ready.set()
        await ends.wait()
        await client.close()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert ready.wait(60)
    try:
        yield seen
    finally:
        loop.call_soon_threadsafe(ends.set)
        thread.join(60)
        loop.close()


@contextmanager
def opened(place: NatsServer, graph: GraphSpec, **options: Any) -> Iterator[OtherHosts]:
    backend = OtherHosts()
    given = {"url": place.url, "node": "attic", "deadline_ms": 20_000, **options}
    try:
        backend.open(StickSpec(StickId("net-1"), "net", "neighbours", given), [graph], lambda phase: None)
        yield backend
    finally:
        backend.close()


def collected(backend: OtherHosts, count: int) -> dict[int, Completed]:
    """By tag, once so many are there."""
    done: dict[int, Completed] = {}
    until_s = time.monotonic() + 60.0
    while len(done) < count:
        assert backend.wake_fd is not None
        assert select.select([backend.wake_fd], [], [], max(0.0, until_s - time.monotonic()))[0], f"only {sorted(done)} came"
        done.update((each.tag, each) for each in backend.collect())
    return done


def plain(blue: int) -> NDArray[np.uint8]:
    return np.full((240, 320, 3), (blue, 90, 30), np.uint8)


def tells_blue(picture: NDArray[np.uint8]) -> Answer:
    return Answer("cellar", detections=[(1, float(picture[..., 0].mean()) / 255, (0.0, 0.0, 1.0, 1.0))], width=WIDTH, height=HEIGHT)


def test_each_frame_gets_its_own_answer_as_a_decoder_of_this_host_would_give_it(place: NatsServer, graph: GraphSpec) -> None:
    with neighbour(place, graph, tells_blue), opened(place, graph) as backend:
        for tag in range(8):
            backend.submit(tag, 0, plain(20 * tag))
        done = collected(backend, 8)
        counts = backend.counts()
    for tag, each in done.items():
        assert each.missed == ""
        assert each.outcome is not None
        (found,) = each.outcome.detections
        assert found == Detection("cat", 1, found.score, (0.0, 0.0, 1.0, 1.0))
        assert found.score == pytest.approx(20 * tag / 255, abs=0.01)
    assert (counts.sent, counts.answered, counts.late, counts.refused, counts.held_back) == (8, 8, 0, 0, 0)


def test_once_the_size_of_the_input_is_known_a_neighbour_sees_what_a_stick_of_this_host_would_see(
    place: NatsServer, graph: GraphSpec
) -> None:
    rows, columns = np.indices((240, 320))
    frame = np.stack([rows, columns // 2, 255 - rows], -1).astype(np.uint8)
    with neighbour(place, graph, tells_blue) as seen, opened(place, graph) as backend:
        for tag in range(2):
            backend.submit(tag, 0, frame)
            collected(backend, 1)
    here, there = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert seen[0].shape == frame.shape
    assert resize_into(frame, graph, here) == resize_into(seen[1], graph, there)
    assert seen[1].shape == (HEIGHT, WIDTH, 3)
    assert np.abs(here.astype(int) - there).max() <= 8


def test_a_frame_that_nobody_takes_or_answers_is_missed_and_the_device_is_well(place: NatsServer, graph: GraphSpec) -> None:
    with opened(place, graph) as backend:
        backend.submit(1, 0, plain(0))
        assert collected(backend, 1)[1].missed == "refused"
        with neighbour(place, graph, lambda picture: Answer("cellar", "busy")) as seen:
            backend.submit(2, 0, plain(0))
            assert collected(backend, 1)[2].missed == "refused"
        assert len(seen) == 2, "a frame that is refused goes to another neighbour, once"
        counts = backend.counts()
    assert (counts.answered, counts.late, counts.refused) == (0, 0, 2)
    with neighbour(place, graph, lambda picture: None), opened(place, graph, deadline_ms=50) as backend:
        backend.submit(3, 0, plain(0))
        done = collected(backend, 1)[3]
        assert (done.missed, done.outcome, backend.counts().late) == ("late", None, 1)


def test_a_frame_over_the_share_of_the_link_is_not_sent(place: NatsServer, graph: GraphSpec) -> None:
    with neighbour(place, graph, tells_blue) as seen, opened(place, graph, bytes_per_s=100.0) as backend:
        backend.submit(1, 0, plain(0))
        backend.submit(2, 0, plain(0))
        done = collected(backend, 2)
        assert [done[tag].missed for tag in (1, 2)] == ["", HELD_BACK]
        assert len(seen) == 1
        assert backend.counts().gap_s > 1.0


def test_after_a_change_of_the_threshold_only_hosts_with_the_same_one_get_frames(place: NatsServer, graph: GraphSpec) -> None:
    with neighbour(place, replace(graph, threshold=0.3), tells_blue), opened(place, graph) as backend:
        backend.submit(1, 0, plain(0))
        assert collected(backend, 1)[1].missed == "refused"
        backend.change_graphs([replace(graph, threshold=0.3)])
        backend.submit(2, 0, plain(0))
        assert collected(backend, 1)[2].outcome is not None


def test_an_answer_that_is_none_is_no_answer(place: NatsServer, graph: GraphSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overflow, "encoded", lambda answer: b"\xc1 no answer")
    with neighbour(place, graph, tells_blue), opened(place, graph) as backend:
        backend.submit(1, 0, plain(0))
        done = collected(backend, 1)[1]
    assert (done.missed, done.outcome or Outcome()) == ("refused", Outcome())


def test_a_server_that_is_away_or_goes_away_is_told_in_one_line(tmp_path: Path, graph: GraphSpec) -> None:
    with nats_server(tmp_path, jetstream=False) as place:
        with opened(place, graph) as backend:
            place.kill()
            assert backend.wake_fd is not None
            assert select.select([backend.wake_fd], [], [], 60.0)[0]
            with pytest.raises(StickError, match=r"^the NATS server nats://127.* cannot be used: the connection was lost$") as lost:
                backend.collect()
            assert lost.value.reason == "link"
        with pytest.raises(StickError, match=r"cannot be used: Connection refused$") as away, opened(place, graph):
            pass
        assert away.value.reason == "open"
