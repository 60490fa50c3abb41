"""A daemon, a job on a disk that outlives it, and the job's processes, which do what the real ones do when they are told to.

The disk holds for each output the turns that it has, and how far the ledger has noted it. A killed sink goes on from the token that
the daemon kept, a killed daemon from what was noted: see processes/ledgered_sink.py.
"""

from __future__ import annotations

from collections import deque

from msgspec import structs

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action, Kill, Send, Spawn
from ncs_cluster.core.events import Endpoint, Exited
from ncs_cluster.specs import JobRecord
from ncs_cluster.types import CameraName, FrameRef, Outcome
from tests.core.onejob import CAMERA, CSV, JSONL, OPENED, WORKER, JobDaemon

HELLO = m.Hello(m.PROTOCOL, 78, "3.11")


class Output:
    """One output of the job on the disk."""

    def __init__(self) -> None:
        self.turns: list[int] = []
        self.noted = 0


class SinkProcess:
    """See processes/sink.py and ledgered_sink.py."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.waiting: deque[m.Write] = deque()
        self.finishing = False

    def open(self, message: m.OpenSink) -> m.SinkOpened:
        turn = self.output.noted if message.token is None else int(message.token)
        del self.output.turns[turn:]
        return m.SinkOpened(message.first, self.token)

    @property
    def token(self) -> bytes:
        return b"%d" % len(self.output.turns)

    def write(self) -> m.Acked | None:
        """The next record; one that the output has is passed over."""
        if not self.waiting:
            return None
        message = self.waiting.popleft()
        turn = message.record.frame
        if turn >= len(self.output.turns):
            assert turn == len(self.output.turns), f"turn {turn} is written behind {self.output.turns[-1:]}"
            self.output.turns.append(turn)
        return m.Acked(message.number, self.token)


class CameraProcess:
    """See processes/camera.py and sources/job.py."""

    def __init__(self) -> None:
        self.next = 0
        self.grants: deque[tuple[int, int]] = deque()
        self.ended = False


class JobWorld:
    """`frames`: of the job."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.disk = {JSONL: Output(), CSV: Output()}
        self.starts: list[Endpoint] = []
        """Processes that were spawned and have not said hello."""
        self.alive: set[Endpoint] = set()
        self.sinks: dict[Endpoint, SinkProcess] = {}
        self.camera: CameraProcess | None = None
        self.stopping: list[Endpoint] = []
        """Processes that were told to stop."""
        self.requests: list[int] = []
        """Tickets that the stick works on."""
        self.ages: dict[int, int] = {}
        """Ticks since they came."""
        self.daemon = JobDaemon()
        self.perform(self.daemon.give())

    # -- the supervisor

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Spawn):
                assert action.endpoint not in self.alive, f"{action.endpoint} is spawned while it runs"
                self.starts.append(action.endpoint)
                self.alive.add(action.endpoint)
            elif isinstance(action, Kill):
                self.die(action.endpoint)
            elif isinstance(action, Send):
                self._received(action.to, action.message)

    def say(self, endpoint: Endpoint, message: object) -> None:
        self.perform(self.daemon.receive(endpoint, message))

    def _received(self, endpoint: Endpoint, message: object) -> None:
        match message:
            case m.Infer(ticket=ticket):
                self.requests.append(ticket)
            case m.Write() if endpoint in self.sinks:
                self.sinks[endpoint].waiting.append(message)
            case m.FinishSink() if endpoint in self.sinks:
                self.sinks[endpoint].finishing = True
            case m.Grant(pool=pool, slot=slot) if self.camera is not None:
                self.camera.grants.append((pool, slot))
            case m.Stop():
                self.stopping.append(endpoint)
            case m.OpenSink():
                process = self.sinks[endpoint] = SinkProcess(self.disk[endpoint])
                self.say(endpoint, process.open(message))
            case m.OpenSource(first_frame=first_frame):
                self.camera = CameraProcess()
                first = min(output.noted for output in self.disk.values())
                self.camera.next = max(first_frame, first)
                self.say(endpoint, structs.replace(OPENED, first=first))
                self.say(endpoint, m.SourceProgress(self.frames, 0))

    # -- what processes do

    def tick(self) -> None:
        """A quarter of a second. The stick answers within three: it never hangs."""
        self.perform(self.daemon.tick())
        late, self.ages = (
            [ticket for ticket, age in self.ages.items() if age >= 3],
            {ticket: self.ages.get(ticket, 0) + 1 for ticket in self.requests},
        )
        for ticket in late:
            if ticket in self.requests:
                self.infer(self.requests.index(ticket))

    def start(self) -> None:
        """The process that was spawned first says hello."""
        if self.starts:
            self.say(self.starts.pop(0), HELLO)

    def capture(self) -> None:
        camera = self.camera
        if camera is None or camera.ended or CAMERA in self.stopping:
            return
        if camera.next == self.frames:
            camera.ended = True
            self.say(CAMERA, m.SourceEnded(self.frames))
        elif camera.grants:
            pool, slot = camera.grants.popleft()
            frame = FrameRef(CameraName("job-1"), pool, slot, camera.next, 640, 480)
            camera.next += 1
            self.say(CAMERA, m.FrameCaptured(frame, self.daemon.now_s, 1.7e9))

    def infer(self, which: int) -> None:
        """The stick answers one of its requests, not always the oldest."""
        if self.requests:
            self.say(WORKER, m.Inferred(self.requests.pop(which % len(self.requests)), Outcome(), 0.05))

    def write(self, endpoint: Endpoint) -> None:
        if endpoint in self.sinks and (acked := self.sinks[endpoint].write()) is not None:
            self.say(endpoint, acked)

    def note(self, endpoint: Endpoint) -> None:
        """The second is over: the sink notes in the ledger how far its output is, and gives it the final form where asked to."""
        process = self.sinks.get(endpoint)
        if process is None:
            return
        process.output.noted = len(process.output.turns)
        if process.finishing and not process.waiting:
            process.finishing = False
            self.say(endpoint, m.SinkFinished(process.output.noted == self.frames, 0))

    def stop(self) -> None:
        """The process that was told to stop first does so, in good order."""
        if not self.stopping:
            return
        endpoint = self.stopping.pop(0)
        while endpoint in self.sinks and self.sinks[endpoint].waiting:
            self.write(endpoint)
        self.note(endpoint)
        self.die(endpoint, 0)

    def die(self, endpoint: Endpoint, code: int = -9) -> None:
        if endpoint not in self.alive:
            return
        self.alive.remove(endpoint)
        self.starts = [each for each in self.starts if each != endpoint]
        self.sinks.pop(endpoint, None)
        self.camera = None if endpoint == CAMERA else self.camera
        self.stopping = [each for each in self.stopping if each != endpoint]
        self.say(endpoint, Exited("it ended", code))

    def restart_daemon(self) -> None:
        """Killed with all its processes; the next one has what it has kept."""
        kept: list[JobRecord] = self.daemon.engine.jobs.records()
        self.alive, self.sinks, self.camera = set(), {}, None
        self.starts, self.stopping, self.requests, self.ages = [], [], [], {}
        self.daemon = JobDaemon()
        self.daemon.engine.jobs.restore(kept)
