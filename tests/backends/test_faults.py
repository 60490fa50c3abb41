"""The fault script's syntax and its clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.backends._faults import LASTING, SUDDEN, Fault, FaultScript, parse
from ncs_cluster.errors import StickError


@given(st.sampled_from(sorted(LASTING)), st.floats(0, 1e6), st.none() | st.floats(0.001, 1e6))
def test_what_is_written_is_what_is_read(kind: str, after_s: float, for_s: float | None) -> None:
    text = f"{kind}@{after_s!r}" + ("" if for_s is None else f":{for_s!r}")
    assert parse(text) == Fault(kind, after_s, math.inf if for_s is None else for_s)


@given(st.text(max_size=20).filter(lambda text: text.strip().partition("@")[0] not in {**LASTING, **SUDDEN}))
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^fault "):
        parse(text)


@pytest.mark.parametrize("text", ["", "slow", "slow@", "slow@x", "slow@-1", "slow@nan", "slow@inf", "slow@1:0", "slow@1:", "@3"])
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        parse(text)


@pytest.mark.parametrize("kind", sorted(SUDDEN))
def test_what_has_no_end_takes_no_length(kind: str) -> None:
    assert parse(f"{kind}@3") == Fault(kind, 3.0, math.inf)
    with pytest.raises(ValueError, match=f"write {kind}@3"):
        parse(f"{kind}@3:5")


def test_faults_begin_and_end_on_the_clock() -> None:
    script = FaultScript([parse("slow@2:3"), parse("nan@1"), parse("slow@10")], opened_s=100.0)
    on = []
    for now_s in (100.5, 101.0, 102.0, 104.9, 105.0, 110.0, 1e9):
        script.play(now_s)
        on.append((script.on("slow", now_s), script.on("nan", now_s)))
    assert on == [(False, False), (False, True), (True, True), (True, True), (False, True), (True, True), (True, True)]
    assert script.next_s == math.inf


def test_the_next_fault_is_known_in_advance() -> None:
    assert FaultScript([parse("slow@7"), parse("heat@3")], opened_s=10.0).next_s == 13.0


def test_a_gone_stick_and_an_unknown_fault_are_stick_errors() -> None:
    script = FaultScript([], 0.0)
    with pytest.raises(StickError) as gone:
        script.begin("unplug", 1.0)
    assert gone.value.reason == "gone"
    with pytest.raises(StickError, match='fault "sneeze"'):
        script.begin("sneeze", 1.0)
