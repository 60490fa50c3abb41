"""Whether a sensor sees its die is asked where its stick's air parts from its peers', and a rest tells."""

from __future__ import annotations

import pytest

from ncs_cluster.policies._dies import Die
from ncs_cluster.policies._sensor_checks import AGAIN_S, KNOWN_S, LONGEST_S, PARTED_K, SensorChecks
from ncs_cluster.thermal import Heat, Plant
from ncs_cluster.types import StickId

A, B, C, D, E = ALL = tuple(map(StickId, "abcde"))
BEGAN_S = 2 * KNOWN_S


class Pool:
    """Five dies in their steady state at a duty, and checks that have seen them once."""

    def __init__(self, duty: float = 0.5, age_s: float = KNOWN_S) -> None:
        self.heat, self.now_s = Plant().steady(duty, 35.0), BEGAN_S
        self.dies = {stick: self._die(age_s) for stick in ALL}
        self.checks = SensorChecks()
        self.look()

    def _die(self, age_s: float) -> Die:
        die = Die(self.heat.die_c, BEGAN_S - age_s, 0.0)
        die.filter.die_c, die.filter.case_c, die.filter.air_c = self.heat.die_c, self.heat.case_c, 35.0
        die.at_s = die.read_s = BEGAN_S
        return die

    def look(self, for_s: int = 0, *, sees: float = 1.0, able: tuple[StickId, ...] = ALL) -> list[StickId]:
        """`for_s` seconds go by in which no stick works; readings of A show this share of the fall, those of the others nothing."""
        again = self.checks.look(self.dies, able, self.now_s)
        heat = Heat(self.dies[A].filter.die_c, self.dies[A].filter.case_c)
        for _ in range(for_s):
            self.now_s += 1.0
            heat = Plant().step(heat, 1.0, 0.0, self.dies[A].filter.air_c)
            for die in self.dies.values():
                die.at_s = die.read_s = self.now_s
            self.dies[A].reading_c = self.heat.die_c + sees * (heat.die_c - self.heat.die_c)
            again += self.checks.look(self.dies, able, self.now_s)
        return again


def parted(by_k: float = PARTED_K + 0.1, **made: float) -> Pool:
    """The air of A has become colder than that of the others."""
    pool = Pool(**made)
    pool.dies[A].filter.air_c -= by_k
    return pool


def test_sticks_whose_airs_differ_as_they_always_did_do_not_rest() -> None:
    pool = Pool()
    for die, air_c in zip(pool.dies.values(), (20.0, 31.0, 35.0, 38.0, 41.0), strict=True):
        die.filter.air_c = air_c
    pool.checks = SensorChecks()
    pool.look(60)
    for die in pool.dies.values():
        die.filter.air_c += 15.0
    pool.look(60)
    assert (pool.checks.resting, [die.blind for die in pool.dies.values()]) == (None, [False] * 5)


def test_a_stick_whose_air_has_parted_rests_and_works_on_once_its_sensor_has_seen_that() -> None:
    pool = parted()
    assert pool.look() == []
    assert pool.checks.resting == A
    assert pool.look(30, sees=0.5) == []
    assert (pool.checks.resting, pool.dies[A].blind) == (None, False)
    assert pool.now_s < BEGAN_S + LONGEST_S


@pytest.mark.parametrize("by_k", [PARTED_K - 0.1, -20.0])
def test_a_little_colder_or_much_warmer_air_is_no_reason_to_rest(by_k: float) -> None:
    pool = parted(by_k)
    pool.look(10)
    assert pool.checks.resting is None


def test_a_sensor_that_does_not_see_the_rest_is_blind_until_it_does() -> None:
    pool = parted()
    pool.look(30, sees=0.1)
    assert (pool.checks.resting, pool.dies[A].blind, pool.dies[A].suspect) == (None, True, True)
    assert not any(pool.dies[stick].blind for stick in (B, C, D, E))
    assert pool.look(300, sees=0.0) == []
    assert pool.dies[A].blind
    assert pool.look(300, sees=1.0) == [A]
    assert not pool.dies[A].blind


def test_a_filter_that_thinks_the_die_warmer_than_a_blind_sensor_reads_does_not_make_it_see() -> None:
    pool = parted(duty=0.25)
    pool.dies[A].filter.die_c += 2.0
    assert pool.look(400, sees=0.0) == []
    assert pool.dies[A].blind


def test_after_a_rest_it_is_left_alone_for_a_while() -> None:
    pool = parted()
    pool.look(30)
    pool.dies[A].filter.air_c -= 2 * PARTED_K
    pool.look(int(AGAIN_S) - 60)
    assert pool.checks.resting is None
    pool.look(120, able=())
    assert pool.checks.resting is None
    pool.look()
    assert pool.checks.resting == A


def test_one_stick_rests_at_a_time() -> None:
    pool = Pool()
    pool.dies[A].filter.air_c -= 12.0
    pool.dies[B].filter.air_c -= 20.0
    pool.look(3)
    assert pool.checks.resting == B
    assert list(pool.checks._rests) == [B], "the one that has parted most"


def test_sticks_that_hardly_work_or_are_not_known_well_are_not_asked() -> None:
    for pool in (parted(duty=0.05), parted(age_s=KNOWN_S - 100.0)):
        pool.look(10)
        assert pool.checks.resting is None


def test_where_other_sticks_are_compared_than_before_the_comparison_begins_anew() -> None:
    pool = Pool()
    del pool.dies[C]
    pool.dies[A].filter.air_c -= 4 * PARTED_K
    pool.look(3)
    assert pool.checks.resting is None
