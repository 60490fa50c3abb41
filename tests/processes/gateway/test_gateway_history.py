"""A few minutes of temperature, and no more."""

from __future__ import annotations

from msgspec.structs import replace

from ncs_cluster.processes.gateway.history import EVERY_S, KEPT_S, History, twins
from ncs_cluster.status import OriginalStatus
from ncs_cluster.testing.control import some_status

STICKS = some_status(sticks=2, cluster_size=1).sticks


def test_a_line_tells_how_long_ago_how_warm_and_whether_at_work() -> None:
    history = History()
    history.add(STICKS, 100.0)
    history.add(STICKS, 101.0)
    assert history.lines(103.0) == {
        "sim-1": [(3.0, 45.0, True), (2.0, 45.0, True)],
        "sim-2": [(3.0, 38.0, False), (2.0, 38.0, False)],
    }


def test_however_often_it_is_fed_it_stays_short() -> None:
    history = History()
    for step in range(20_000):
        history.add(STICKS, step * 0.1)
    line = history.lines(2000.0)["sim-1"]
    assert len(line) <= KEPT_S / EVERY_S + 1
    assert line[0][0] <= KEPT_S + 1


def test_a_stick_that_is_gone_fades() -> None:
    history = History()
    history.add(STICKS, 0.0)
    gone = STICKS[:1]
    history.add(gone, 1.0)
    assert set(history.lines(1.0)) == {"sim-1", "sim-2"}
    history.add(gone, KEPT_S + 2)
    assert set(history.lines(KEPT_S + 2)) == {"sim-1"}


def test_the_hottest_stick_of_the_daemon_and_of_the_original_have_lines_where_there_is_an_original() -> None:
    status = some_status()
    assert twins(status) == []
    told = twins(replace(status, original=OriginalStatus([60.0, 69.5], 20.0, 1.0, 9, True)))
    assert [(line.id, line.temperature_c, line.state) for line in told] == [
        ("twin ours", 45.0, "active"),
        ("twin original", 69.5, "active"),
    ]
    history = History()
    history.add(told, 1.0)
    assert history.lines(2.0) == {"twin ours": [(1.0, 45.0, True)], "twin original": [(1.0, 69.5, True)]}
