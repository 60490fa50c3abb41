"""What the workers of sticks say, by exact actions: answers, losses, deaths, and sticks that answer too late."""

from __future__ import annotations

import pytest
from ncs_cluster.core.worker_messages import WorkerMessages

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, Kill, LogEvent, MakePictures, MakePool, Send, Spawn
from ncs_cluster.core.camera import Camera
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.inference_health import InferenceHealth
from ncs_cluster.core.outbox import Outbox
from ncs_cluster.core.sticks import Stick, Sticks
from ncs_cluster.core.work import Count, Ledger, Unit
from ncs_cluster.specs import CameraSpec, ClusterSpec, StickSpec
from ncs_cluster.types import CameraName, FrameRef, Outcome, PoolLayout, StickId

CAMERA = Endpoint("camera", "cam0")
HANGS = "no answer in time: it hangs"
# Two slots are granted in advance; twice (2 granted + 1 graph + 4 + at least 8)
POOL = PoolLayout(1, 30, 640, 480)


def worker(number: int) -> Endpoint:
    return Endpoint("worker", f"sim-{number}")


def stick_id(number: int) -> StickId:
    return StickId(f"sim-{number}")


class House:
    """One ordered camera that runs, and sticks whose workers have started."""

    def __init__(self, count: int = 2, *, stagger_s: float = 0.0, alone: bool = False) -> None:
        self.ledger, self.outbox, self.inferences = Ledger(), Outbox(), InferenceHealth()
        self.dispatcher = Dispatcher(self.ledger)
        self.sticks = Sticks(ClusterSpec(), [], self.dispatcher, Limits(), stagger_s)
        self.cameras = Cameras(["demo"], self.dispatcher, self.ledger, self.outbox, Limits())
        self.workers = WorkerMessages(self.sticks, self.cameras, self.dispatcher, self.inferences)
        self.cameras.add(CameraSpec(CameraName("cam0"), "images", {}, "images", ordered=True), 0.0)
        self.camera: Camera = self.cameras.by_name["cam0"]
        self.cameras.hello(self.camera, 0.0)
        opened = m.SourceOpened(640, 480, None, None, True, True, "pictures")
        assert self.cameras.opened(self.camera, opened, [], 0.0) == [
            LogEvent("info", "cam0", "gives pictures: pictures, 640x480"),
            MakePool(POOL),
            Send(CAMERA, m.MapPool(POOL), pool=1),
            MakePictures(CameraName("cam0"), 4, 640, 480),
            Send(CAMERA, m.MapPictures(CameraName("cam0"), 4, 640, 480), pictures=CameraName("cam0")),
            Send(CAMERA, m.Grant(1, 0)),
            Send(CAMERA, m.Grant(1, 1)),
        ]
        for number in range(1, count + 1):
            self.sticks.found(StickSpec(stick_id(number), "port", "simulated", alone=alone), 0.0)

    def __getitem__(self, number: int) -> Stick:
        return self.sticks.by_id[stick_id(number)]

    def hear(self, number: int, message: object, now_s: float) -> list[Action]:
        return self.workers.hear(self[number], message, now_s)

    def open(self, *numbers: int, can_reset: bool = False) -> None:
        """Their workers have opened them, at 1 s; they work."""
        for number in numbers:
            self.hear(number, m.Hello(m.PROTOCOL, 100 + number, "3.11"), 1.0)
            self.hear(number, m.StickOpened("a device", False, 2, None, can_reset), 1.0)

    def hand_over(self, frame: int, now_s: float) -> Unit:
        """A frame is captured into the slot of its number and given to a stick."""
        ref = FrameRef(CameraName("cam0"), 1, frame, frame, 640, 480)
        self.cameras.captured(self.camera, m.FrameCaptured(ref, now_s, 1.7e9), now_s)
        (unit,) = self.dispatcher.assign(now_s)
        return unit

    @property
    def duties(self) -> dict[StickId, float]:
        return {stick: queue.duty for stick, queue in self.dispatcher.queues.items()}

    @property
    def count(self) -> Count:
        return self.ledger.count("cam0")


# -- a worker begins


def test_a_hello_is_answered_with_what_to_open_and_then_with_every_pool() -> None:
    house = House()
    assert house.hear(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0) == [
        Send(worker(1), m.OpenStick(house[1].spec, [], 1.0)),
        Send(worker(1), m.MapPool(POOL), pool=1),
    ]
    assert (house[1].child.state, house[1].child.pid) == (State.OPENING, 77)


def test_a_worker_of_another_version_is_killed() -> None:
    house = House()
    why = f"speaks protocol 1, not {m.PROTOCOL}: install the same version for its interpreter"
    assert house.hear(1, m.Hello(1, 77, "3.11"), 1.0) == [LogEvent("warning", "worker sim-1", f"killed: {why}"), Kill(worker(1))]


def test_a_worker_whose_turn_has_not_come_is_sent_nothing_until_it_comes() -> None:
    house = House(stagger_s=0.5)
    house.hear(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    assert house.hear(2, m.Hello(m.PROTOCOL, 78, "3.11"), 1.1) == []
    assert house.workers.open_due(1.4) == []
    assert house.workers.open_due(1.5) == [
        Send(worker(2), m.OpenStick(house[2].spec, [], 1.0)),
        Send(worker(2), m.MapPool(POOL), pool=1),
    ]


def test_a_stick_that_is_open_gets_work() -> None:
    house = House()
    house.hear(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    assert house.hear(1, m.StickOpened("a device", False, 2), 2.0) == [LogEvent("info", "sim-1", "is ready: a device")]
    assert house.duties == {"sim-1": 1.0}


def test_a_stick_that_is_opened_unasked_ends_its_worker() -> None:
    house = House()
    house.open(1)
    assert house.hear(1, m.StickOpened("a device", False, 2), 2.0) == [
        LogEvent("warning", "worker sim-1", "killed: says that it has opened a stick, unasked"),
        Kill(worker(1)),
    ]
    assert house.duties == {"sim-1": 0.0}


def test_a_stick_that_is_opened_by_a_stopping_worker_is_not_used() -> None:
    house = House()
    house.hear(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    house[1].child.stop(1.5)
    assert house.hear(1, m.StickOpened("a device", False, 2), 2.0) == []
    assert (house.duties, house[1].child.state) == ({}, State.STOPPING)


def test_every_message_of_a_running_worker_extends_its_deadline() -> None:
    house = House()
    house.open(1)
    assert house.hear(1, m.Heartbeat(), 4.0) == []
    assert house[1].child.deadline_s == 9.0


def test_late_messages_of_a_worker_that_was_killed_are_ignored() -> None:
    house = House()
    house.open(1)
    house[1].child.kill(2.0, "hangs")
    assert house.hear(1, m.StickLost("it hangs"), 2.1) == []
    assert (house[1].reset_epoch, list(house.dispatcher.queues)) == (0, ["sim-1"])


def test_a_reading_is_acted_on_at_once() -> None:
    house = House()
    house.hear(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    house.hear(1, m.StickOpened("a device", True, 2), 1.0)
    assert house.hear(1, m.Telemetry(70.0), 2.0) == [
        LogEvent("info", "sim-1", "is too hot (70.0 °C): resting"),
        LogEvent("warning", "clusters", "every stick is too hot: no frame is worked on"),
    ]


# -- answers


def test_an_answer_is_published_and_its_slot_is_granted_again() -> None:
    house = House()
    house.open(1)
    unit = house.hand_over(0, 10.0)
    assert (unit.ticket, unit.stick, house.camera.slots and house.camera.slots.leased) == (1, "sim-1", 1)
    house.camera.slots.revoke_grants()  # type: ignore[union-attr]
    assert house.hear(1, m.Inferred(1, Outcome(), 0.1), 10.1) == [Send(CAMERA, m.Grant(1, 0)), Send(CAMERA, m.Grant(1, 1))]
    assert (house[1].inferences, house.inferences.last_good_s, house[1].child.last_error) == (1, 10.1, None)
    assert (house.count, house.outbox.kept) == (Count(begun=1, result=1), 1)
    assert house.dispatcher.queues[stick_id(1)].service.mean_s == pytest.approx(0.1)


def test_an_answer_to_nothing_leads_to_nothing() -> None:
    house = House()
    house.open(1)
    house.hand_over(0, 10.0)
    assert house.hear(1, m.Inferred(99, Outcome(), 0.1), 10.1) == []
    assert (house[1].inferences, house.inferences.last_good_s, house.count) == (0, None, Count(begun=1))


def test_an_answer_with_an_error_gives_the_frame_up_and_is_the_last_error_of_its_stick() -> None:
    house = House()
    house.open(1)
    house.hand_over(0, 10.0)
    house.hear(1, m.Inferred(1, Outcome(error="x" * 401), 0.1), 10.1)
    assert (house[1].inferences, house[1].child.last_error) == (0, "x" * 400)
    assert house.count == Count(begun=1, given_up=1)
    house.hand_over(1, 15.0)
    house.hear(1, m.Inferred(2, Outcome(error="no blob"), 0.1), 15.2)
    assert house.inferences.failing(15.2) == "every inference fails: no blob"


# -- losses and deaths


def test_a_stick_that_is_lost_is_opened_again_by_its_worker_while_its_frame_goes_to_another() -> None:
    house = House()
    house.open(1, 2)
    unit = house.hand_over(0, 10.0)
    assert house.hear(1, m.StickLost("stick sim-1: it hangs"), 11.0) == [
        LogEvent("warning", "worker sim-1", "it hangs: it is reset and opened again"),
        Send(worker(1), m.Reopen()),
    ]
    assert (house[1].reset_epoch, house[1].resets, house[1].child.failures, house[1].child.state) == (1, 1, 1, State.OPENING)
    assert (unit.tried, unit.stick, house.duties, house.sticks.active) == (["sim-1"], None, {"sim-2": 1.0}, ["sim-2"])
    assert [each.stick for each in house.dispatcher.assign(11.0)] == ["sim-2"]


def test_a_lost_stick_that_has_to_wait_is_reopened_when_its_turn_comes() -> None:
    house = House(stagger_s=0.5)
    house.open(1)
    house.sticks.boots.ask(stick_id(9), 10.0)
    assert house.hear(1, m.StickLost("it hangs"), 10.1) == [
        LogEvent("warning", "worker sim-1", "it hangs: it is reset and opened again")
    ]
    assert house.workers.open_due(10.4) == []
    assert house.workers.open_due(10.5) == [Send(worker(1), m.Reopen())]


@pytest.mark.parametrize(("alone", "deadline_s"), [(False, None), (True, 25.0)])
def test_a_lost_stick_whose_boot_is_to_be_learned_from_boots_alone(alone: bool, deadline_s: float | None) -> None:
    house = House(1, alone=alone)
    house.open(1)
    house.hear(1, m.StickLost("it hangs"), 10.0)
    assert house.sticks.boots.ask(stick_id(9), 10.0) is not alone
    assert house.sticks.boots.deadline_s == deadline_s


@pytest.mark.parametrize("opening", [False, True])
def test_a_stick_that_is_lost_before_it_was_open_ends_its_worker(opening: bool) -> None:
    house = House()
    if opening:
        house.hear(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.0)
    assert house.hear(1, m.StickLost("it hangs"), 2.0) == [
        LogEvent("warning", "worker sim-1", "killed: says that it has lost a stick which it had not opened"),
        Kill(worker(1)),
    ]
    assert (house[1].reset_epoch, house[1].resets) == (0, 0)


def test_a_stick_that_is_lost_again_and_again_ends_its_worker() -> None:
    house = House()
    house.open(1)
    for now_s in (10.0, 11.0, 12.0):
        house.hear(1, m.StickLost("it hangs"), now_s)
        house.hear(1, m.StickOpened("a device", False, 2), now_s + 0.5)
    assert house.hear(1, m.StickLost("it hangs"), 13.0) == [
        LogEvent("warning", "worker sim-1", "killed: it hangs, and that again and again"),
        Kill(worker(1)),
    ]
    assert (house[1].reset_epoch, house[1].resets) == (4, 3)


def test_a_stick_that_is_lost_while_its_worker_stops_is_not_opened_again() -> None:
    house = House()
    house.open(1)
    house[1].child.stop(5.0)
    assert house.hear(1, m.StickLost("it hangs"), 5.1) == []
    assert (house[1].reset_epoch, house[1].resets, house.duties) == (1, 0, {})


def test_a_loss_with_a_frame_that_another_stick_died_with_does_not_count_against_the_stick() -> None:
    house = House()
    house.open(1, 2)
    house.hand_over(0, 10.0)
    house.hear(1, m.StickLost("it hangs"), 11.0)
    house.dispatcher.assign(11.0)
    house.hear(2, m.StickLost("it hangs"), 12.0)
    assert (house[1].child.failures, house[2].child.failures) == (1, 0)


def test_a_frame_that_three_sticks_died_with_is_given_up_with_their_names() -> None:
    house = House(3)
    house.open(1, 2, 3)
    unit = house.hand_over(0, 10.0)
    for number in (1, 2, 3):
        house.hear(number, m.StickLost("it hangs"), 10.0 + number)
        house.dispatcher.assign(10.0 + number)
    assert (unit.ended, house.count) == ("given_up", Count(begun=1, given_up=1))
    house.outbox.opened(0)
    ((_, record),) = house.outbox.sendable()
    assert b'"error":"given up: 3 times a stick died with it in hand (sim-1, sim-2, sim-3)"' in record


def test_a_worker_that_dies_is_started_again_and_its_frame_goes_to_another() -> None:
    house = House()
    house.open(1, 2)
    house.hand_over(0, 10.0)
    assert house.hear(1, e.Exited("killed by SIGSEGV", -11), 11.0) == [
        LogEvent("warning", "worker sim-1", "ended (killed by SIGSEGV), starting it again"),
        Spawn(worker(1), "default"),
    ]
    assert (house[1].child.failures, house[1].child.last_error, house.duties) == (1, "killed by SIGSEGV", {"sim-2": 1.0})
    assert [each.stick for each in house.dispatcher.assign(11.0)] == ["sim-2"]
    assert house.hear(2, e.Exited("killed by SIGSEGV", -11), 12.0)[:1] == [
        LogEvent("warning", "worker sim-2", "ended (killed by SIGSEGV), starting it again")
    ]
    assert (house[2].child.failures, house.sticks.active) == (0, []), "the frame is to blame"


def test_a_worker_that_dies_waits_for_no_boot_any_more() -> None:
    house = House(stagger_s=0.5)
    house.sticks.boots.ask(stick_id(9), 1.0)
    house.hear(1, m.Hello(m.PROTOCOL, 77, "3.11"), 1.1)
    assert house.sticks.boots.waiting == ["sim-1"]
    house.hear(1, e.Exited("exit code 1", 1), 1.2)
    assert house.sticks.boots.waiting == []


def test_the_death_of_a_worker_whose_stick_was_pulled_is_called_unplugged() -> None:
    house = House()
    house.open(1)
    house.sticks.gone(stick_id(1), 5.0)
    assert house.hear(1, e.Exited("killed by SIGKILL", -9), 5.1) == []
    assert (house[1].child.last_error, house.duties) == ("unplugged", {})
    house.sticks.found(house[1].spec, 6.0)
    house.sticks.gone(stick_id(1), 6.1)
    house[1].child.last_error = None
    house.hear(1, e.Exited("killed by SIGKILL", -9), 6.2)
    assert house[1].child.last_error == "unplugged"


def test_a_worker_that_finds_no_stick_any_more_is_tried_again_after_two_seconds() -> None:
    house = House()
    house.open(1)
    assert house.hear(1, m.Failed("gone", "stick sim-1: it is not there"), 5.0) == []
    assert house[1].reported_missing is True
    assert house.hear(1, e.Exited("exit code 1", 1), 5.1) == [
        LogEvent("warning", "worker sim-1", "ended (exit code 1; it is not there), next try in 2 s")
    ]


def test_any_other_failure_of_a_worker_is_handled_as_that_of_every_child() -> None:
    house = House()
    house.open(1)
    assert house.hear(1, m.Failed("graph", "refused", True), 5.0) == []
    assert house[1].reported_missing is False
    assert house.hear(1, e.Exited("exit code 1", 1), 5.1) == [
        LogEvent("warning", "worker sim-1", "ended (exit code 1; refused), next try in 60 s")
    ]


# -- sticks that do not answer


def test_a_stick_that_answers_too_late_ends_its_worker() -> None:
    house = House()
    house.open(1)
    house.hand_over(0, 10.0)
    assert house.workers.overdue(20.0) == []
    assert house.workers.overdue(20.001) == [LogEvent("warning", "worker sim-1", f"killed: {HANGS}"), Kill(worker(1))]


def test_a_stick_that_can_be_reset_in_place_has_three_seconds_to_begin_with_that() -> None:
    house = House()
    house.open(1, can_reset=True)
    house.hand_over(0, 10.0)
    assert house.workers.overdue(21.0) == [Send(worker(1), m.ResetStick(HANGS))]
    assert house.workers.overdue(23.999) == []
    assert house.workers.overdue(24.0) == [LogEvent("warning", "worker sim-1", f"killed: {HANGS}"), Kill(worker(1))]


def test_every_stick_that_is_late_is_ended() -> None:
    house = House()
    house.open(1, 2)
    house.hand_over(0, 10.0)
    house.hand_over(1, 10.0)
    assert house.workers.overdue(20.5) == [
        LogEvent("warning", "worker sim-1", f"killed: {HANGS}"),
        Kill(worker(1)),
        LogEvent("warning", "worker sim-2", f"killed: {HANGS}"),
        Kill(worker(2)),
    ]


def test_a_worker_that_does_not_run_any_more_is_not_asked_to_reset_its_stick() -> None:
    house = House()
    house.open(1, can_reset=True)
    house.hand_over(0, 10.0)
    house[1].child.stop(15.0)
    assert house.workers.overdue(21.0) == [LogEvent("warning", "worker sim-1", f"killed: {HANGS}"), Kill(worker(1))]


def test_the_frame_of_a_worker_that_cannot_be_killed_goes_to_another_stick() -> None:
    house = House()
    house.open(1, 2)
    house.hand_over(0, 10.0)
    house[1].child.kill(11.0, "hangs")
    house.workers.fenced(15.9)
    assert sorted(house.dispatcher.queues) == ["sim-1", "sim-2"]
    house[1].child.tick(16.0)
    house.workers.fenced(16.0)
    assert sorted(house.dispatcher.queues) == ["sim-2"]
    assert [each.stick for each in house.dispatcher.assign(16.0)] == ["sim-2"]
