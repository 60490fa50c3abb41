"""GET /api/history: what the page draws of hours and days."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ncs_cluster.history.series import Minute, Series
from ncs_cluster.history.store import NAME, Store
from ncs_cluster.status import Event
from ncs_cluster.testing.gateway import site

LEVELS = ["info", "warning"]


def kept(folder: Path) -> float:
    """A history of 100 minutes, and the wall clock of its end."""
    wall_s = time.time()
    store = Store(folder, 30)
    minutes = [Minute(Series("temperature", "sim-1"), -60.0 * ago, 40.0, 50.0 + ago, 160.0) for ago in range(1, 101)]
    events = [Event(number, wall_s - 100.0 + number, level, "sim-1", f"no {number}") for number, level in enumerate(LEVELS * 40)]
    store.add(minutes, events, now_s=0.0, wall_s=wall_s)
    store.close()
    return wall_s


def test_the_last_seconds_come_as_series(tmp_path: Path) -> None:
    wall_s = kept(tmp_path)
    with site(tmp_path, history=tmp_path) as opened:
        found = opened.get("/api/history?seconds=3600").json
        (series,) = found["series"]
        assert (series["kind"], series["name"], series["unit"]) == ("temperature", "sim-1", "°C")
        assert found["span_s"] == 60
        assert found["until"] - found["since"] == 3600
        assert found["until"] == pytest.approx(wall_s, abs=120)
        told = [(each["level"], each["who"], each["text"]) for each in found["events"]]
        assert told == [(LEVELS[number % 2], "sim-1", f"no {number}") for number in range(1, 80, 2)]
        points = series["points"]
        assert len(points) >= 55
        assert [mean for _, _, mean, _ in points] == [150.0 - number for number in range(100 - len(points) - 1, 100)][
            -len(points) :
        ]
        whole = opened.get("/api/history?seconds=86400").json
        assert whole["span_s"] == 300
        assert sum(mean for _, _, mean, _ in whole["series"][0]["points"]) / len(whole["series"][0]["points"]) == pytest.approx(
            100, abs=3
        )


@pytest.mark.parametrize("nonsense", ["", "-60", "59", "1e3", "9" * 50, "３６００"])
def test_another_span_is_refused(tmp_path: Path, nonsense: str) -> None:
    from urllib.parse import quote

    with site(tmp_path, history=tmp_path) as opened:
        answer = opened.get(f"/api/history?seconds={quote(nonsense)}")
        assert (answer.status, answer.json["error"]) == (400, "`seconds` must be a whole number from 60 to 315360000")


def test_a_daemon_without_history_and_one_without_a_file_say_so(tmp_path: Path) -> None:
    with site(tmp_path) as opened:
        assert opened.get("/api/history").json == {
            "series": [],
            "events": [],
            "why": "the daemon keeps no history (history_days = 0)",
        }
    state, runtime = tmp_path / "state", tmp_path / "run"
    runtime.mkdir()
    with site(runtime, history=state) as opened:
        first = "nothing is recorded yet; the first figures come a minute after the daemon's start"
        assert opened.get("/api/history").json == {"series": [], "events": [], "why": first}
        state.mkdir()
        (state / NAME).write_bytes(b"no database" * 100)
        answer = opened.get("/api/history")
        assert (answer.status, answer.json["error"]) == (503, f"{state}/{NAME} cannot be read: file is not a database")
        (state / NAME).unlink()
        kept(state)
        assert len(opened.get("/api/history").json["series"]) == 1
