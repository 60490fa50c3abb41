"""Work spread over sticks so that the hottest is as cool as can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.policies._spread import Warmth, spread

STICKS = st.lists(
    st.builds(Warmth, floor_c=st.floats(0.0, 60.0), slope_k=st.floats(10.0, 90.0), most=st.floats(0.01, 1.0)),
    min_size=1,
    max_size=8,
)


@given(sticks=STICKS, share=st.floats(0.01, 0.99), other=st.lists(st.floats(0.01, 1.0), min_size=8, max_size=8))
def test_no_other_spread_has_a_cooler_hottest_stick(sticks: list[Warmth], share: float, other: list[float]) -> None:
    """It is optimal where work that is taken from a hottest stick has no place that is cooler; and any other spread is tried."""
    named, total = dict(enumerate(sticks)), share * sum(each.most for each in sticks)
    found = spread(named, total)
    assert found is not None
    assert sum(found.duties.values()) == pytest.approx(total, abs=1e-4 * len(sticks))
    assert all(0.0 <= duty <= sticks[number].most for number, duty in found.duties.items())
    dies_c = {number: each.floor_c + each.slope_k * found.duties[number] for number, each in named.items()}
    assert found.hottest_c == max(dies_c.values())
    hottest = [number for number, die_c in dies_c.items() if die_c >= found.hottest_c - 1e-3]
    if all(found.duties[number] > 1e-6 for number in hottest):
        assert all(number in hottest or found.duties[number] == sticks[number].most for number in named)
    assert found.evenly_c >= found.hottest_c - 1e-3
    wanted = {number: other[number] * each.most for number, each in named.items()}
    if (factor := total / max(sum(wanted.values()), 1e-9)) * max(other[: len(sticks)]) <= 1.0:
        tried = max(each.floor_c + each.slope_k * factor * wanted[number] for number, each in named.items())
        assert tried >= found.hottest_c - 1e-3


def test_like_sticks_work_alike_and_a_covered_one_less() -> None:
    like = Warmth(39.0, 42.0, 1.0)
    found = spread({"a": like, "b": like, "covered": Warmth(44.85, 59.4, 1.0)}, 1.0)
    assert found is not None
    # 39 + 42 a = 44.85 + 59.4 c and 2 a + c = 1
    covered = (39.0 + 42.0 / 2 - 44.85) / (59.4 + 42.0 / 2)
    assert found.duties == pytest.approx({"a": (1 - covered) / 2, "b": (1 - covered) / 2, "covered": covered}, abs=1e-4)
    assert found.hottest_c == pytest.approx(44.85 + 59.4 * covered, abs=1e-3)
    assert found.evenly_c == pytest.approx(44.85 + 59.4 / 3)


def test_without_work_and_with_all_there_is_nothing_is_spread() -> None:
    sticks = {"a": Warmth(39.0, 42.0, 0.5)}
    assert (spread(sticks, 0.0), spread(sticks, 0.5), spread({}, 0.0)) == (None, None, None)
