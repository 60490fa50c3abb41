"""How much of a link frames may take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.fleet.link_share import BURST_S, LinkShare

FRAMES = st.lists(st.tuples(st.floats(0.0, 0.5), st.integers(1, 200_000)), min_size=1, max_size=60)


@given(FRAMES)
def test_over_any_time_no_more_is_sent_than_the_share_a_burst_and_one_frame(frames: list[tuple[float, int]]) -> None:
    rate, now_s = 100_000.0, 5.0
    share, sent = LinkShare(rate, now_s), list[tuple[float, int]]()
    for pause_s, size in frames:
        now_s += pause_s
        if share.take(size, now_s):
            sent.append((now_s, size))
    for first, (begin_s, _) in enumerate(sent):
        for last in range(first, len(sent)):
            bytes_sent = sum(size for _, size in sent[first : last + 1])
            allowed = (sent[last][0] - begin_s + BURST_S) * rate + sent[last][1]
            assert bytes_sent <= allowed + 1e-3


def test_frames_at_the_gap_that_it_tells_are_all_sent() -> None:
    share, now_s = LinkShare(100_000.0, 0.0), 0.0
    for _ in range(50):
        assert share.take(5_000, now_s)
        now_s += share.gap_s
    assert share.gap_s == 0.05


def test_a_frame_that_is_larger_than_the_burst_is_sent_and_paid_for_afterwards() -> None:
    share = LinkShare(100_000.0, 0.0)
    assert share.take(60_000, 0.0)
    assert not share.take(1, 0.49)
    assert share.take(1, 0.51)
