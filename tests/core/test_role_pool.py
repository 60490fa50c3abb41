"""What a pool with a role is: its regulator, its sticks, and whether it gets frames."""

from __future__ import annotations

import pytest

from ncs_cluster.core.child import State
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.role_pool import RolePool
from ncs_cluster.types import StickId
from tests.core.onefallback import installed


def engine() -> Engine:
    made = Engine(installed(), 1000.0)
    made.start(1000.0)
    return made


def test_it_has_the_sticks_and_the_regulator_of_its_own_pool_alone() -> None:
    made = engine()
    regulators = made.workers.regulators
    pool = RolePool("fallback", made.sticks, regulators, needed=False)
    assert pool.regulator is regulators["fallback"]
    assert [stick.spec.id for stick in pool.members] == ["cpu-1"]


@pytest.mark.parametrize(("needed", "usable", "serves"), [(True, True, True), (True, False, False), (False, True, False)])
def test_it_gets_frames_while_it_is_needed_and_a_stick_of_it_is_usable(needed: bool, usable: bool, serves: bool) -> None:
    made = engine()
    pool = RolePool("fallback", made.sticks, made.workers.regulators, needed=needed)
    for name, works in (("cpu-1", usable), ("sim-1", True)):
        stick = made.sticks.by_id[StickId(name)]
        stick.present, stick.child.state = True, State.RUNNING if works else State.OPENING
        stick.zone.open(has_sensor=False)
        assert stick.usable == works
    assert (pool.ready, pool.serving) == (usable, serves)
