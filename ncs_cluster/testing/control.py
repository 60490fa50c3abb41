"""A fake daemon for tests of its clients (page, ncsctl): a control socket with a settable status, and a camera's picture ring.

Sockets, messages and shared memory are real.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ncs_cluster.backends import SIMULATED
from ncs_cluster.control_messages import (
    AskEvents,
    AskFault,
    AskReload,
    AskSettings,
    AskStatus,
    AskSwitch,
    AskUrl,
    ChangeJob,
    ChangeStick,
    Done,
    PageUrl,
    Reloaded,
    Reply,
    Request,
    Setting,
)
from ncs_cluster.errors import ProtocolError
from ncs_cluster.ipc import pictures
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.ipc.control_socket import CONTROL_SOCKET
from ncs_cluster.messages import MapPictures
from ncs_cluster.status import (
    CameraStatus,
    ClusterStatus,
    CountersStatus,
    DaemonStatus,
    Event,
    IntakeStatus,
    JobStatus,
    LastSwitch,
    LatencyStatus,
    LoadStatus,
    MachineStatus,
    PoolStatus,
    ProcessStatus,
    ShadowStatus,
    SinkStatus,
    Status,
    StickStatus,
)
from ncs_cluster.types import CameraName, IntakeClient


def some_status(sticks: int = 4, cluster_size: int = 2, cameras: tuple[str, ...] = ("cam0",), *, simulated: bool = True) -> Status:
    """A healthy daemon: the first cluster is active, the others cool."""
    names = [f"sim-{number + 1}" for number in range(sticks)]
    ring = [names[first : first + cluster_size] for first in range(0, sticks, cluster_size)]
    active = ring[0] if ring else []
    return Status(
        daemon=DaemonStatus(
            "0.1.0",
            os.getpid(),
            61.0,
            "ok",
            [],
            True,
            True,
            "ring",
            cluster_size,
            65.0,
            10.0,
            20.0 if simulated else 1.0,
            simulated,
        ),
        clusters=ClusterStatus(active, 4.2, 7, LastSwitch(time.time() - 5.8, "the interval has passed"), False, ring),
        sticks=[some_stick(name, "active" if name in active else "standby", 38.0 + 7 * (name in active)) for name in names],
        cameras=[some_camera(name) for name in cameras],
        counters=CountersStatus(0, 0, 0, 0.0),
        machine=MachineStatus(0.42, 18.0, 4, 612.0, 3800.0, 51.5),
        processes=[
            ProcessStatus("supervisor", 100, "running", 3.1, 42.0, 0),
            *(ProcessStatus(f"worker {name}", 101 + at, "running", 0.6, 31.0, 0) for at, name in enumerate(names)),
            ProcessStatus("gateway", 190, "running", None, None, 1),
        ],
        sink=None,
        graphs=["shapes"],
    )


def full_status() -> Status:
    """Everything is known of it: a job, a sink, a program that sends pictures, what is asked of its sticks and what `predictive`
    would do."""
    status = some_status()
    stick = replace(status.sticks[0], headroom_c=20.0, sustainable_fps=16.4, slowdown=1.0, duty=0.8, limit_c=65.0)
    shadow = ShadowStatus(True, 40.0, 65.4, 38.2, ["predictive would sustain 65/s, not 38"])
    pool = PoolStatus("default", "ring", 2, 65.0, 10.0, ["sim-1", "sim-2"], 4.2, 7, False, shadow)
    assert status.machine is not None
    machine = replace(status.machine, ambient_c=23.5, fan_duty=0.302)
    load = LoadStatus(60.0, 41.5, overloaded=True, limited_by="heat", retry_after_s=1)
    sinks = [SinkStatus("out.jsonl", "running", 12, 0, 0, None)]
    sticks = [stick, *status.sticks[1:]]
    client = IntakeClient("10.0.0.2 yolox_nano", asked=900, answered=880, late=12, seen_s=0.0, handshakes=4, shed=5)
    intake = IntakeStatus(
        "frigate", "tcp://127.0.0.1:5555", "running", None, 3, 78.1, 880, 8, 12, LatencyStatus(51.0, 90.0), [client], "RGB"
    )
    jobs = [some_job("1")]
    return replace(
        status,
        sticks=sticks,
        pools=[pool],
        jobs=jobs,
        machine=machine,
        load=load,
        sinks=sinks,
        intakes=[intake],
        inputs={"demo": (320, 256)},
    )


def some_stick(name: str, state: str, celsius: float | None) -> StickStatus:
    working = state == "active"
    return StickStatus(
        id=name,
        port=f"simulated port {name[4:]}",
        backend=SIMULATED,
        device="simulated stick",
        state=state,
        temperature_c=celsius,
        temperature_age_s=0.4,
        throttle_level=0,
        headroom_s=14.0 if working else None,
        fps=9.9 if working else 0.0,
        latency_ms=LatencyStatus(100.4, 103.0) if working else LatencyStatus(None, None),
        in_flight=1 if working else 0,
        inferences=512,
        restarts=0,
        last_error=None,
        pid=101,
        throttled_s=0.0,
    )


def some_camera(name: str) -> CameraStatus:
    return CameraStatus(
        name=name,
        source="synthetic",
        state="running",
        detail=None,
        size=(320, 240),
        depth=True,
        capture_fps=30.0,
        preview_fps=30.0,
        detection_fps=19.8,
        frames=1800,
        results=1190,
        dropped=610,
        late=0,
        given_up=0,
        latency_ms=LatencyStatus(104.0, 111.0),
        picture_ms=LatencyStatus(6.0, 9.0),
        distance_error=0.008,
    )


def some_job(id: str, state: str = "running", detail: str | None = None) -> JobStatus:
    return JobStatus(
        id=id,
        state=state,
        sources=["/archive/2024", "/archive/2025"],
        graph="shapes",
        out=f"/archive/found-{id}",
        formats=["jsonl", "coco"],
        done=12_345,
        expected=20_000,
        failed=3,
        fps=87.5 if state == "running" else 0.0,
        weight=0.1,
        started_at=1_700_000_000.0,
        detail=detail,
    )


JOIN_S = 5.0


class FakeControl:
    """Answers on the control socket.

    It answers with `status`, or with `document` where there is one (a daemon of another version); `requests` are the requests that
    came; a reply holds at most `per_reply` events; with `refusal` and its `code` it refuses all but status and events; a `mute` one
    never answers.
    """

    def __init__(self, runtime_dir: Path) -> None:
        self.status: Status = some_status()
        self.document: dict[str, object] | None = None
        self.events: list[Event] = []
        self.requests: list[Request] = []
        self.refusal: str | None = None
        self.code: str | None = None
        self.mute = False
        self.per_reply = 10_000
        self.page = "http://127.0.0.1:8080/"
        self.reloaded = Reloaded([])
        self.settings: list[Setting] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(os.fspath(runtime_dir / CONTROL_SOCKET))
        self._socket.listen()
        self._clients: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def add_event(self, text: str, who: str = "stick sim-1", level: str = "info") -> None:
        """Append an event."""
        self.events.append(Event(len(self.events) + 1, time.time(), level, who, text))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._clients.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        channel: Channel[Request] = Channel(client, Request)
        with contextlib.suppress(EOFError, OSError, ProtocolError):
            while (received := channel.receive()) is not None:
                if not self.mute:
                    channel.send(self._answer(received.message))

    def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        if isinstance(request, AskStatus):
            return _reply(self.document or self.status)
        if isinstance(request, AskEvents):
            end = len(self.events) + 1 if request.before is None else request.before
            found = [event for event in self.events if request.after < event.id < end]
            return _reply(found[-self.per_reply :])
        if self.refusal is not None:
            return Reply(error=self.refusal, code=self.code)
        if isinstance(request, AskSwitch):
            return _reply(Done("switched to sim-3, sim-4"))
        if isinstance(request, ChangeJob):
            return _reply(Done(f"job {request.id}: {request.verb}"))
        if isinstance(request, ChangeStick):
            return _reply(Done(f"{request.id}: {request.verb}"))
        if isinstance(request, AskReload):
            return _reply(self.reloaded)
        if isinstance(request, AskSettings):
            return _reply(self.settings)
        if isinstance(request, AskFault):
            return _reply(Done(f"made trouble: {request.kind}"))
        assert isinstance(request, AskUrl)
        return _reply(PageUrl(self.page))

    def close(self) -> None:
        """Disconnect all clients, as when the daemon dies."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        # the thread may still add a client it has just accepted
        self._accepting.join(JOIN_S)
        self._socket.close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()


def _reply(body: object) -> Reply:
    return Reply(body=msgspec.Raw(msgspec.msgpack.encode(body)))


@contextmanager
def control(runtime_dir: Path) -> Iterator[FakeControl]:
    """A FakeControl, closed when the block is left."""
    fake = FakeControl(runtime_dir)
    try:
        yield fake
    finally:
        fake.close()


class PictureWriter:
    """Writes pictures into a ring as a camera process does: a bar on a plain background that moves with each picture."""

    def __init__(self, camera: str, width: int = 320, height: int = 240) -> None:
        self.size = (width, height)
        self.fd = pictures.create(pictures.SLOTS, width, height)
        self.map = MapPictures(CameraName(camera), pictures.SLOTS, width, height)
        self._ring = pictures.PictureRing(os.dup(self.fd), pictures.SLOTS, width, height, writable=True)
        self.drawn = 0

    def draw(self, colour: tuple[int, int, int] = (120, 90, 40)) -> int:
        """Write a picture with this background, uint8 BGR. Returns its frame number."""
        pixels = self._ring.begin(*self.size)
        pixels[:] = colour
        left = self.drawn * 7 % (self.size[0] - 20)
        pixels[:, left : left + 20] = (60, 200, 250)
        self._ring.commit(self.drawn, *self.size)
        self.drawn += 1
        return self.drawn - 1

    def close(self) -> None:
        os.close(self.fd)
        self._ring.close()
