"""Both pure ends put together: the host's session and the emulated stick, bytes carried by hand, a clock that is a number."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.xlink.blob import Blob
from ncs_cluster.xlink.events import Closed, Lost, Result, Thermal
from ncs_cluster.xlink.link import LAST_EVENT
from ncs_cluster.xlink.session import Options
from tests.hypothesis_profiles import examples
from tests.xlink.blobs import FP32, NC, Entry, make
from tests.xlink.cable import FACES, SMALL, Pair, number_of, numbered

pytestmark = pytest.mark.slow


def test_a_whole_session_on_one_page_opens_infers_reads_heat_and_closes():
    pair = Pair([FACES], latency_s=0.03, watchdog=True).ready()
    for number in range(40):
        pair.session.submit(number, 0, numbered(number, FACES), pair.now_s)
    events = pair.run(1.3)
    results = [event for event in events if isinstance(event, Result)]
    assert [number_of(result) for result in results] == [result.tag for result in results] == list(range(40))
    assert sum(isinstance(event, Thermal) for event in events) >= 1
    pair.session.close(pair.now_s)
    assert pair.run(0.5)[-1] == Closed()
    assert pair.stick.left
    assert pair.stick.violations == []


def test_the_stick_is_kept_busy_while_several_are_in_flight():
    pair = Pair([FACES], latency_s=0.03).ready()
    began_s, sent = pair.now_s, 0
    results: list[float] = []
    while len(results) < 50:
        while pair.session.in_flight < 4:
            pair.session.submit(sent, 0, numbered(sent, FACES), pair.now_s)
            sent += 1
        before = len(pair.seen)
        pair.run(0.005)
        results += [at_s for at_s, event in pair.seen[before:] if isinstance(event, Result)]
    assert (results[-1] - began_s) == pytest.approx(50 * 0.03, abs=0.06)


def test_two_graphs_share_a_stick_and_their_results_are_told_apart():
    pair = Pair([FACES, SMALL], latency_s=0.01).ready()
    for number in range(30):
        blob = (FACES, SMALL)[number % 2]
        pair.session.submit(number, number % 2, numbered(number, blob), pair.now_s)
    results = [event for event in pair.run(0.5) if isinstance(event, Result)]
    assert len(results) == 30
    assert all(number_of(result) == result.tag and result.tag % 2 == result.graph for result in results)
    assert {len(result.data) for result in results if result.graph == 0} == {FACES.outputs_size}
    pair.session.close(pair.now_s)
    assert pair.run(0.5)[-1] == Closed()
    assert pair.stick.violations == []


def test_the_watchdog_of_the_firmware_is_fed_as_long_as_the_session_lives():
    pair = Pair([SMALL], watchdog=True, watchdog_s=3.0).ready()
    assert not [event for event in pair.run(60.0) if isinstance(event, Lost)]
    assert not pair.stick.left
    readings = [at_s for at_s, event in pair.seen if isinstance(event, Thermal)]
    gaps = list(map(operator.sub, readings[1:], readings))
    assert max(gaps) == pytest.approx(1.0)


def test_a_stick_whose_inferences_stop_is_given_up_and_its_temperature_is_read_until_then():
    pair = Pair([FACES], Options(infer_timeout_s=5.0)).ready()
    pair.stick.fault("hang")
    pair.session.submit(1, 0, numbered(1, FACES), pair.now_s)
    events = pair.run(10.0)
    assert sum(isinstance(event, Thermal) for event in events) == 5
    assert events[-1] == Lost("hang", "no result of graph 0 for 5 s")


def test_a_stick_that_falls_silent_is_given_up():
    pair = Pair([FACES], Options(reply_timeout_s=4.0)).ready()
    pair.stick.fault("silent")
    (lost,) = [event for event in pair.run(10.0) if isinstance(event, Lost)]
    assert lost.reason == "hang"
    assert pair.seen[-1][0] <= 100 + 1.5 + 1.0 + 4.0


def test_a_graph_that_does_not_fit_says_so():
    pair = Pair([FACES])
    pair.run(0.9)
    pair.stick.fault("status", code=10)
    assert pair.run(1.0)[-1] == Lost("graph", "graph 0 was refused: out of memory")


@settings(max_examples=examples(60), deadline=None)
@given(
    towards=st.sampled_from(["host", "stick"]),
    at=st.integers(0, 150),
    way=st.sampled_from(["change", "drop", "double", "cut", "insert", "swap"]),
    place=st.integers(0, 5000),
    value=st.integers(1, 255),
    again=st.integers(0, 40),
)
def test_whatever_happens_to_the_bytes_between_them_both_ends_live_or_end(
    towards: str, at: int, way: str, place: int, value: int, again: int
):
    pair = Pair([SMALL], Options(settle_s=0.01, reply_timeout_s=3.0, infer_timeout_s=3.0, allocate_timeout_s=3.0), latency_s=0.02)
    count = 0

    def mangle(data: bytes) -> bytes:
        nonlocal count
        count += 1
        if count != at and (not again or count < at or (count - at) % again):
            return data
        changed = bytearray(data)
        if way == "change" and changed:
            changed[place % len(changed)] ^= value
        elif way == "drop":
            changed.clear()
        elif way == "double":
            changed *= 2
        elif way == "cut":
            del changed[place % (len(changed) + 1) :]
        elif way == "insert":
            changed[place % (len(changed) + 1) : 0] = bytes([value])
        elif way == "swap":
            changed.reverse()
        return bytes(changed)

    if towards == "host":
        pair.to_host = mangle
    else:
        pair.to_stick = mangle
    sent = 0
    for _ in range(12):
        pair.run(0.25)
        while pair.session.phase == "ready" and pair.session.in_flight < 4 and sent < 30:
            pair.session.submit(sent, 0, numbered(sent, SMALL), pair.now_s)
            sent += 1
    pair.session.close(pair.now_s)
    pair.run(5.0)
    ends = [event for _, event in pair.seen if isinstance(event, (Lost, Closed))]
    assert len(ends) == 1
    tags = [event.tag for _, event in pair.seen if isinstance(event, Result)]
    assert tags == list(range(len(tags)))


@pytest.mark.parametrize(("executors", "depth"), [(None, 6), (1, 2), (2, 4), (3, 6)])
def test_a_graph_holds_twice_as_many_inferences_as_run_side_by_side(executors: int | None, depth: int):
    pair = Pair([SMALL], Options(executors=executors), latency_s=1.0).ready()
    for number in range(10):
        pair.session.submit(number, 0, numbered(number, SMALL), pair.now_s)
    pair.run(0.5)
    assert pair.stick.state()["in_flight"] == depth
    assert pair.session.in_flight == 10


def test_nothing_piles_up_in_a_session_that_works_for_long_and_its_event_ids_begin_again():
    pair = Pair([SMALL], Options(ping_s=0.1, thermal_s=0.1), latency_s=0.001).ready()
    pair.session._link._event = LAST_EVENT - 5000
    done = sent = 0
    while done < 3000:
        while pair.session.in_flight < 6:
            pair.session.submit(sent, 0, numbered(sent, SMALL), pair.now_s)
            sent += 1
        results = [event for event in pair.run(0.01) if isinstance(event, Result)]
        assert all(number_of(result) == result.tag for result in results)
        done += len(results)
        pair.seen.clear()
    pair.run(0.05)
    link = pair.session._link
    assert link._event < LAST_EVENT - 5000
    assert (link.out, link._asked, link._unanswered, pair.session.in_flight) == ([], {}, 0, 0)
    assert not any(stream._queue or stream._expected or stream.packets for stream in link._streams)
    assert len(pair.session._scripts) == 3


def test_transfers_of_the_host_may_be_cut_anywhere():
    pair = Pair([FACES], latency_s=0.01)
    whole = pair.stick.receive

    def in_pieces(data: bytes, now_s: float) -> None:
        for start in range(0, len(data), 61):
            whole(data[start : start + 61], now_s)

    pair.stick.receive = in_pieces  # type: ignore[method-assign]
    pair.ready()
    pair.session.submit(7, 0, numbered(7, FACES), pair.now_s)
    (result,) = [event for event in pair.run(0.3) if isinstance(event, Result)]
    assert number_of(result) == 7
    assert pair.stick.violations == []


def test_a_large_graph_is_given_the_time_its_bytes_take():
    data = make([Entry("image", (1, 3, 8, 8))], [Entry("class", (1, 16), FP32, NC)], filling=20_000_000)
    pair = Pair([Blob.parse(data)], Options(reply_timeout_s=2.0, allocate_timeout_s=60.0))
    pair.to_stick = lambda data: b"" if len(data) > 1_000_000 else data
    lost = pair.run(30.0)[-1]
    assert isinstance(lost, Lost)
    assert lost.reason == "hang"
    assert pair.seen[-1][0] == pytest.approx(100.0 + 1.0 + 2.0 + 5.0, abs=0.2)
