"""A stick that computes wrongly is found by the known picture, at its opening and while it works."""

from __future__ import annotations

import re

import pytest

from ncs_cluster.emulator.emulator import Emulator
from ncs_cluster.errors import StickError
from tests.backends.numbered import GRAPHS
from tests.backends.xlink_sticks.steps import PORT, QUICK_STICK, Drive

pytestmark = pytest.mark.slow


def test_both_graphs_have_worked_before_it_is_ready(bus: Emulator, drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that never answers keeps the stick from being ready."""
    bus.add(PORT, **{**QUICK_STICK, "latency_s": 60.0})
    with pytest.raises(StickError) as error:
        drive(graphs=len(GRAPHS), infer_timeout_s=1.0).open()
    assert error.value.reason == "hang"


def test_a_stick_that_answers_the_known_picture_with_zeros_is_never_ready(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK, graphs="zero")
    with pytest.raises(StickError, match=r"graph planar: a known picture gives nothing but zeros") as error:
        drive().open()
    assert error.value.reason == "wrong"


def test_a_stick_that_begins_to_compute_wrongly_is_found_at_its_next_check(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK)
    driver = drive(check_s=0.05)
    assert len(driver.open().answers) == 1
    driver.run(100)
    bus.fault(PORT, "wrong", times=1_000_000)
    with pytest.raises(StickError, match=r"a known picture gives another answer than at first \(output out\)") as error:
        driver.run(1_000_000)
    assert error.value.reason == "wrong"
    told = re.search(r"; (\d+) results since its last right answer may be wrong$", error.value.detail)
    assert told
    assert driver.mixed <= int(told[1])


def test_a_result_that_has_changed_places_with_the_known_pictures_is_found(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK)
    driver = drive(check_s=0.001)
    driver.open()
    driver.run(20)

    def swap_often() -> None:
        for _ in range(200):
            bus.fault(PORT, "swap")
            driver.run(4)

    with pytest.raises(StickError, match=r"another answer than at first|a result was lost or doubled"):
        swap_often()


def test_without_checks_a_graph_may_answer_zeros(bus: Emulator, drive: Drive) -> None:
    bus.add(PORT, **QUICK_STICK, graphs="zero")
    driver = drive(check_s=0)
    assert driver.open().answers == ()
    driver.fill()
    assert driver.turn() is not None
