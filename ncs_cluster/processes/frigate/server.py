"""The ZeroMQ socket of the detector, and an answer in time for each frame, whatever the sticks do.

A ROUTER socket: Frigate has one REQ socket for each of its detector entries, and their frames are on the sticks together. A frame
without an answer at the deadline gets zeros, because Frigate waits 200 ms and then throws the connection away. A handshake is held
while no stick can work, because Frigate asks once and detects nothing for ever after a "no"; it waits 30 s, so after HOLD_S
the answer is yes, and frames get zeros until a stick works.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Optional, Protocol

from ncs_cluster.errors import NcsClusterError, one_line
from ncs_cluster.processes.frigate import labels, protocol
from ncs_cluster.processes.frigate.choice import choose
from ncs_cluster.processes.frigate.clients import Clients, Connection
from ncs_cluster.processes.frigate.notes import AGAIN_S, Notes
from ncs_cluster.processes.frigate.router import Router
from ncs_cluster.processes.frigate.turns import Turns
from ncs_cluster.processes.intake import Intake, TimedOut
from ncs_cluster.specs import FrigateSpec

HOLD_S = 25.0
LOOK_S = 0.1
"""How often a held handshake looks whether a stick can work."""
MOST_HANDSHAKES = 64
MOST_FRAMES, MOST_FRAMES_EACH = 64, 32
"""At once, of all and of one address. Frigate sends as many frames as it has detector entries."""
IDLE_NOTE_S = 60.0
"""Between two notes of clients that connect while no stick can work."""

Note = Callable[[str], None]


class Daemon(Protocol):
    """Where the intake of the present supervisor is found."""

    @property
    def intake(self) -> Optional[Intake]:
        """None: there is no supervisor."""


class Server:
    """Serves one endpoint until it is closed. Lives in the event loop."""

    def __init__(self, spec: FrigateSpec, daemon: Daemon, note: Note, clients: Optional[Clients] = None) -> None:
        """`note` takes one line for the log of events. `clients`: of the server before this one. Raises CannotServe."""
        self.clients = clients or Clients()
        self._daemon, self._notes = daemon, Notes(note)
        self.change(spec)
        self._turns = Turns()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._frames: set[asyncio.Task[None]] = set()
        self._frames_of: Counter[str] = Counter()
        """By address."""
        self._router = Router(spec.endpoint, self._receive)

    @property
    def failed(self) -> bool:
        """The socket is read no more: an error of this code."""
        return self._router.failed

    def change(self, spec: FrigateSpec) -> None:
        """Serve the same endpoint in another way."""
        self.spec = spec
        self._ids = labels.ids(spec.labelmap)

    def close(self) -> None:
        for task in (*self._handshakes, *self._frames):
            task.cancel()
        self._router.close()

    def _receive(self, frames: list[Any]) -> None:
        identity, body = frames[0].bytes, frames[1:]
        envelope = [identity]
        if body and not len(body[0].buffer):
            # the delimiter of a REQ socket
            envelope.append(b"")
            body = body[1:]
        now_s = asyncio.get_running_loop().time()
        # the address of a connection is asked for once: that takes as long as reading a header
        connection = self.clients.again(identity, now_s) or self.clients.heard(identity, _address(frames[-1]), now_s)
        self._begin(connection, envelope, [frame.buffer for frame in body], now_s)

    def _begin(self, connection: Connection, envelope: list[bytes], body: list[Any], now_s: float) -> None:
        request = protocol.parse(body)
        if isinstance(request, protocol.Handshake):
            self.clients.shook_hands(connection, request.model, now_s)
            work, tasks, most = self._shake_hands(connection, envelope), self._handshakes, MOST_HANDSHAKES
        elif isinstance(request, protocol.Picture):
            self.clients.sent_frame(connection, now_s)
            work, tasks, most = self._look(connection, envelope, request, now_s), self._frames, MOST_FRAMES
        else:
            if isinstance(request, protocol.Upload):
                self._once(f"{_who(connection)} sends a model file, which is refused: name a graph of the daemon as model.path")
                self._router.send([*envelope, protocol.REFUSED])
            else:
                self._once(f"{_who(connection)} sends what Frigate does not: {request.reason}")
                self._router.send([*envelope, protocol.ZEROS])
            return
        address = connection.figures.address
        full = len(tasks) >= most or (tasks is self._frames and self._frames_of[address] >= MOST_FRAMES_EACH)
        if connection.busy or full:
            # no REQ socket does that; its own queue would grow without bound
            work.close()
            if tasks is self._frames:
                connection.figures.unanswered("too many frames at once")
            # a Frigate whose handshake is refused detects nothing for ever, so those that cannot be held are answered at once
            self._router.send([*envelope, protocol.ZEROS if tasks is self._frames else protocol.HELD])
            return
        connection.busy = True
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if tasks is self._frames:
            self._frames_of[address] += 1
            task.add_done_callback(lambda _: self._frame_ended(address))

    def _frame_ended(self, address: str) -> None:
        self._frames_of[address] -= 1
        if not self._frames_of[address]:
            del self._frames_of[address]

    async def _shake_hands(self, connection: Connection, envelope: list[bytes]) -> None:
        loop = asyncio.get_running_loop()
        # a deadline, for on a busy machine each sleep takes longer than LOOK_S
        until_s = loop.time() + HOLD_S
        while loop.time() < until_s:
            if self._can_work:
                break
            await asyncio.sleep(LOOK_S)
        if not self._can_work:
            idle = f"{_who(connection)} connects while no stick can work: its frames are answered with zeros until one can"
            self._once(idle, about="no stick", again_s=IDLE_NOTE_S)
        self._choose(connection, None)
        connection.busy = False
        self._router.send([*envelope, protocol.HELD])

    @property
    def _can_work(self) -> bool:
        intake = self._daemon.intake
        return intake is not None and intake.served is not None and intake.served.sticks > 0 and bool(intake.graphs)

    async def _look(self, connection: Connection, envelope: list[bytes], picture: protocol.Picture, now_s: float) -> None:
        answer = protocol.ZEROS
        figures = connection.figures
        figures.open += 1
        try:
            answer = await self._answer(connection, picture, now_s + self.spec.deadline_ms / 1000)
        except TimedOut as error:
            figures.unanswered(one_line(str(error)), late=True)
        except (NcsClusterError, ValueError) as error:
            figures.unanswered(one_line(str(error)))
        finally:
            figures.open -= 1
            connection.busy = False
        self._router.send([*envelope, answer])

    async def _answer(self, connection: Connection, picture: protocol.Picture, deadline_s: float) -> bytes:
        """The answer to a frame. Raises what `Intake.infer` raises."""
        intake, graph = self._daemon.intake, self._choose(connection, picture.size)
        if intake is None or graph is None:
            raise NcsClusterError("the daemon is not running" if intake is None else "the daemon serves no graph")
        image, rgb = connection.pixels.whole(picture.tensor), self.spec.colours == "RGB"
        served = intake.served
        sticks = served.sticks if served is not None else 0
        async with self._turns.turn(connection.figures.address, deadline_s, self.spec.deadline_ms / 1000, sticks):
            # Frigate's frames have their share of the sticks also while cameras ask for more than these can do
            left_s = deadline_s - asyncio.get_running_loop().time()
            answer = await intake.infer(graph, image, timeout_s=left_s, insist=True, rgb=rgb)
        return protocol.answer(answer.outcome.detections, self._ids)

    def _choose(self, connection: Connection, size: Optional[tuple[int, int]]) -> Optional[str]:
        intake, asked = self._daemon.intake, connection.model
        graphs = intake.graphs if intake is not None else {}
        graph = choose(graphs, asked or None, self.spec.graph, size)
        if graph is None:
            return None
        known = graph in (asked, asked.rpartition(".")[0])
        if known:
            self.clients.named(connection, graph, asyncio.get_running_loop().time())
            connection.figures.unknown = ""
        if graph != connection.graph and (size is not None or not connection.graph):
            connection.graph = graph
            if asked and not known:
                unknown = f"asks for {asked}, which is no graph of the daemon: {graph} answers it"
                connection.figures.unknown = one_line(unknown)
                self._once(f"{_who(connection)} {unknown}")
            if lacking := labels.missing(graphs[graph].labels.values(), self._ids):
                shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} others" if len(lacking) > 5 else "")
                self._once(f"Frigate's labelmap lacks classes of {graph}, which it does not get: {shown}")
        return graph

    def _once(self, text: str, *, about: Optional[str] = None, again_s: float = AGAIN_S) -> None:
        self._notes.once(text, asyncio.get_running_loop().time(), about=about, again_s=again_s)


def _who(connection: Connection) -> str:
    return f"Frigate at {connection.figures.address}" if connection.figures.address else "Frigate"


def _address(frame: Any) -> str:
    """Where the peer connects from; empty for a socket file."""
    import zmq

    try:
        address = str(frame.get("Peer-Address"))
    except zmq.ZMQError:
        return ""
    # a socket file's is "localhost:UID:GID:PID"
    return "" if address.startswith("localhost:") else address.removeprefix("::ffff:")
