"""Who may touch which slot of a pool: the exact slot each call gives, and what is free, granted and leased after it."""

from __future__ import annotations

import pytest

from ncs_cluster.core.slots import Slots
from ncs_cluster.types import PoolLayout


def pool(slots: int = 3) -> Slots:
    return Slots(PoolLayout(1, slots, 640, 480))


def counts(slots: Slots) -> tuple[int, int, int]:
    return slots.free, slots.granted, slots.leased


def test_a_new_pool_grants_its_slots_from_the_lowest_until_none_is_left() -> None:
    slots = pool(3)
    assert counts(slots) == (3, 0, 0)
    assert [slots.grant() for _ in range(5)] == [0, 1, 2, None, None]
    assert counts(slots) == (0, 3, 0)


def test_a_pool_without_slots_grants_nothing() -> None:
    assert pool(0).grant() is None


def test_a_written_slot_is_leased_until_its_last_holder_releases_it() -> None:
    slots = pool(3)
    slots.grant()
    assert slots.written(0, 2) is True
    assert counts(slots) == (2, 0, 1)
    slots.release(0)
    assert counts(slots) == (2, 0, 1)
    slots.release(0)
    assert counts(slots) == (3, 0, 0)


def test_a_slot_written_without_holders_is_free_at_once() -> None:
    slots = pool(3)
    slots.grant()
    assert slots.written(0, 0) is True
    assert counts(slots) == (3, 0, 0)
    assert slots.grant() == 0


def test_the_slot_that_was_released_last_is_granted_first() -> None:
    slots = pool(4)
    for slot in range(3):
        slots.grant()
        slots.written(slot, 1)
    for slot in (1, 0, 2):
        slots.release(slot)
    assert [slots.grant() for _ in range(5)] == [2, 0, 1, 3, None]


def test_a_write_into_a_slot_that_was_not_granted_is_refused_and_changes_nothing() -> None:
    slots = pool(4)
    slots.grant()
    slots.grant()
    slots.written(0, 1)
    for slot, why in ((0, "written before"), (2, "free"), (4, "outside of the pool"), (-1, "outside of the pool")):
        assert slots.written(slot, 1) is False, why
        assert counts(slots) == (2, 1, 1), why
    slots.release(0)
    assert counts(slots) == (3, 1, 0)


def test_a_release_of_a_slot_without_a_lease_is_an_error() -> None:
    slots = pool(3)
    slots.grant()
    for slot in (0, 1):
        with pytest.raises(KeyError):
            slots.release(slot)
    assert counts(slots) == (2, 1, 0)


def test_revoked_grants_are_free_again_lowest_first_and_leases_stay() -> None:
    slots = pool(5)
    for _ in range(4):
        slots.grant()
    slots.written(1, 1)
    slots.revoke_grants()
    assert counts(slots) == (4, 0, 1)
    assert slots.written(0, 1) is False
    assert [slots.grant() for _ in range(5)] == [0, 2, 3, 4, None]


def test_a_retired_pool_grants_nothing_and_still_takes_what_was_granted() -> None:
    slots = pool(3)
    slots.grant()
    slots.retired = True
    assert slots.grant() is None
    assert counts(slots) == (2, 1, 0)
    assert slots.written(0, 1) is True
    slots.release(0)
    assert counts(slots) == (3, 0, 0)
    assert slots.grant() is None


def test_a_pool_is_idle_while_nothing_is_granted_or_leased() -> None:
    slots = pool(3)
    seen = [slots.idle]
    slots.grant()
    seen.append(slots.idle)
    slots.written(0, 1)
    seen.append(slots.idle)
    slots.release(0)
    seen.append(slots.idle)
    assert seen == [True, False, False, True]


def test_a_new_pool_is_not_retired_and_keeps_its_layout() -> None:
    slots = pool(3)
    assert slots.retired is False
    assert slots.layout == PoolLayout(1, 3, 640, 480)
