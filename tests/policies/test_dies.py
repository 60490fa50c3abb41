"""The dies of a pool: which readings count, when a filter begins anew, when a sensor is distrusted."""

from __future__ import annotations

import random

import pytest
from msgspec import structs

from ncs_cluster.policies._dies import Die, Dies
from ncs_cluster.policies.base import StickView, View
from ncs_cluster.types import StickId

A, B = StickId("a"), StickId("b")


def seen(
    now_s: float,
    reading_c: float | None,
    read_s: float | None = None,
    *,
    worked_s: float = 0.0,
    usable: bool = True,
    hot: bool = False,
    stick: StickId = A,
) -> View:
    read_s = now_s if read_s is None and reading_c is not None else read_s
    return View(now_s, [StickView(stick, usable, hot, reading_c, "", reading_c, read_s, worked_s)], 0)


def follow(*views: View) -> Dies:
    dies = Dies()
    for view in views:
        dies.follow(view)
    return dies


def test_a_die_is_known_from_its_first_reading_on() -> None:
    die = follow(seen(5.0, 40.0, 4.5, worked_s=1.0)).known[A]
    assert (die.filter.die_c, die.since_s, die.at_s, die.read_s, die.worked_s, die.age_s) == (40.0, 4.5, 4.5, 4.5, 1.0, 0.0)


def test_a_stick_without_a_sensor_is_never_known() -> None:
    assert follow(seen(1.0, None), seen(2.0, None)).known == {}


def test_between_two_readings_the_filter_goes_on_by_the_work_done() -> None:
    die = follow(seen(0.0, 40.0), seen(4.0, 41.0, worked_s=3.0)).known[A]
    alone = Die(40.0, 0.0, 0.0)
    alone.filter.predict(4.0, 0.75)
    score_info = alone.filter.update(41.0)
    assert (die.filter.die_c, die.filter.gain, die.filter._p) == (alone.filter.die_c, alone.filter.gain, alone.filter._p)
    assert (die.score, die.info) == score_info


def test_the_work_until_a_reading_is_what_counts_for_it_and_not_that_until_it_is_seen() -> None:
    """A stick rests, is read at 4.0, and has worked for a second when the reading is looked at, at 5.0."""
    late = seen(5.0, 41.0, 4.0, worked_s=1.0)
    late = View(late.now_s, [structs.replace(late.sticks[0], worked_read_s=0.0)], 0)
    punctual = follow(seen(0.0, 40.0), seen(4.0, 41.0)).known[A]
    die = follow(seen(0.0, 40.0), late).known[A]
    assert (die.filter.die_c, die.filter._p, die.worked_s) == (punctual.filter.die_c, punctual.filter._p, 0.0)
    after = View(6.0, [structs.replace(seen(6.0, 41.0, worked_s=2.0).sticks[0], worked_read_s=2.0)], 0)
    dies = follow(seen(0.0, 40.0), late, after)
    punctual.go_on(6.0, 2.0)
    punctual.read(41.0, 6.0)
    assert dies.known[A].filter.die_c == pytest.approx(punctual.filter.die_c)


def test_the_same_reading_counts_once_however_often_it_is_seen() -> None:
    once = follow(seen(0.0, 40.0), seen(1.0, 41.0))
    often = follow(seen(0.0, 40.0), *[seen(1.0 + part / 8, 41.0, 1.0) for part in range(9)])
    assert once.known[A].filter._p == often.known[A].filter._p


def test_without_new_readings_the_filter_goes_on_by_the_model() -> None:
    dies = follow(seen(0.0, 40.0), seen(1.5, 40.0, 0.0))
    assert dies.known[A].at_s == 0.0
    dies.follow(seen(3.0, 40.0, 0.0, worked_s=3.0))
    assert (dies.known[A].at_s, dies.known[A].read_s) == (3.0, 0.0)
    assert dies.known[A].filter.die_c > 41.0, "it worked"


@pytest.mark.parametrize(
    "view",
    [
        seen(2.0, 48.1),
        seen(2.0, 31.9),
        seen(61.0, 40.0, worked_s=100.0),
        seen(2.0, 40.0, worked_s=9.0),
    ],
    ids=["far hotter", "far colder", "after a minute", "opened again"],
)
def test_a_filter_begins_anew_where_the_old_one_cannot_be_this_sticks(view: View) -> None:
    dies = follow(seen(0.0, 40.0, worked_s=10.0))
    before = dies.known[A]
    dies.follow(view)
    after = dies.known[A]
    assert after is not before
    assert (after.since_s, after.filter.die_c) == (view.now_s, view.sticks[0].reading_c)


def test_a_stick_that_is_closed_or_gone_is_forgotten_and_one_whose_sensor_fails_is_not() -> None:
    assert A in follow(seen(0.0, 40.0), seen(1.0, None, hot=True)).known
    assert follow(seen(0.0, 40.0), seen(1.0, 40.0, 0.0, usable=False)).known == {}
    assert set(follow(seen(0.0, 40.0), seen(1.0, 41.0, stick=B)).known) == {B}


def test_a_sensor_that_repeats_itself_for_improbably_long_is_distrusted_until_it_changes() -> None:
    die, chance = Die(40.0, 0.0, 0.0), random.Random(1)
    for second in range(1, 400):
        die.go_on(float(second), 0.0)
        assert die.read(40.0 + round(chance.gauss(0.0, 0.4)), float(second))
        assert not die.suspect
    last_c = die.reading_c
    runs = 0
    while not die.suspect:
        runs += 1
        assert die.read(last_c, 400.0 + runs)
        assert runs < 40
    assert runs > 10
    before = die.filter.die_c
    assert die.read(last_c, 500.0)
    assert die.filter.die_c == before, "what it says counts for nothing"
    die.read(last_c + 1.0, 501.0)
    assert not die.suspect


def test_the_forecast_of_a_die_at_work_is_above_that_of_one_at_rest() -> None:
    die = Die(40.0, 0.0, 0.0)
    assert die.forecast_c(10.0, 0.0) < die.forecast_c(10.0, 0.5) < die.forecast_c(10.0)
    assert die.forecast_c(0.0) == pytest.approx(40.0)


def still(count: int, *, duty: float = 1.0, value_c: float = 40.0) -> list[View]:
    return [seen(float(second), value_c, worked_s=duty * second) for second in range(count)]


def test_a_sensor_that_never_moves_though_its_stick_works_counts_as_none_until_it_says_something_else() -> None:
    dies = follow(*still(20))
    assert A in dies.known
    dies = follow(*still(60))
    assert dies.known == {}
    dies.follow(seen(60.0, 40.0, worked_s=60.0))
    assert dies.known == {}
    dies.follow(seen(61.0, 41.0, worked_s=61.0))
    die = dies.known[A]
    assert (die.filter.die_c, die.age_s) == (41.0, 0.0)


def test_a_stick_that_rests_is_no_evidence_against_its_sensor() -> None:
    dies = follow(*still(300, duty=0.0))
    assert (dies.known[A].suspect, dies.known[A].moved) == (True, False)


def test_a_sensor_that_has_moved_once_is_frozen_and_not_none_also_after_its_stick_was_opened_again() -> None:
    dies = follow(seen(0.0, 39.0), *still(100)[1:])
    assert (dies.known[A].suspect, dies.known[A].moved) == (True, True)
    dies.follow(seen(100.0, 40.0, usable=False))
    assert dies.known == {}
    for second in range(101, 200):
        dies.follow(seen(float(second), 40.0, worked_s=float(second - 101)))
    assert (dies.known[A].suspect, dies.known[A].moved) == (True, True)


def test_a_sensor_that_counts_as_none_and_moves_is_frozen_when_it_repeats_itself_again() -> None:
    dies = follow(*still(60))
    for second in range(60, 160):
        dies.follow(seen(float(second), 47.0, worked_s=float(second)))
    assert dies.known[A].suspect


def test_a_stick_of_another_port_that_takes_the_place_is_another_stick() -> None:
    dies = follow(seen(0.0, 39.0), *still(10)[1:], View(10.0, [], 0))
    for second in range(11, 111):
        dies.follow(seen(float(second), 40.0, worked_s=float(second)))
    assert dies.known == {}
