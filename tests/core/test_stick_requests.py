"""What an operator asks of one stick: exact actions, and what becomes of the sticks and of the work in flight."""

from __future__ import annotations

import msgspec
import pytest

from ncs_cluster import messages as m
from ncs_cluster.control_messages import ChangeStick
from ncs_cluster.core import stick_requests
from ncs_cluster.core.actions import Action, ForgetCalibration, ForgetPort, LogEvent, Send, Spawn
from ncs_cluster.core.child import State
from ncs_cluster.core.client import Client
from ncs_cluster.core.events import Endpoint, Exited
from ncs_cluster.core.reasons import ready, reasons, stick_state
from ncs_cluster.core.stick_requests import DRAIN_S, NO_REASON
from ncs_cluster.specs import ClusterSpec
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import Outcome
from tests.core.onepool import pool_of, spec, stick_id, worker
from tests.core.oneworkers import WorkersSetup
from tests.core.referee import ordered, watched

CLIENT = Endpoint("client", "1")


def ask(setup: WorkersSetup, verb: str, stick: str = "sim-1", now_s: float = 3.0, **more: object) -> list[Action]:
    return Client(CLIENT, setup.engine).handle(ChangeStick(stick, verb, **more), now_s)  # type: ignore[arg-type]


def replied(text: str) -> Send:
    return Send(CLIENT, m.Reply(body=msgspec.Raw(msgspec.msgpack.encode({"text": text}))))


def refused(why: str) -> Send:
    return Send(CLIENT, m.Reply(error=why))


def refusal_of(action: Action) -> str | None:
    """The refusal without its suggestion of another stick."""
    return action.message.error.partition(";")[0] if isinstance(action, Send) else None


def told(text: str, stick: str = "sim-1") -> LogEvent:
    return LogEvent("info", stick, text, group="")


def of_four(size: int = 2) -> WorkersSetup:
    setup = WorkersSetup(pools=[pool_of(1, 2, 3, 4, clusters=ClusterSpec(size, "ring" if size else "all", 10.0))])
    setup.open(1, 2, 3, 4)
    return setup


# -- rest and work


def test_a_stick_that_rests_gives_its_place_away_and_stays_open_and_read() -> None:
    setup = of_four(1)
    assert setup.duties == {"sim-1": 1.0, "sim-2": 0.0, "sim-3": 0.0, "sim-4": 0.0}
    actions = ask(setup, "park", why="  its cable is replaced ")
    text = "is parked: its cable is replaced"
    assert (actions[0], actions[-1]) == (told(text), replied(f"sim-1 {text}"))
    assert (setup.duties[stick_id(1)], sum(setup.duties.values())) == (0.0, 1.0)
    assert (setup[1].child.running, setup[1].usable, setup[1].parked) == (True, False, "its cable is replaced")
    setup.receive(1, m.Telemetry(41.0), 3.5)
    assert setup[1].measured_s == 3.5
    assert ask(setup, "work", now_s=4.0)[-1] == replied("sim-1 is in rotation again")
    assert (setup[1].usable, setup[1].parked) == (True, None)


def test_frames_in_flight_are_answered_and_no_further_one_is_sent() -> None:
    setup = WorkersSetup(1)
    setup.open(1)
    unit = setup.hand_over(0, 2.0)
    ask(setup, "park")
    assert stick_state(setup.engine, setup[1]) == "draining"
    setup.receive(1, m.Inferred(unit.ticket, Outcome(), 0.1), 3.1)
    assert setup.count.result == 1
    assert stick_state(setup.engine, setup[1]) == "parked"
    assert setup.engine.hand_over(3.2) == [], "its only stick rests"


@pytest.mark.parametrize(("why", "kept"), [(None, NO_REASON), ("  ", NO_REASON), ("y" * 300, "y" * 200)])
def test_a_reason_is_bounded_and_there_always_is_one(why: str | None, kept: str) -> None:
    setup = of_four()
    ask(setup, "park", why=why)
    assert setup[1].parked == kept


def test_the_status_says_which_sticks_are_parked_and_why() -> None:
    setup = of_four()
    ask(setup, "park", why="too loud")
    for number in (1, 2, 3, 4):
        setup.receive(number, m.Heartbeat(), 3.0)
    said, down = reasons(setup.engine, 3.0)
    assert [reason for reason in said if "sim-" in reason or "size" in reason] == [
        "sim-1 is parked: too loud",
        "cluster size is 1 instead of 2: 3 of 4 sticks in rotation",
    ]
    assert not down
    for number in (2, 3, 4):
        ask(setup, "park", f"sim-{number}")
    assert reasons(setup.engine, 3.0)[1], "no stick is left"
    assert ready(setup.engine, 3.0) == "no usable stick"


def test_the_cluster_shrinks_with_the_rotation_and_grows_again() -> None:
    setup = of_four()
    ask(setup, "park")
    assert setup.regulator.cluster_size == 1
    assert setup.regulator.report_size() == [
        LogEvent("warning", "clusters", "cluster size is now 1: 3 of 4 sticks in rotation"),
    ]
    ask(setup, "work")
    assert setup.regulator.report_size() == [LogEvent("info", "clusters", "cluster size is now 2: 4 sticks present")]


def test_a_second_rest_changes_the_reason_and_work_without_rest_is_refused() -> None:
    setup = of_four()
    assert ask(setup, "work") == [refused("sim-1 is not parked")]
    ask(setup, "park", why="one")
    ask(setup, "park", why="two")
    assert setup[1].parked == "two"


def test_a_parked_stick_stays_parked_when_it_is_plugged_in_again_or_its_worker_restarts() -> None:
    setup = of_four()
    ask(setup, "park")
    setup.receive(1, Exited("exit code 1", 1), 3.5)
    assert stick_state(setup.engine, setup[1]) == "starting"
    setup.open(1)
    assert (stick_state(setup.engine, setup[1]), setup.duties[stick_id(1)]) == ("parked", 0.0)
    setup.sticks.gone(stick_id(1), 4.0)
    assert stick_state(setup.engine, setup[1]) == "absent"
    setup.receive(1, Exited("killed", -9), 4.1)
    setup.sticks.found(spec(1), 5.0)
    setup.open(1)
    assert stick_state(setup.engine, setup[1]) == "parked"


# -- restart


def test_a_stick_without_work_restarts_at_once_and_that_is_no_failure() -> None:
    setup = WorkersSetup(1)
    setup.open(1)
    assert ask(setup, "restart") == [
        told(f"restarts {NO_REASON}"),
        Send(worker(1), m.Stop()),
        replied(f"sim-1 restarts {NO_REASON}"),
    ]
    assert setup.receive(1, Exited("exit code 0", 0), 3.2) == [Spawn(worker(1), "default")]
    assert (setup[1].child.restarts, setup[1].child.failures, setup[1].child.last_error) == (0, 0, None)
    setup.open(1)
    assert setup[1].usable


def test_a_stick_with_work_finishes_it_first_and_gets_no_more() -> None:
    setup = WorkersSetup(1)
    setup.open(1)
    unit = setup.hand_over(0, 2.0)
    assert Send(worker(1), m.Stop()) not in ask(setup, "restart")
    assert stick_requests.restart_due(setup.engine, 3.5) == []
    assert not setup[1].usable
    setup.receive(1, m.Inferred(unit.ticket, Outcome(), 0.1), 3.6)
    assert stick_requests.restart_due(setup.engine, 3.75) == [Send(worker(1), m.Stop())]
    assert (setup.count.result, unit.tried) == (1, [])


def test_a_stick_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    setup = WorkersSetup(1)
    setup.open(1)
    setup.hand_over(0, 2.0)
    ask(setup, "restart")
    assert stick_requests.restart_due(setup.engine, 3.0 + DRAIN_S - 0.1) == []
    assert stick_requests.restart_due(setup.engine, 3.0 + DRAIN_S) == [Send(worker(1), m.Stop())]


def test_a_stick_that_waits_for_its_next_try_is_tried_now() -> None:
    setup = WorkersSetup(1)
    setup.receive(1, Exited("exit code 1", 1), 2.0)
    assert setup[1].child.state is State.BACKOFF
    assert Spawn(worker(1), "default") in ask(setup, "restart")
    assert setup[1].child.failures == 0


def test_a_worker_that_dies_before_it_is_stopped_is_not_stopped_anew() -> None:
    setup = WorkersSetup(1)
    setup.open(1)
    setup.hand_over(0, 2.0)
    ask(setup, "restart")
    setup.receive(1, Exited("killed by SIGSEGV", -11), 3.1)
    assert stick_requests.restart_due(setup.engine, 3.25) == []
    setup.open(1)
    assert setup[1].usable


def test_a_stick_that_is_pulled_before_it_restarts_starts_when_it_is_back() -> None:
    setup = WorkersSetup(1)
    setup.open(1)
    setup.hand_over(0, 2.0)
    ask(setup, "restart")
    setup.sticks.gone(stick_id(1), 3.1)
    setup.receive(1, Exited("killed", -9), 3.2)
    assert stick_requests.restart_due(setup.engine, 3.25) == []
    assert ask(setup, "restart") == [refused("sim-1 is absent: plug it in")]
    assert Spawn(worker(1), "default") in setup.sticks.found(spec(1), 4.0)


# -- forget


def test_a_stick_that_is_gone_leaves_the_status_and_its_learned_port_and_keeps_its_calibration() -> None:
    setup = of_four(0)
    setup.sticks.gone(stick_id(1), 2.0)
    setup.receive(1, Exited("killed", -9), 2.1)
    assert ask(setup, "forget") == [told("is forgotten"), ForgetPort(stick_id(1)), replied("sim-1 is forgotten")]
    assert "sim-1" not in " ".join(reasons(setup.engine, 3.0)[0])
    setup.sticks.forget_removed()
    assert list(setup.sticks.by_id) == ["sim-2", "sim-3", "sim-4"]
    assert [refusal_of(action) for action in ask(setup, "forget")] == ["there is no stick 'sim-1'"]


def test_its_calibration_is_forgotten_where_that_is_wanted() -> None:
    setup = of_four()
    setup.sticks.gone(stick_id(1), 2.0)
    assert ForgetCalibration(stick_id(1)) in ask(setup, "forget", calibration=True)


def test_a_stick_that_is_plugged_in_is_not_forgotten() -> None:
    assert ask(of_four(), "forget") == [refused("sim-1 is plugged in, and would be found again: unplug it first")]


def test_a_forgotten_stick_that_comes_back_while_its_process_ends_is_known_again() -> None:
    setup = of_four()
    setup.sticks.gone(stick_id(1), 2.0)
    ask(setup, "forget")
    setup.sticks.found(spec(1), 3.5)
    setup.sticks.forget_removed()
    assert (setup[1].removed, setup[1].present) == (False, True)


# -- which stick, and who


def test_a_stick_may_be_called_by_its_name_where_only_one_has_it() -> None:
    setup = of_four()
    for number, name in ((1, "rear"), (2, "front"), (3, "front")):
        setup[number].spec = msgspec.structs.replace(setup[number].spec, name=name)
    assert ask(setup, "park", "rear")[-1] == replied(f"sim-1 (rear) is parked: {NO_REASON}")
    assert ask(setup, "park", "front") == [refused("there is no stick 'front'; ncsctl status lists them")]
    assert ask(setup, "park", "smi-1") == [refused("there is no stick 'smi-1'; did you mean sim-1?")]


@pytest.mark.parametrize("verb", ["", "dance", "REST", "\x1b[2J"])
def test_another_verb_is_refused(verb: str) -> None:
    assert ask(of_four(), verb) == [refused(f"a stick can be parked, work, restart or be forgotten, not {verb!a}")]


def test_nothing_is_changed_while_the_daemon_stops() -> None:
    setup = of_four()
    setup.engine.stop(2.5)
    for verb in ("park", "work", "restart", "forget"):
        assert ask(setup, verb) == [refused("the daemon is stopping")]


# -- in a world


def test_an_ordered_stream_loses_nothing_while_its_sticks_restart_and_rest_in_turn() -> None:
    world, referee = watched(World(installation(3)))
    ordered(world, count=1000)
    world.sticks["sim-2"].max_in_flight = 4
    world.start().run(2.0)
    for _ in range(4):
        for stick in ("sim-1", "sim-2", "sim-3"):
            world.deliver(CLIENT, ChangeStick(stick, "restart"))
            world.run(0.4)
            world.deliver(CLIENT, ChangeStick(stick, "park"))
            world.run(1.3)
            world.deliver(CLIENT, ChangeStick(stick, "work"))
            referee.check()
    world.run(60.0)
    assert [line["frame"] for line in referee.records()] == list(range(1000))
    assert world.engine.tally.count("cam0").given_up == 0
    assert [stick.child.restarts for stick in world.engine.sticks.by_id.values()] == [0, 0, 0]
    assert [stick.boots for stick in world.engine.sticks.by_id.values()] == [5, 5, 5]
