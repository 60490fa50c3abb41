"""The order in which the supervisor's messages leave, as a list."""

from __future__ import annotations

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core.events import Endpoint
from ncs_cluster.processes.late_grants import LateGrants

CAMERA, OTHER, WORKER = Endpoint("camera", "cam0"), Endpoint("camera", "cam1"), Endpoint("worker", "sim-1")


def performed(actions: list[a.Action]) -> list[a.Action]:
    """As the supervisor performs the actions of one turn."""
    done: list[a.Action] = []
    grants = LateGrants(done.append)
    for action in actions:
        if not grants.takes(action):
            done.append(action)
    grants.send()
    return done


def grant(slot: int, to: Endpoint = CAMERA) -> a.Send:
    return a.Send(to, m.Grant(1, slot))


def test_a_grant_waits_for_messages_to_others() -> None:
    stop = a.Send(WORKER, m.Stop())
    assert performed([grant(1), stop, grant(2, OTHER), stop]) == [stop, stop, grant(1), grant(2, OTHER)]


def test_messages_to_one_process_stay_in_order() -> None:
    stop, other = a.Send(CAMERA, m.Stop()), a.Send(OTHER, m.Stop())
    assert performed([grant(1), other, stop, grant(2), other]) == [other, grant(1), stop, other, grant(2)]


def test_a_grant_reaches_its_process_before_that_is_ended_or_started_anew() -> None:
    for action in (a.Kill(CAMERA), a.Spawn(CAMERA, "default")):
        assert performed([grant(1), action, grant(2)]) == [grant(1), action, grant(2)]
