"""The steps of the end: exact actions at exact times, with real children that stop, do not stop or cannot be killed."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import Action, Exit, Kill, LogEvent, Send
from ncs_cluster.core.child import Child, State
from ncs_cluster.core.events import GATEWAY, SINK, Endpoint
from ncs_cluster.core.shutdown import Shutdown, killed
from ncs_cluster.messages import Stop

CAMERA, WORKER = Endpoint("camera", "cam0"), Endpoint("worker", "sim-1")
STOP_DOING: list[Action] = [Send(CAMERA, Stop()), Send(WORKER, Stop())]
STOP_SHOWING: list[Action] = [Send(SINK, Stop()), Send(GATEWAY, Stop())]
STOPPED: list[Action] = [LogEvent("info", "daemon", "stopped"), Exit(0)]


class ShutdownSetup:
    """A camera, a worker, the sink and the page, all running, and their end since 100 s."""

    def __init__(self) -> None:
        self.children = [Child(endpoint, "default") for endpoint in (CAMERA, WORKER, SINK, GATEWAY)]
        for child in self.children:
            child.start(0.0)
            child.hello(1.0)
            child.ready(2.0)
        self.shutdown = Shutdown(self.children[:2], self.children[2:], 100.0)

    def advance(self, now_s: float, *, drained: bool = True, written: bool = True) -> list[Action]:
        return self.shutdown.advance(now_s, drained=lambda: drained, written=lambda: written)

    def exit(self, *whom: Endpoint) -> None:
        for child in self.children:
            if child.endpoint in whom:
                child.exited("exit code 0", 100.0)


def test_all_that_lives_is_killed_and_nothing_else() -> None:
    setup = ShutdownSetup()
    setup.exit(WORKER)
    setup.children[1].stop(100.0)
    setup.children[1].exited("exit code 0", 100.0)
    assert killed(setup.children) == [Kill(CAMERA), Kill(SINK), Kill(GATEWAY)]
    assert killed([]) == []


def test_a_house_that_is_drained_ends_in_the_order_of_its_steps() -> None:
    setup = ShutdownSetup()
    assert (setup.shutdown.began_s, setup.shutdown.closing) == (100.0, False)
    assert setup.advance(100.0) == STOP_DOING
    assert setup.shutdown.closing is True
    assert setup.advance(100.1) == []
    setup.exit(CAMERA)
    assert setup.advance(100.2) == [], "one of the two still runs"
    setup.exit(WORKER)
    assert setup.advance(100.3) == STOP_SHOWING
    assert setup.advance(100.4) == []
    setup.exit(SINK)
    assert setup.advance(100.5) == []
    setup.exit(GATEWAY)
    assert setup.advance(100.6) == STOPPED


@pytest.mark.parametrize(("now_s", "actions"), [(100.0, []), (102.0, []), (102.001, STOP_DOING)])
def test_what_is_under_way_has_two_seconds(now_s: float, actions: list[Action]) -> None:
    setup = ShutdownSetup()
    assert setup.advance(now_s, drained=False) == actions
    assert setup.shutdown.closing is bool(actions)


@pytest.mark.parametrize(("now_s", "actions"), [(100.2, []), (103.0, []), (103.001, STOP_SHOWING)])
def test_results_have_three_seconds_to_be_written(now_s: float, actions: list[Action]) -> None:
    setup = ShutdownSetup()
    setup.advance(100.0)
    setup.exit(CAMERA, WORKER)
    assert setup.advance(now_s, written=False) == actions


@pytest.mark.parametrize(("now_s", "actions"), [(103.0, []), (103.001, STOP_SHOWING)])
def test_sink_and_page_wait_three_seconds_for_sources_and_sticks_to_close(now_s: float, actions: list[Action]) -> None:
    setup = ShutdownSetup()
    setup.advance(100.0)
    assert setup.advance(now_s) == actions


def test_late_steps_are_taken_together() -> None:
    setup = ShutdownSetup()
    assert setup.advance(103.5, drained=False, written=False) == [*STOP_DOING, *STOP_SHOWING]


@pytest.mark.parametrize("left", [CAMERA, GATEWAY])
def test_a_process_that_does_not_stop_is_killed_after_four_and_a_half_seconds(left: Endpoint) -> None:
    setup = ShutdownSetup()
    setup.advance(103.5)
    setup.exit(*({CAMERA, WORKER, SINK, GATEWAY} - {left}))
    assert setup.advance(104.5) == []
    late = LogEvent("warning", "daemon", "some processes did not stop within 4.5 s: killed")
    assert setup.advance(104.501) == [late, Kill(left), Exit(0)]


def test_processes_that_were_never_asked_to_stop_are_asked_and_killed_in_one_go_when_the_time_is_over() -> None:
    setup = ShutdownSetup()
    late = LogEvent("warning", "daemon", "some processes did not stop within 4.5 s: killed")
    kills = [Kill(CAMERA), Kill(WORKER), Kill(SINK), Kill(GATEWAY)]
    assert setup.advance(105.0, drained=False, written=False) == [*STOP_DOING, *STOP_SHOWING, late, *kills, Exit(0)]


def test_a_house_without_children_ends_at_once() -> None:
    shutdown = Shutdown([], [], 100.0)
    assert shutdown.advance(100.0, drained=lambda: True, written=lambda: True) == STOPPED


def test_where_no_child_is_alive_what_is_under_way_is_waited_for_all_the_same() -> None:
    setup = ShutdownSetup()
    shutdown = Shutdown([], setup.children[2:], 100.0)
    assert shutdown.advance(101.0, drained=lambda: False, written=lambda: True) == []
    assert shutdown.closing is False
    assert Shutdown([], [], 100.0).advance(101.0, drained=lambda: False, written=lambda: True) == []


def test_children_that_wait_for_their_next_try_are_down_at_once() -> None:
    setup = ShutdownSetup()
    for child in setup.children:
        for _ in range(4):
            child.exited("exit code 1", 50.0)
            child.tick(200.0)
        child.exited("exit code 1", 50.0)
        assert child.state is State.BACKOFF
    assert setup.advance(100.0) == STOPPED
    assert [child.state for child in setup.children] == [State.DOWN] * 4


def test_it_is_never_too_late_before_sticks_are_closed() -> None:
    setup = ShutdownSetup()
    assert setup.shutdown.too_late(1000.0) is False
    assert Shutdown([], [], 100.0).too_late(1000.0) is False


@pytest.mark.parametrize(("now_s", "too_late"), [(100.0, False), (102.5, False), (102.501, True)])
def test_what_is_not_finished_two_and_a_half_seconds_after_the_begin_will_not_be(now_s: float, too_late: bool) -> None:
    setup = ShutdownSetup()
    setup.advance(100.0)
    assert setup.shutdown.too_late(now_s) is too_late


def test_what_is_not_finished_when_all_sources_and_sticks_are_closed_will_not_be() -> None:
    setup = ShutdownSetup()
    setup.advance(100.0)
    setup.exit(CAMERA)
    assert setup.shutdown.too_late(100.1) is False
    setup.exit(WORKER)
    assert setup.shutdown.too_late(100.1) is True
