"""What a lane knows of its frames: the pause between them, and until when the newest one may wait."""

from __future__ import annotations

import pytest

from ncs_cluster.core.lane import KEPT_SHARE, LONGEST_PERIOD_S, Lane


def lane(*captured_s: float) -> Lane:
    made = Lane("cam0", 0, 2.0, ordered=False)
    for each in captured_s:
        made.note_capture(each)
    return made


def test_a_lane_of_twice_the_weight_costs_half_a_turn() -> None:
    assert lane().cost == 0.5


@pytest.mark.parametrize("captured_s", [(), (10.0,), (10.0, 10.0), (10.0, 9.0), (10.0, 10.0 + LONGEST_PERIOD_S)])
def test_without_a_pause_that_counts_no_frame_is_kept(captured_s: tuple[float, ...]) -> None:
    assert lane(*captured_s).kept_until_s == 0.0


def test_a_frame_is_kept_until_shortly_before_the_next_one() -> None:
    assert lane(10.0, 10.5).kept_until_s == pytest.approx(10.5 + KEPT_SHARE * 0.5)


def test_the_pause_follows_its_newest_value_by_a_fifth() -> None:
    assert lane(10.0, 10.5, 11.5).kept_until_s == pytest.approx(11.5 + KEPT_SHARE * 0.6)
