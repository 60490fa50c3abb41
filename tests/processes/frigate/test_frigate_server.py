"""The detector's socket, asked by REQ sockets as Frigate has them; the sticks are a fake."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from ncs_cluster.messages import Served, ServedGraph
from ncs_cluster.processes.frigate import protocol, server
from ncs_cluster.processes.frigate.clients import FIRST_FRAME_S, MOST_CLIENTS, MOST_CONNECTIONS, Clients
from ncs_cluster.processes.frigate.server import CannotServe, Server
from ncs_cluster.processes.intake import Answer, TimedOut, Unanswered
from ncs_cluster.specs import FrigateSpec
from ncs_cluster.types import Detection, GraphName, IntakeClient, Outcome
from tests.needs import need_module

zmq = need_module("zmq")
zmq_asyncio = need_module("zmq.asyncio")

GRAPHS = [
    ServedGraph(GraphName("demo"), "ssd", {1: "person", 2: "box"}, 300, 300),
    ServedGraph(GraphName("yolox_nano"), "yolo", {0: "person", 2: "car"}, 416, 416),
]
SEEN = [Detection("car", 2, 0.5, (0.1, 0.2, 0.3, 0.4)), Detection("person", 0, 0.75, (0.5, 0.5, 1.0, 1.0))]
ANSWER_S = 20.0


class Sticks:
    """An intake whose sticks answer as `look` says; also the daemon that has it."""

    def __init__(self, look: Callable[[str, Any], Awaitable[list[Detection]]] | None = None, sticks: int = 1) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.served = Served(GRAPHS, sticks)
        self._look = look

    @property
    def intake(self) -> Any:
        return self

    @property
    def graphs(self) -> dict[str, ServedGraph]:
        return {graph.name: graph for graph in self.served.graphs}

    async def infer(self, graph: str, image: Any, *, timeout_s: float, raw: bool = False, insist: bool = False) -> Answer:
        assert insist
        self.asked.append((graph, image))
        try:
            async with asyncio.timeout(timeout_s):
                found = SEEN if self._look is None else await self._look(graph, image)
        except TimeoutError:
            raise TimedOut("no answer") from None
        return Answer(Outcome(found), "sim-1", 0.01, {})


class Client:
    """As Frigate's plugin: one REQ socket, one request at a time."""

    def __init__(self, endpoint: str) -> None:
        self._socket = zmq_asyncio.Context.instance().socket(zmq.REQ)
        self._socket.connect(endpoint)

    async def request(self, *frames: bytes) -> list[bytes]:
        await self._socket.send_multipart(frames)
        answer: list[bytes] = await asyncio.wait_for(self._socket.recv_multipart(), ANSWER_S)
        return answer

    async def shake_hands(self, model: str) -> Any:
        (answer,) = await self.request(json.dumps({"model_request": True, "model_name": model}).encode())
        return json.loads(answer)

    async def detect(self, tensor: Any) -> Any:
        header = {"shape": list(tensor.shape), "dtype": tensor.dtype.name, "model_type": "ssd"}
        (answer,) = await self.request(json.dumps(header).encode(), tensor.tobytes())
        return np.frombuffer(answer, np.float32).reshape(20, 6)

    def close(self) -> None:
        self._socket.close(linger=0)


@asynccontextmanager
async def serving(
    folder: Path, daemon: Any, notes: list[str], **options: Any
) -> AsyncIterator[tuple[Server, Callable[[], Client]]]:
    """A server, and a maker of clients; all are closed at the end."""
    spec = FrigateSpec(f"ipc://{folder}/detector", **{"deadline_ms": 20_000, **options})
    served, clients = Server(spec, daemon, notes.append), []

    def client() -> Client:
        clients.append(Client(spec.endpoint))
        return clients[-1]

    try:
        yield served, client
    finally:
        for each in clients:
            each.close()
        served.close()
        await asyncio.sleep(0)


FRAME = np.zeros((1, 416, 416, 3), np.uint8)


def test_a_frame_is_answered_with_what_the_sticks_see_in_frigates_ids(tmp_path: Path) -> None:
    async def story() -> None:
        sticks, notes = Sticks(), []
        async with serving(tmp_path, sticks, notes) as (served, client):
            frigate = client()
            assert await frigate.shake_hands("yolox_nano") == {"model_available": True, "model_loaded": True}
            frame = FRAME.copy()
            frame[..., 0] = 200
            rows = await frigate.detect(frame)
            np.testing.assert_allclose(rows[:2], [[0, 0.75, 0.5, 0.5, 1, 1], [2, 0.5, 0.2, 0.1, 0.4, 0.3]], rtol=1e-6)
            assert not rows[2:].any()
            graph, image = sticks.asked[0]
            assert (graph, image[5, 5].tolist()) == ("yolox_nano", [0, 0, 200])
            (figures,) = served.clients.report(asyncio.get_running_loop().time())
            assert figures == IntakeClient("local yolox_nano", asked=1, answered=1, handshakes=1)
            assert notes == []

    asyncio.run(story())


def test_a_client_that_asks_for_no_graph_of_ours_gets_the_one_that_fits_and_a_note_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        sticks, notes = Sticks(), []
        async with serving(tmp_path, sticks, notes) as (_, client):
            frigate = client()
            await frigate.shake_hands("cpu_model.tflite")
            await frigate.detect(FRAME)
            # as after a restart of this process: no handshake
            await client().detect(np.zeros((1, 300, 300, 3), np.uint8))
        assert [graph for graph, _ in sticks.asked] == ["yolox_nano", "demo"]
        assert any("cpu_model.tflite, which is no graph" in note for note in notes)
        assert "Frigate's labelmap lacks classes of demo, which it does not get: box" in notes

    asyncio.run(story())


def test_frames_of_several_clients_are_on_the_sticks_together(tmp_path: Path) -> None:
    async def story() -> None:
        together = asyncio.Barrier(4)

        async def look(graph: str, image: Any) -> list[Detection]:
            await together.wait()
            return SEEN

        async with serving(tmp_path, Sticks(look, sticks=4), []) as (_, client):
            answers = await asyncio.gather(*(client().detect(FRAME) for _ in range(4)))
        assert all(rows.any() for rows in answers)

    asyncio.run(story())


def test_a_frame_without_an_answer_at_the_deadline_gets_zeros_and_counts_as_late(tmp_path: Path) -> None:
    async def story() -> None:
        never = asyncio.Event()

        async def look(graph: str, image: Any) -> list[Detection]:
            await never.wait()
            return SEEN

        async with serving(tmp_path, Sticks(look), [], deadline_ms=100) as (served, client):
            frigate = client()
            assert not (await frigate.detect(FRAME)).any()
            never.set()
            served.change(structs.replace(served.spec, deadline_ms=20_000))
            assert (await frigate.detect(FRAME)).any()
            (figures,) = served.clients.report(asyncio.get_running_loop().time())
            assert (figures.asked, figures.answered, figures.late) == (2, 1, 1)

    asyncio.run(story())


def test_a_frame_that_is_given_up_gets_zeros_and_the_reason_is_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async def look(graph: str, image: Any) -> list[Detection]:
            raise Unanswered("the stick ended three times")

        async with serving(tmp_path, Sticks(look), []) as (served, client):
            assert not (await client().detect(FRAME)).any()
            (figures,) = served.clients.report(asyncio.get_running_loop().time())
            assert (figures.asked, figures.answered, figures.late) == (1, 0, 0)
            assert figures.detail == "1 frames answered with zeros, the last: the stick ended three times"

    asyncio.run(story())


def test_a_handshake_is_held_until_a_stick_can_work(tmp_path: Path) -> None:
    async def story() -> None:
        sticks, arrived = Sticks(sticks=0), asyncio.Event()
        async with serving(tmp_path, sticks, []) as (served, client):
            shook_hands = served.clients.shook_hands
            served.clients.shook_hands = lambda *given: (shook_hands(*given), arrived.set())  # type: ignore[method-assign,func-returns-value]
            held = asyncio.create_task(client().shake_hands("yolox_nano"))
            async with asyncio.timeout(ANSWER_S):
                await arrived.wait()
            await asyncio.sleep(3 * server.LOOK_S)
            assert not held.done()
            sticks.served = Served(GRAPHS, 1)
            assert (await held)["model_loaded"] is True

    asyncio.run(story())


def test_a_handshake_is_answered_with_yes_before_frigate_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a "no" Frigate would detect nothing until it is started again."""
    assert server.HOLD_S < 30.0
    monkeypatch.setattr(server, "HOLD_S", 0.3)

    async def story() -> None:
        notes: list[str] = []

        class NoDaemon:
            intake = None

        async with serving(tmp_path, NoDaemon(), notes) as (_, client):
            frigate = client()
            assert (await frigate.shake_hands("yolox_nano"))["model_loaded"] is True
            assert not (await frigate.detect(FRAME)).any()
            await asyncio.gather(*(client().shake_hands(f"model{number}") for number in range(5)))
        # one line for all of them
        assert ["no stick can work" in note for note in notes] == [True]

    asyncio.run(story())


def test_a_model_file_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        notes: list[str] = []
        async with serving(tmp_path, Sticks(), notes) as (_, client):
            (answer,) = await client().request(b'{"model_data": true, "model_name": "a.onnx"}', bytes(1000))
            assert json.loads(answer)["model_saved"] is False
        assert "refused" in notes[0]

    asyncio.run(story())


def test_strangers_and_floods_do_not_keep_frigate_from_its_answers(tmp_path: Path) -> None:
    async def story() -> None:
        async with serving(tmp_path, Sticks(), []) as (served, client):
            flood = zmq_asyncio.Context.instance().socket(zmq.DEALER)
            flood.connect(served.spec.endpoint)
            for frames in ([b""], [b"", b"{"], [b"x"] * 5, [b"", b'{"shape": [1, 2, 2, 3], "dtype": "uint8"}', bytes(12)]):
                for _ in range(50):
                    await flood.send_multipart(frames)
            assert (await client().detect(FRAME)).any()
            flood.close(linger=0)

    asyncio.run(story())


def test_an_endpoint_that_is_used_already_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(CannotServe, match=r"gone/detector cannot be bound: No such file"):
            Server(FrigateSpec(f"ipc://{tmp_path}/gone/detector"), Sticks(), print)
        holder = zmq_asyncio.Context.instance().socket(zmq.ROUTER)
        port = holder.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(CannotServe, match="in use") as caught:
            Server(FrigateSpec(f"tcp://127.0.0.1:{port}"), Sticks(), print)
        assert not caught.value.permanent
        holder.close(linger=0)

    asyncio.run(story())


def test_a_client_that_shook_hands_and_sends_no_frame_is_told() -> None:
    clients = Clients()
    clients.shook_hands(clients.heard(b"1", "10.0.0.2", 100.0), "demo", 100.0)
    assert clients.report(100.0 + FIRST_FRAME_S - 1)[0].detail is None
    assert "never sent a frame" in str(clients.report(100.0 + FIRST_FRAME_S)[0].detail)


def test_new_connections_of_the_same_place_and_model_are_one_client() -> None:
    clients = Clients()
    for at in range(3):
        clients.shook_hands(clients.heard(b"%d" % at, "10.0.0.2", 40.0 * at), "demo", 40.0 * at)
    (told,) = clients.report(80.0)
    assert (told.name, told.handshakes, told.seen_s) == ("10.0.0.2 demo", 3, 0.0)
    assert clients.report(105.0)[0].seen_s == 20.0


def test_the_tables_of_connections_and_clients_are_bounded() -> None:
    clients = Clients()
    for at in range(2 * MOST_CONNECTIONS):
        clients.shook_hands(clients.heard(b"%d" % at, "10.0.0.2", float(at)), f"model {at}", float(at))
    told = clients.report(2.0 * MOST_CONNECTIONS)
    assert MOST_CLIENTS - 1 <= len(told) <= MOST_CLIENTS
    assert told[-1].name == f"10.0.0.2 model {2 * MOST_CONNECTIONS - 1}"
    assert protocol.LONGEST_NAME < 500
