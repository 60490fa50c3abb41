"""Cameras and time: measurements that are overdue, pools that are too small, slots that are free again."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import DropPool, Kill, LogEvent, MakePool, Send
from ncs_cluster.core.child import State
from ncs_cluster.messages import MapPool, UnmapPool
from ncs_cluster.types import Outcome, PoolLayout, StickId
from tests.core.onecamera import (
    CAMERA,
    FOUND,
    WORKER,
    CameraSetup,
    granted,
    record,
)


@pytest.mark.parametrize(("now_s", "late"), [(15.5, False), (15.51, True)])
def test_a_camera_that_does_not_measure_in_five_seconds_is_killed(now_s: float, late: bool) -> None:
    setup = CameraSetup(window=True).open()
    assert setup.cameras.overdue(100.0) == []
    setup.inferred(setup.unit(0), FOUND, 10.5)
    killed = [LogEvent("warning", "camera cam0", "killed: no answer for 5 s: camera hangs"), Kill(CAMERA)]
    assert setup.cameras.overdue(now_s) == (killed if late else [])


def test_a_camera_is_not_overdue_for_a_time_in_which_the_supervisor_stood_still() -> None:
    setup = CameraSetup(window=True).open()
    setup.inferred(setup.unit(0), FOUND, 10.5)
    setup.cameras.extend_deadlines(20.0)
    assert setup.cameras.overdue(25.0) == []
    assert len(setup.cameras.overdue(25.1)) == 2


def test_results_of_a_camera_whose_process_does_not_die_go_on_without_distances() -> None:
    setup = CameraSetup(window=True).open()
    unit = setup.unit(0)
    setup.inferred(unit, FOUND, 10.5)
    setup.camera.child.kill(11.0, "it hangs")
    assert setup.cameras.tick(10.75) == []
    assert setup.records == []
    setup.camera.child.tick(16.0)
    assert setup.camera.child.state is State.FENCED
    assert setup.cameras.tick(11.0) == []
    assert setup.records == [record(unit, "demo", FOUND, 1.0)]
    assert setup.slots.granted == 2, "it may still write"


def test_a_pool_that_has_become_too_small_is_replaced_and_goes_when_it_is_idle() -> None:
    setup = CameraSetup(ordered=True, workers=(WORKER,)).open()
    assert setup.cameras.tick(1.0) == []
    setup.dispatcher.attach(StickId("sim-1"), 24)
    layout = PoolLayout(2, 62, 640, 480)
    assert setup.cameras.tick(2.0) == [
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=2),
        Send(WORKER, MapPool(layout), pool=2),
        *granted(0, 1, pool=2),
    ]
    assert setup.cameras.tick(3.0) == []
    setup.camera.retired[0].revoke_grants()
    assert setup.cameras.tick(4.0) == [Send(WORKER, UnmapPool(1)), Send(CAMERA, UnmapPool(1)), DropPool(1)]


def test_slots_that_have_become_free_are_granted_in_time() -> None:
    setup = CameraSetup(ordered=True).open()
    setup.slots.revoke_grants()
    for frame in range(256):
        setup.outbox.put(record(setup.unit(frame), "demo", Outcome(), 0.5))
    assert setup.cameras.tick(1.0) == []
    setup.outbox.opened(1, b"")
    assert setup.cameras.tick(2.0) == granted(0, 1)
