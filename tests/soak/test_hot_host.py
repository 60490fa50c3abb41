"""The soak of a host whose sticks are too hot, short."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from tests.soak import hot_host


def record(frame: int, at: float, stick: str = "sim-1", latency_ms: float | None = 50.0) -> dict[str, object]:
    return {"frame": frame, "captured_at": at, "stick": stick, "latency_ms": latency_ms}


def test_frames_without_a_result_count_also_at_both_ends_of_a_span() -> None:
    records = [record(0, 0.9), record(2, 1.2), record(3, 1.4, "net-1"), record(5, 1.8, "net-1", None), record(8, 2.4)]
    found = hot_host.seen(records, 1.0, 2.0)
    assert (found.part, found.theirs, found.per_s, found.latencies_ms) == (3 / 7, 2 / 3, 3.0, [50.0, 50.0])
    assert hot_host.seen(records, 5.0, 6.0).part == 0.0


@pytest.mark.slow
def test_a_hot_host_loses_no_frame_while_its_link_is_cut_and_its_neighbour_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot_host, "SETTLE_S", 2.0)
    only = ["steady", "cut", "killed"]
    given = Namespace(minutes=2.5, scale=20.0, air_c=45.0, delay_ms=5.0, cluster_size=0, away_s=5.0, only=only)
    # how many frames have results is the machine's load, too
    hot_host.soak(given, tmp_path)
    said = capsys.readouterr().out
    assert "frames lost, doubled, out of order, seconds throttled: [0, 0, 0, " in said
    assert [line.split(":")[0] for line in said.splitlines() if line[0] != " "][:3] == only
    assert said.count("back after") == 2
