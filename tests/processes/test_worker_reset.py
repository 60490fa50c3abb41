"""A stick that hangs, on a scripted backend: the worker resets it in place, and what it had in hand is not answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from ncs_cluster.backends.base import Completed, DeviceInfo, Reading
from ncs_cluster.errors import StickError
from ncs_cluster.ipc.channel import Channel, pair
from ncs_cluster.messages import (
    FromWorker,
    Infer,
    Inferred,
    InjectFault,
    OpenStick,
    Phase,
    Reopen,
    ResetStick,
    StickLost,
    StickOpened,
    Stop,
    ToWorker,
)
from ncs_cluster.processes.worker import Worker
from ncs_cluster.specs import StickSpec
from ncs_cluster.types import CameraName, FrameRef, StickId

DEVICE = DeviceInfo("scripted stick", has_sensor=True, max_in_flight=2, firmware="1.2.3")


class Scripted:
    """Answers at once until ticket HANGS comes; open again, it answers as before. `reopening` is called meanwhile."""

    HANGS = 7
    needs_frames = False
    wake_fd = None

    def __init__(self, reason: str, reopening: Callable[[], None]) -> None:
        self.reason, self.reopening = reason, reopening
        self.due_s: float | None = None
        self.taken: list[int] = []

    def submit(self, tag: int, graph: int, image: object) -> None:
        self.taken.append(tag)
        self.due_s = time.monotonic()

    def collect(self) -> list[Completed]:
        if self.HANGS in self.taken:
            raise StickError(self.reason, "no result in time: stick hangs")
        done, self.taken, self.due_s = [Completed(tag, None, 0.0) for tag in self.taken], [], None
        return done

    def read_sensor(self) -> Reading:
        return Reading(40.0)

    def reopen(self, phase: Callable[[str], None]) -> DeviceInfo:
        phase("opening")
        self.taken, self.due_s = [], None
        self.reopening()
        return DEVICE


@contextmanager
def working(
    reason: str = "hang", reopening: Callable[[Channel[object]], None] = lambda _: None, first: Sequence[object] = ()
) -> Iterator[Channel[object]]:
    """A worker's loop on a scripted stick, and the supervisor's end of its channel, where `first` was said before it began. What
    ends it is raised at the end."""
    ours, theirs = pair()
    channel: Channel[object] = Channel(ours, FromWorker)
    for message in first:
        channel.send(message)
    ended: list[Exception] = []
    asked = OpenStick(StickSpec(StickId("s"), "port", "scripted"), [])
    backend = Scripted(reason, lambda: reopening(channel))

    def work() -> None:
        try:
            Worker(Channel(theirs, ToWorker), asked, backend, DEVICE).run()  # type: ignore[arg-type]
        except StickError as error:
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield channel
        thread.join(60)
        assert not thread.is_alive()
    finally:
        channel.close()
        theirs.close()
    if ended:
        raise ended[0]


def infer(ticket: int, reset_epoch: int = 0) -> Infer:
    return Infer(ticket, 0, FrameRef(CameraName("cam"), 1, 0, ticket, 64, 48), reset_epoch)


def hear(channel: Channel[object], kind: type) -> object:
    """The next message that is one of the stick's and not its temperature."""
    channel.sock.settimeout(60)
    while (received := channel.receive()) is not None:
        if type(received.message).__name__ != "Telemetry":
            assert isinstance(received.message, kind), received.message
            return received.message
    raise AssertionError("nothing more is said")


@pytest.mark.parametrize("reason", ["hang", "link"])
def test_a_stick_that_hangs_is_lost_then_opened_again_and_works_on(reason: str) -> None:
    with working(reason) as channel:
        channel.send(infer(1))
        assert hear(channel, Inferred).ticket == 1  # type: ignore[attr-defined]
        channel.send(infer(Scripted.HANGS))
        assert hear(channel, StickLost) == StickLost("no result in time: stick hangs")
        channel.send(Reopen())
        assert hear(channel, Phase) == Phase("opening")
        assert hear(channel, StickOpened) == StickOpened("scripted stick", True, 2, "1.2.3", can_reset=True)
        channel.send(infer(7))  # sent before the loss was heard, by a supervisor that stood still
        channel.send(infer(8, reset_epoch=1))
        assert hear(channel, Inferred).ticket == 8  # type: ignore[attr-defined]
        channel.send(Stop())


def test_frames_that_were_on_their_way_to_a_lost_stick_are_not_answered() -> None:
    def late(channel: Channel[object]) -> None:
        for ticket in (20, 21, 22):
            channel.send(infer(ticket))

    with working(reopening=late) as channel:
        for ticket in (5, 6, Scripted.HANGS):
            channel.send(infer(ticket))
        while not isinstance(said := _next(channel), StickOpened):
            assert not isinstance(said, Inferred) or said.ticket in (5, 6)
            if isinstance(said, StickLost):
                channel.send(Reopen())
        channel.send(infer(30, reset_epoch=1))
        assert hear(channel, Inferred).ticket == 30  # type: ignore[attr-defined]
        channel.send(Stop())


def _next(channel: Channel[object]) -> object:
    channel.sock.settimeout(60)
    received = channel.receive()
    assert received is not None
    return received.message


def test_a_stick_is_reset_when_the_supervisor_says_that_it_hangs() -> None:
    with working() as channel:
        channel.send(ResetStick("no result in time: stick hangs"))
        assert hear(channel, StickLost) == StickLost("no result in time: stick hangs")
        channel.send(Reopen())
        assert isinstance(hear(channel, Phase), Phase)
        assert isinstance(hear(channel, StickOpened), StickOpened)
        channel.send(infer(8, reset_epoch=1))
        assert hear(channel, Inferred).ticket == 8  # type: ignore[attr-defined]
        channel.send(Stop())


def test_a_reset_that_the_supervisor_calls_for_tells_what_the_backend_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "doubt", lambda _, detail: f"{detail}; 3 earlier results may be wrong", raising=False)
    with working() as channel:
        channel.send(ResetStick("no result in time"))
        assert hear(channel, StickLost) == StickLost("no result in time; 3 earlier results may be wrong")
        channel.send(Reopen())
        assert isinstance(hear(channel, Phase), Phase)
        assert isinstance(hear(channel, StickOpened), StickOpened)
        channel.send(Stop())


def test_a_lost_stick_waits_for_its_turn_to_boot_and_a_stop_meanwhile_is_the_end() -> None:
    def waits(channel: Channel[object]) -> None:
        channel.send(infer(Scripted.HANGS))
        hear(channel, StickLost)
        channel.send(infer(3))
        channel.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            channel.receive()
        channel.send(Stop())

    with pytest.raises(StickError) as ended, working() as channel:
        waits(channel)
    assert ended.value.reason == "hang"


@pytest.mark.parametrize("reason", ["gone", "infer", "protocol"])
def test_any_other_failure_ends_the_worker(reason: str) -> None:
    with pytest.raises(StickError) as ended, working(reason) as channel:
        channel.send(infer(Scripted.HANGS))
    assert ended.value.reason == reason


def test_a_stick_that_cannot_be_opened_again_ends_its_worker() -> None:
    def away(_: Channel[object]) -> None:
        raise StickError("open", "it did not come back")

    def lost(channel: Channel[object]) -> None:
        channel.send(infer(Scripted.HANGS))
        hear(channel, StickLost)
        channel.send(Reopen())

    with pytest.raises(StickError, match="did not come back"), working(reopening=away) as channel:
        lost(channel)


def test_a_stick_that_hangs_while_its_worker_is_to_stop_is_not_waited_for() -> None:
    with pytest.raises(StickError, match="stick hangs"), working(first=[infer(Scripted.HANGS), Stop()]):
        pass


def test_a_fault_is_refused_by_a_backend_that_cannot_inject_any() -> None:
    with pytest.raises(StickError, match='fault "heat": this backend cannot inject faults') as refused, working() as channel:
        channel.send(InjectFault("heat", 1.0))
    assert refused.value.reason == "protocol"
