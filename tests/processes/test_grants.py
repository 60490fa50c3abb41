"""Slots on their way from the camera's main thread to its capture thread."""

from __future__ import annotations

import threading

import pytest

from ncs_cluster.processes.grants import Granted, Grants

JOIN_S = 30.0


def every(pool: int) -> bool:
    return True


def test_grants_are_taken_in_the_order_in_which_they_came() -> None:
    grants = Grants()
    grants.add(1, 5)
    grants.add(1, 3)
    assert [grants.take(every, wait=False) for _ in range(3)] == [Granted(1, 5), Granted(1, 3), None]


def test_a_grant_that_was_given_back_is_the_next_one() -> None:
    grants = Grants()
    grants.add(1, 5)
    grants.add(1, 3)
    taken = grants.take(every, wait=False)
    assert taken is not None
    grants.give_back(taken)
    assert [grants.take(every, wait=False) for _ in range(2)] == [Granted(1, 5), Granted(1, 3)]


def test_grants_of_a_pool_that_does_not_fit_are_dropped() -> None:
    grants = Grants()
    for pool in (1, 1, 2):
        grants.add(pool, 0)
    assert grants.take(lambda pool: pool == 2, wait=True) == Granted(2, 0)
    assert grants.take(every, wait=False) is None


def test_cleared_grants_are_gone() -> None:
    grants = Grants()
    grants.add(1, 5)
    grants.clear()
    assert grants.take(every, wait=False) is None


@pytest.mark.parametrize("ends", ["add", "close"])
def test_who_waits_goes_on_with_a_grant_or_at_the_end(ends: str) -> None:
    grants, taken = Grants(), []
    thread = threading.Thread(target=lambda: taken.append(grants.take(every, wait=True)))
    thread.start()
    if ends == "add":
        grants.add(4, 2)
    else:
        grants.close()
    thread.join(JOIN_S)
    assert taken == [Granted(4, 2) if ends == "add" else None]


def test_after_the_end_what_is_left_may_be_taken_and_nobody_waits() -> None:
    grants = Grants()
    grants.add(1, 5)
    grants.close()
    assert [grants.take(every, wait=True) for _ in range(2)] == [Granted(1, 5), None]
