"""The process that takes frames of other hosts of the fleet, in one event loop.

It subscribes to the graphs of this host while the sticks have headroom, and to none while they are hot, busy or away, or the host
is drained: then the server gives frames to other hosts, or tells their senders at once that nobody takes them.
"""

from __future__ import annotations

import asyncio
import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from ncs_cluster.errors import ConfigError, NcsClusterError, ProtocolError, one_line
from ncs_cluster.fleet import overflow, same_graph
from ncs_cluster.fleet.connection import Answer as Message
from ncs_cluster.fleet.connection import Connection, Heard, Unusable, connected, is_forbidden, library
from ncs_cluster.fleet.drained import is_drained
from ncs_cluster.fleet.server_files import server
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages import ClientsSeen, Failed, Heartbeat, IntakeReady, ServeIntake, Stop, ToIntakeProcess, Warned, WorkTold
from ncs_cluster.messages.intake import MOST_CLIENTS
from ncs_cluster.plugins import reason
from ncs_cluster.processes import child
from ncs_cluster.processes.intake import Intake, Overloaded, TimedOut
from ncs_cluster.specs import OverflowIntakeSpec
from ncs_cluster.types import IntakeClient

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEARTBEAT_S = 1.0
LOOK_S, DRAINED_S = 0.1, 2.0
"""Between two looks at the headroom, and at whether the host is drained."""
FIRST_AGAIN_S, LONGEST_AGAIN_S = 1.0, 30.0
"""Until the next try to reach the server."""
LEAST_SPARE_FPS = 1.0
"""With less headroom no frame is taken."""
IN_TIME = 0.8
"""Part of the deadline in which the frames that are taken are to be answered."""
BURST_S = 0.25
MOST_SIZE = (1920, 1080)
"""Pixels of a frame."""
MOST_WAITING = 32
"""Requests of one graph that wait to be looked at."""


class Headroom:
    """How many frames may be taken: as many per second as the sticks have left, and no more at once than they answer in time."""

    def __init__(self) -> None:
        self._credit, self._counted_s = 1.0, 0.0

    def take(self, spare_fps: float | None, sticks: int, open_now: int, deadline_s: float, now_s: float) -> bool:
        """`spare_fps`: None: no stick has answered yet. `open_now`: frames without an answer. `deadline_s`: of this frame."""
        if spare_fps is None:
            return open_now < sticks
        gained = (now_s - self._counted_s) * spare_fps
        self._credit, self._counted_s = min(max(1.0, BURST_S * spare_fps), self._credit + gained), now_s
        if self._credit < 1.0 or open_now >= max(1, sticks, math.floor(IN_TIME * deadline_s * spare_fps)):
            return False
        self._credit -= 1.0
        return True


class Receiver:
    """Lives in the event loop."""

    def __init__(self, channel: Channel[Any], spec: OverflowIntakeSpec) -> None:
        self._channel, self._spec = channel, spec
        self._intake = Intake(self._send, "overflow")
        self._headroom = Headroom()
        self._contents: dict[str, str] = {}
        """Of each model, by its path."""
        self._clients: dict[str, IntakeClient] = {}
        self._seen_s: dict[str, float] = {}
        self._reported: list[IntakeClient] = []
        self._open = 0
        self._work: WorkTold | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._decoder = ThreadPoolExecutor(1, "jpeg")
        self._ends = asyncio.Event()

    async def run(self) -> None:
        """Serve until Stop. The process exits at once when the supervisor closes the channel."""
        loop = asyncio.get_running_loop()
        self._channel.sock.setblocking(False)
        loop.add_reader(self._channel.fileno(), self._receive)
        self._send(IntakeReady(self._spec.url))
        self._intake.start()
        work = [asyncio.create_task(self._serve()), asyncio.create_task(self._beat())]
        ended = asyncio.create_task(self._ends.wait())
        done, _ = await asyncio.wait([*work, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {ended}:
            task.result()
        for task in work:
            task.cancel()
        await asyncio.wait(work, timeout=1.0)

    def _receive(self) -> None:
        try:
            while (received := self._channel.receive()) is not None:
                if isinstance(received.message, Stop):
                    self._ends.set()
                else:
                    self._intake.received(received.message, received.fds)
        except (EOFError, ProtocolError):
            os._exit(0)

    def _send(self, message: Any) -> bool:
        try:
            return self._channel.send(message)
        except OSError:
            os._exit(0)

    async def _beat(self) -> None:
        while True:
            self._send(Heartbeat())
            now_s = asyncio.get_running_loop().time()
            seen = [msgspec.structs.replace(each, seen_s=now_s - self._seen_s[node]) for node, each in self._clients.items()]
            if seen != self._reported and self._send(ClientsSeen(seen)):
                self._reported = seen
            await asyncio.sleep(HEARTBEAT_S)

    # -- the server

    async def _serve(self) -> None:
        """Connect again and again."""
        loop, again_s = asyncio.get_running_loop(), FIRST_AGAIN_S
        told = ""
        while True:
            began_s = loop.time()
            try:
                await self._session()
                why = "the connection was lost"
            except NcsClusterError as error:
                why = str(error)
            except (OSError, ValueError) as error:
                why = reason(error)
            if loop.time() - began_s > LONGEST_AGAIN_S:
                again_s, told = FIRST_AGAIN_S, ""
            text = f"no frame of neighbours comes: the NATS server {self._spec.url} cannot be used: {why}"
            if text != told:
                self._send(Warned(one_line(text)[:500]))
                told = text
            await asyncio.sleep(again_s)
            again_s = min(LONGEST_AGAIN_S, 2 * again_s)

    async def _session(self) -> None:
        spec = self._spec
        where = server(spec.url, spec.user, spec.password_file, spec.ca_file, spec.nkey_file, spec.credentials_file)
        readers: dict[str, tuple[Heard, asyncio.Task[None]]] = {}
        async with connected(where, f"ncs_cluster {spec.node} overflow") as connection:
            try:
                due_s, drained = 0.0, False
                while not connection.closed:
                    if (now_s := asyncio.get_running_loop().time()) >= due_s:
                        drained, due_s = await _is_drained(connection, spec.node), now_s + DRAINED_S
                    await self._follow(connection, readers, {} if drained else await self._wanted())
                    self._tell(WorkTold(drained and not readers and not self._tasks))
                    await asyncio.sleep(LOOK_S)
            finally:
                for _, task in readers.values():
                    task.cancel()

    def _tell(self, work: WorkTold) -> None:
        if work != self._work and self._send(work):
            self._work = work

    async def _follow(
        self, connection: Connection, readers: dict[str, tuple[Heard, asyncio.Task[None]]], wanted: dict[str, str]
    ) -> None:
        """Subscribe to `wanted`, names of graphs by their identity, and to nothing else."""
        for identity in [each for each in readers if each not in wanted]:
            heard, task = readers.pop(identity)
            await heard.close()
            task.cancel()
        for identity, name in wanted.items():
            if identity not in readers:
                heard = await connection.hear(overflow.subject(identity), overflow.GROUP, MOST_WAITING)
                task = asyncio.create_task(self._read(connection, heard, name))
                readers[identity] = heard, task

    async def _wanted(self) -> dict[str, str]:
        """Identity -> name of the graphs of which frames may come."""
        served = self._intake.served
        if served is None or not served.sticks or served.retry_after_s is not None:
            return {}
        if served.spare_fps is not None and served.spare_fps < LEAST_SPARE_FPS:
            return {}
        found = {}
        for spec in [each.spec for each in served.graphs if each.spec is not None]:
            if spec.model not in self._contents:
                content = await asyncio.get_running_loop().run_in_executor(self._decoder, same_graph.content, spec)
                self._contents[spec.model] = content
            found[same_graph.identity(self._contents[spec.model], spec)] = str(spec.name)
        return found

    async def _read(self, connection: Connection, heard: Heard, graph: str) -> None:
        try:
            while True:
                message = await heard.next(HEARTBEAT_S)
                if message is not None:
                    task = asyncio.create_task(self._answer(connection, message, graph))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        except Unusable:
            # the session looks after the connection
            return

    # -- frames

    async def _answer(self, connection: Connection, message: Message, graph: str) -> None:
        request = overflow.request_of(message.headers)
        if request is None or not message.reply:
            return
        node = self._spec.node
        answer = overflow.Answer(node, "own") if request.node == node else await self._found(request, message.payload, graph)
        if answer is None:
            return
        try:
            await connection.tell(message.reply, overflow.encoded(answer))
        except Unusable:
            return

    async def _found(self, request: overflow.Request, picture: bytes, graph: str) -> overflow.Answer | None:
        """None: the deadline has passed, nobody waits for the answer."""
        loop, node = asyncio.get_running_loop(), self._spec.node
        began_s, served = loop.time(), self._intake.served
        self._count(request.node, asked=1)
        spare_fps, sticks = (None, 0) if served is None else (served.spare_fps, served.sticks)
        if not self._headroom.take(spare_fps, sticks, self._open, request.deadline_s, began_s):
            self._count(request.node, shed=1)
            return overflow.Answer(node, "busy")
        self._open += 1
        try:
            image = await loop.run_in_executor(self._decoder, _decoded, picture)
            if image is None:
                return overflow.Answer(node, "bad picture")
            left_s = request.deadline_s - (loop.time() - began_s)
            if left_s <= 0.0:
                raise TimedOut("decoding took too long")
            answer = await self._intake.infer(graph, image, timeout_s=left_s)
        except TimedOut:
            self._count(request.node, late=1)
            return None
        except Overloaded:
            self._count(request.node, shed=1)
            return overflow.Answer(node, "busy")
        except (NcsClusterError, ValueError):
            return overflow.Answer(node, "failed")
        finally:
            self._open -= 1
        self._count(request.node, answered=1)
        known = self._intake.graphs.get(graph)
        size = (0, 0) if known is None else (known.width, known.height)
        return overflow.answer_of(node, answer.outcome, *size)

    def _count(self, node: str, **more: int) -> None:
        """Of a neighbour; one that has been silent for longest makes room for a new one."""
        if node not in self._clients and len(self._clients) >= MOST_CLIENTS:
            oldest = min(self._seen_s, key=lambda each: self._seen_s[each])
            del self._clients[oldest], self._seen_s[oldest]
        known = self._clients.get(node) or IntakeClient(node)
        self._clients[node] = msgspec.structs.replace(known, **{name: getattr(known, name) + count for name, count in more.items()})
        self._seen_s[node] = asyncio.get_running_loop().time()


async def _is_drained(connection: Connection, node: str) -> bool:
    """False also where this host may not read it, as with rights of an older version. Raises Unusable."""
    try:
        return await is_drained(connection, node)
    except Unusable as error:
        if not is_forbidden(error):
            raise
        return False


def _decoded(picture: bytes) -> NDArray[np.uint8] | None:
    """uint8 BGR; None: no JPEG, or a larger one than a slot holds."""
    from ncs_cluster.sources._picture import Unreadable, decode_bytes

    if len(picture) > overflow.LARGEST_PICTURE or not picture.startswith(b"\xff\xd8"):
        return None
    try:
        return decode_bytes(picture, MOST_SIZE, 3 * MOST_SIZE[0] * MOST_SIZE[1]).pixels
    except Unreadable:
        return None


def main() -> int:
    channel = child.enter("overflow", ToIntakeProcess)
    opening = child.first_message(channel, ServeIntake)
    try:
        # imported before the loop begins: that takes seconds on a busy machine, in which no heartbeat could be sent
        library()
        import cv2  # noqa: F401

        receiver = Receiver(channel, msgspec.convert(opening.intake.options, OverflowIntakeSpec))
    except (ConfigError, msgspec.ValidationError, OSError) as error:
        child.fail(channel, Failed("open", one_line(str(error))[:500], permanent=True))
    asyncio.run(receiver.run())
    return 0


if __name__ == "__main__":
    code = main()
    os._exit(code)
