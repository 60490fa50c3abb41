"""The detector's socket, asked by REQ sockets as Frigate has them; the sticks are a fake."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from ncs_cluster.messages import Served, ServedGraph
from ncs_cluster.processes.frigate import notes as notes_module
from ncs_cluster.processes.frigate import server
from ncs_cluster.processes.frigate.clients import MOST_CLIENTS
from ncs_cluster.processes.frigate.router import CannotServe
from ncs_cluster.processes.frigate.server import Server
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

    async def infer(self, graph: str, image: Any, *, timeout_s: float, insist: bool, rgb: bool) -> Answer:
        assert insist
        self.asked.append((graph, image[..., ::-1] if rgb else image))
        try:
            async with asyncio.timeout(timeout_s):
                found = SEEN if self._look is None else await self._look(graph, image)
        except TimeoutError:
            raise TimedOut("no answer") from None
        return Answer(Outcome(found), "sim-1", 0.01, {})


class Client:
    """As Frigate's plugin: one REQ socket, one request at a time."""

    def __init__(self, endpoint: str, source: str = "") -> None:
        """`source`: an address of this machine to connect from."""
        self._socket = zmq_asyncio.Context.instance().socket(zmq.REQ)
        self._socket.connect(endpoint.replace("tcp://", f"tcp://{source}:0;") if source else endpoint)

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
    folder: Path, daemon: Any, notes: list[str], *, endpoint: str | None = None, **options: Any
) -> AsyncIterator[tuple[Server, Callable[..., Client]]]:
    """A server, and a maker of clients; all are closed at the end."""
    spec = FrigateSpec(endpoint or f"ipc://{folder}/detector", **{"deadline_ms": 20_000, **options})
    served, clients = Server(spec, daemon, notes.append), []

    def client(source: str = "") -> Client:
        clients.append(Client(spec.endpoint, source))
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
        async with serving(tmp_path, sticks, notes) as (served, client):
            frigate = client()
            await frigate.shake_hands("cpu_model.tflite")
            await frigate.detect(FRAME)
            (figures,) = served.clients.report(asyncio.get_running_loop().time())
            assert (figures.name, figures.asked, figures.handshakes) == ("local", 1, 1)
            assert figures.detail == "asks for cpu_model.tflite, which is no graph of the daemon: yolox_nano answers it"
            # as after a restart of this process: no handshake
            await client().detect(np.zeros((1, 300, 300, 3), np.uint8))
        assert [graph for graph, _ in sticks.asked] == ["yolox_nano", "demo"]
        assert any("cpu_model.tflite, which is no graph" in note for note in notes)
        assert "Frigate's labelmap lacks classes of demo, which it does not get: box" in notes

    asyncio.run(story())


def test_a_frigate_that_sends_bgr_is_looked_at_in_bgr(tmp_path: Path) -> None:
    async def story() -> None:
        sticks = Sticks()
        async with serving(tmp_path, sticks, [], colours="BGR") as (_, client):
            await client().detect(FRAME + np.array([10, 20, 30], np.uint8))
        assert sticks.asked[0][1][5, 5].tolist() == [10, 20, 30]

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
            served.clients.shook_hands = lambda *given: (shook_hands(*given), arrived.set())  # type: ignore[method-assign,assignment]
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


def test_a_handshake_is_answered_in_time_also_on_a_machine_where_every_look_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HOLD_S", 0.3)
    monkeypatch.setattr(server, "LOOK_S", 0.01)

    class Busy:
        looks = 0

        @property
        def intake(self) -> None:
            self.looks += 1
            time.sleep(0.05)

    async def story() -> None:
        daemon = Busy()
        async with serving(tmp_path, daemon, []) as (_, client):
            assert (await client().shake_hands("yolox_nano"))["model_loaded"] is True
        assert daemon.looks < 20, "a look each 0.05 s for 0.3 s, not HOLD_S / LOOK_S of them"

    asyncio.run(story())


def test_handshakes_of_strangers_are_no_reason_to_refuse_one_of_frigate(tmp_path: Path) -> None:
    async def story() -> None:
        sticks = Sticks(sticks=0)
        async with serving(tmp_path, sticks, []) as (served, client):
            arrived = asyncio.Semaphore(0)
            shook_hands = served.clients.shook_hands
            served.clients.shook_hands = lambda *given: (shook_hands(*given), arrived.release())  # type: ignore[method-assign,assignment]
            strangers = [client() for _ in range(server.MOST_HANDSHAKES)]
            held = [asyncio.create_task(each.shake_hands("x")) for each in strangers]
            async with asyncio.timeout(ANSWER_S):
                for _ in strangers:
                    await arrived.acquire()
            assert await client().shake_hands("yolox_nano") == {"model_available": True, "model_loaded": True}
            assert not any(each.done() for each in held)
            sticks.served = Served(GRAPHS, 1)
            await asyncio.gather(*held)

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


def test_one_address_cannot_have_all_frames_that_wait(tmp_path: Path) -> None:
    async def story() -> None:
        done = asyncio.Event()

        async def look(graph: str, image: Any) -> list[Detection]:
            if not image.any():
                await done.wait()
            return SEEN

        with socket.create_server(("127.0.0.1", 0)) as free:
            endpoint = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        async with serving(tmp_path, Sticks(look, sticks=100), [], endpoint=endpoint) as (served, client):
            most = server.MOST_FRAMES_EACH
            flood = [asyncio.create_task(client("127.0.0.2").detect(FRAME)) for _ in range(most + 5)]
            refused = [await each for each in itertools.islice(asyncio.as_completed(flood), 5)]
            assert not any(rows.any() for rows in refused)
            assert (await client("127.0.0.1").detect(FRAME + 1)).any()
            done.set()
            assert [(await each).any() for each in flood].count(True) == most
            told = {each.name: (each.asked, each.answered) for each in served.clients.report(asyncio.get_running_loop().time())}
            assert told == {"127.0.0.2": (most + 5, most), "127.0.0.1": (1, 1)}

    asyncio.run(story())


def test_an_endpoint_that_cannot_be_bound_is_named_with_what_to_do(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(CannotServe, match=r"gone/detector cannot be bound: No such file or directory; make its folder first$"):
            Server(FrigateSpec(f"ipc://{tmp_path}/gone/detector"), Sticks(), print)
        # an address for documentation, which no machine has
        with pytest.raises(CannotServe, match="requested address; name an address of this machine") as elsewhere:
            Server(FrigateSpec("tcp://192.0.2.1:5555"), Sticks(), print)
        assert elsewhere.value.permanent
        holder = zmq_asyncio.Context.instance().socket(zmq.ROUTER)
        port = holder.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(CannotServe, match="in use; end the program") as caught:
            Server(FrigateSpec(f"tcp://127.0.0.1:{port}"), Sticks(), print)
        assert not caught.value.permanent
        holder.close(linger=0)

    asyncio.run(story())


def test_names_of_models_that_are_no_graphs_evict_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        notes: list[str] = []
        async with serving(tmp_path, Sticks(), notes) as (served, client):
            frigate = client()
            await frigate.shake_hands("yolox_nano.onnx")
            await frigate.detect(FRAME)
            flood = client()
            for number in range(2 * MOST_CLIENTS):
                await flood.shake_hands(f"model{number}")
            told = served.clients.report(asyncio.get_running_loop().time())
            assert [(each.name, each.asked, each.handshakes) for each in told] == [
                ("local yolox_nano", 1, 1),
                ("local", 0, 2 * MOST_CLIENTS),
            ]
            # one row for whatever else is asked for: the newest name
            assert str(told[1].detail).startswith(f"asks for model{2 * MOST_CLIENTS - 1}, which is no graph")
        assert len(notes) == notes_module.MOST + 1
        assert notes[-1] == notes_module.LEFT_OUT

    asyncio.run(story())
