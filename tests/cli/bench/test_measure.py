"""The order of runs, what is timed of each, and the figures made of them: by a virtual clock, exactly."""

from __future__ import annotations

from typing import Any

import pytest

from ncs_cluster.cli.bench.load import Load
from ncs_cluster.cli.bench.measure import FailedRun, Plan, Run, runs
from ncs_cluster.cli.bench.modes import MODES
from ncs_cluster.cli.bench.report import Batch, Heat, Latency, Spread
from ncs_cluster.cli.bench.results import ends, parsed
from ncs_cluster.cli.bench.summary import SustainedRun, fastest, quickest, rows, sustained
from tests.cli.bench.figures import ALL, Machines, line, results, run, same

SERIAL, QUEUE = MODES["serial"], MODES["queue"]


def test_start_and_work_are_timed_and_waiting_closing_and_reading_are_not() -> None:
    machines = Machines({"serial": 2.0}, {"serial": 0.5})
    (only,) = runs(Plan([SERIAL], [1], [2, 10], 1), machines.start, machines.clock, machines.watch)
    assert only == Run("serial", 1, 2.0, [1.0, 5.0], Load(1, 2), results(10, 500.0)), (
        "the load is that of a whole run, its end included"
    )


def test_every_mode_runs_once_in_each_repeat_and_each_repeat_begins_with_another() -> None:
    names = [mode.name for mode in ALL]
    machines = Machines(dict.fromkeys(names, 1.0), dict.fromkeys(names, 0.1))
    done = list(runs(Plan(ALL, [1, 2], [3], 2), machines.start, machines.clock, machines.watch))
    first = [("serial", 1), *((name, devices) for name in names[1:] for devices in (1, 2))]
    assert [(each.mode, each.devices) for each in done] == [*first, *first[1:], first[0]]
    assert machines.started == [("serial", 1), *first, *first[1:], first[0]], "the first one is started once without being measured"


def test_a_mode_that_fails_is_told_once_and_the_others_go_on() -> None:
    machines = Machines({"serial": 1.0, "queue": 1.0}, {"serial": 0.1, "queue": 0.1}, fails="queue")
    done = list(runs(Plan([SERIAL, QUEUE], [1], [2], 3), machines.start, machines.clock, machines.watch))
    assert [each.mode for each in done] == ["serial", "queue", "serial", "serial"]
    assert done[1] == FailedRun("queue", 1, "no permission")
    assert [(row.mode, row.repeats, row.error) for row in rows(Plan([SERIAL, QUEUE], [1], [2], 3), done)] == [
        ("serial", 3, None),
        ("queue", 0, "no permission"),
    ]


def test_a_row_has_medians_of_its_runs_and_is_compared_with_serial_and_with_fewer_devices() -> None:
    plan = Plan([SERIAL, QUEUE], [1, 2], [2, 100], 3)
    done = [
        *(run("serial", 1, start_s, (0.2, 10.0)) for start_s in (1.0, 1.5, 1.25)),
        *(
            run("queue", 1, 3.0, (0.25, hundred_s), Load(load, load / 4))
            for hundred_s, load in ((5.0, 1.0), (8.0, 2.0), (4.0, 3.0))
        ),
        run("queue", 2, 3.25, (0.25, 2.0)),
    ]
    serial, one, two = rows(plan, done)
    assert serial.start_s == Spread(1.25, 1.0, 1.5)
    assert serial.batches == [Batch(2, same(0.2), Spread(1.45, 1.2, 1.7)), Batch(100, same(10.0), Spread(11.25, 11.0, 11.5))]
    assert (serial.per_second, serial.times_serial, serial.break_even, serial.efficiency) == (same(10.0), None, None, None)
    assert (one.repeats, one.per_second) == (3, Spread(20.0, 12.5, 25.0))
    assert (one.load, one.others) == (Spread(2.0, 1.0, 3.0), Spread(0.5, 0.25, 0.75))
    # 3 + n x 0.05 is below 1.25 + n x 0.1 from 36 on: at 35 both are 4.75
    assert (one.times_serial, one.break_even, one.efficiency) == (2.0, 36, 1.0)
    # 50 a second are 25 for each device, of 20 on one
    assert (two.times_serial, two.break_even, two.efficiency) == (5.0, 26, 1.25)
    assert fastest([serial, one, two]) == quickest([serial, one, two]) == two


def test_latencies_of_all_repeats_make_the_percentiles() -> None:
    done = [run("serial", 1, 1.0, [1.0], found=results(50, latency_ms)) for latency_ms in (10.0, 20.0)]
    (row,) = rows(Plan([SERIAL], [1], [50], 2), done)
    assert row.latency_ms == Latency(10.0, 20.0, 20.0)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({}, False),
        ({"score": 0.9004}, False),
        ({"box": [0.1, 0.2, 0.3, 0.4009]}, False),
        ({"score": 0.902}, True),
        ({"box": [0.1, 0.2, 0.3, 0.402]}, True),
        ({"label_id": 2}, True),
    ],
)
def test_results_that_differ_from_the_first_rows_are_told(change: dict[str, object], differs: bool) -> None:
    cat = {"label": "cat", "label_id": 1, "score": 0.9, "box": [0.1, 0.2, 0.3, 0.4], "distance_m": None}
    dog = {**cat, "label": "dog", "label_id": 5}
    expected = parsed([line(0, "0.png", detections=[cat, dog]), line(1, "1.png")])
    found = parsed([line(1, "1.png"), line(0, "0.png", detections=[dog, {**cat, **change}])])
    done = [run("serial", 1, 1.0, [1.0], found=expected), run("queue", 1, 1.0, [1.0], found=found)]
    assert [row.differing for row in rows(Plan([SERIAL, QUEUE], [1], [2], 1), done)] == [[], ["0.png"] if differs else []]


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("detections", [{"label_id": 1, "score": 0.9, "box": [0, 0, 1, 1]}], []),
        ("classes", [{"label_id": 1, "score": 0.9}], [{"label_id": 2, "score": 0.9}]),
        ("features", [100.0, 1.0], [100.0, 1.2]),
        ("features", [100.0, 1.0], [100.0, 1.0, 0.0]),
    ],
)
def test_every_kind_of_result_is_compared(kind: str, one: list[object], other: list[object]) -> None:
    answers: dict[str, dict[str, Any]] = {"serial": {kind: one}, "queue": {kind: other}}
    done = [run(mode, 1, 1.0, [1.0], found=parsed([line(0, **found)])) for mode, found in answers.items()]
    assert [row.differing for row in rows(Plan([SERIAL, QUEUE], [1], [1], 1), done)] == [[], ["a.png"]]


def test_sustained_work_compares_its_first_tenth_with_its_last() -> None:
    """Results come every second from 5 s on, and every 2 s from 90 s on; those after the end are of pictures begun before it."""
    moments = [*(5.0 + second for second in range(86)), 92.0, 94.0, 96.0, 98.0, 99.9, 100.5, 101.0]
    texts = [line(n, latency_ms=10.0, captured_at=1000.0 + moment - 0.01) for n, moment in enumerate(reversed(moments))]
    assert ends(texts) == pytest.approx([1000.0 + moment for moment in moments], abs=1e-6)
    heats = [Heat(1.0, {"sim-1": 30.0}), Heat(99.0, {"sim-1": 75.0})]
    made = sustained(SustainedRun("queue", 1, 100.0, moments, heats, Load(0.5, 0.25)))
    # of 95 s: 9.5 s from 5 s on have 10 results, 9.5 s up to 100 s have 5
    assert (made.first_per_second, made.last_per_second) == (10 / 9.5, 5 / 9.5)
    assert (made.mode, made.devices, made.seconds, made.pictures) == ("queue", 1, 100.0, 93)
    assert (made.temperatures, made.load, made.others) == (heats, 0.5, 0.25)
