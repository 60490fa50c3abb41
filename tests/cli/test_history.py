"""`ncsctl history`: what it prints and draws of the file that a daemon keeps."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncs_cluster.cli.history.command import BARS, spark
from ncs_cluster.history.reading import Past, Point
from ncs_cluster.history.series import Minute, Series
from ncs_cluster.history.store import Store
from ncs_cluster.status import Event
from tests.cli.asking import ncsctl_in

STICKS = ("sim-1", "sim-2")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Two hours: one stick warms by a degree each minute and the other stays, with an hour's gap between."""
    wall_s = time.time()
    store = Store(tmp_path, 30)
    ended = [-60.0 * minute for minute in (*range(180, 120, -1), *range(60, 0, -1))]
    minutes = [
        Minute(Series("temperature", stick), at_s, value - 0.5, value, value + 0.5)
        for number, at_s in enumerate(ended)
        for stick, value in zip(STICKS, (20.0 + number / 2, 45.0), strict=True)
    ]
    minutes += [Minute(Series("switches", ""), at_s, 2.0, 2.0, 2.0) for at_s in ended]
    events = [
        Event(1, wall_s - 5000, "info", "sim-1", "is ready"),
        Event(2, wall_s - 4000, "warning", "sim-2", "is unplugged", "left"),
    ]
    store.add(minutes, events, now_s=0.0, wall_s=wall_s)
    store.close()
    return tmp_path


def ncsctl(*words: str, code: int = 0) -> str:
    done = ncsctl_in({"PATH": "/usr/bin:/bin", "COLUMNS": "200"}, "history", *words)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_each_series_is_a_line_with_its_range_and_the_last_that_went_wrong_follows(state: Path) -> None:
    lines = ncsctl("--since", "4h", "--state-dir", str(state)).splitlines()
    rows = {tuple(line.split()[:2]): line.split()[2:5] for line in lines if line.startswith("temperature")}
    assert rows == {("temperature", "sim-1"): ["19.5", "49.8", "80.0"], ("temperature", "sim-2"): ["44.5", "45.0", "45.5"]}
    (switches,) = [line for line in lines if line.startswith("switches")]
    assert switches.split()[1] == "240"
    assert "one bar: 6 min" in lines[1]
    at = lines.index("1 warning or error")
    assert lines[at + 1].endswith("is unplugged")
    assert "sim-2" in lines[at + 1]


def test_all_events_are_shown_where_they_are_asked_for(state: Path) -> None:
    lines = ncsctl("--events", "--state-dir", str(state)).splitlines()
    assert [line.rsplit(None, 2)[-1] for line in lines[lines.index("2 events") + 1 :]] == ["ready", "unplugged"]


def test_names_and_kinds_choose(state: Path) -> None:
    text = ncsctl("--of", "sim-2", "--state-dir", str(state))
    assert "sim-1" not in text.split("warning")[0]
    assert "switches" in ncsctl("--kind", "switches", "--state-dir", str(state))
    unknown = ncsctl("--of", "sim-3", "--state-dir", str(state), code=1)
    assert unknown.startswith("ncsctl: nothing was recorded of sim-3 from ")
    assert "; recorded are " in unknown
    assert "sim-1, sim-2" in unknown
    early = ncsctl("--of", "sim-3", "--since", "2001-01-01", "--until", "2001-01-02", "--state-dir", str(state), code=1)
    assert early.endswith("; nor of anything else\n")


def test_json_has_every_point_and_event(state: Path) -> None:
    found = json.loads(ncsctl("--since", "4h", "--json", "--state-dir", str(state)))
    series = {(each["kind"], each["name"]): each for each in found["series"]}
    points = series["temperature", "sim-1"]["points"]
    assert [mean for _, _, mean, _ in points] == [20.0 + number / 2 for number in range(120)]
    assert points[60][0] - points[59][0] == 3660
    assert series["temperature", "sim-1"]["unit"] == "°C"
    assert [(each["who"], each["text"], each["name"]) for each in found["events"]] == [
        ("sim-1", "is ready", None),
        ("sim-2", "is unplugged", "left"),
    ]


def test_the_picture_has_the_lines_and_no_line_over_the_gap(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "heat.png"
    assert ncsctl("--since", "3h", "--plot", str(file), "--state-dir", str(state)).endswith(f"drawn: {file}\n")
    picture = cv2.imread(str(file))
    assert picture is not None
    # the steady stick's colour, vermilion, along the row of 45 °C, within the axes of the first panel
    near = np.abs(picture[120:480, 90:700].astype(int) - (0, 94, 213)).sum(2) < 60
    row = int(near.sum(1).argmax())
    columns = np.flatnonzero(near[row - 1 : row + 2].any(0))
    gaps = np.diff(columns)
    assert gaps.max() == pytest.approx(590 / 3, rel=0.1)
    assert (gaps > 20).sum() == 1


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["--since", "yesterday"], "'yesterday' is no moment in the past; write it as 90s", 2),
        (["--since", "1h", "--until", "2h"], "must be before --until", 2),
        (["--since", "30d", "--until", "20d", "--plot", "x.png"], "nothing to draw: nothing was recorded from", 1),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_line(state: Path, words: list[str], said: str, code: int) -> None:
    text = ncsctl(*words, "--state-dir", str(state), code=code)
    assert said in text
    assert text.count("\n") == 1


def test_without_a_file_the_place_is_named(tmp_path: Path) -> None:
    text = ncsctl("--state-dir", str(tmp_path), code=1)
    assert text == f"ncsctl: there is no history: {tmp_path}/history.db does not exist\n"


@pytest.mark.parametrize(
    ("means", "bars"),
    [
        ([10, 20, 30, 40, 50, 60, 70, 80], BARS),
        ([50.0, 50.1, 50.0], "▁▁▁"),
        ([0, 0, 0], "▁▁▁"),
        ([0, None, 7], "▁ █"),
    ],
)
def test_a_small_chart_has_a_bar_for_each_span(means: list[float | None], bars: str) -> None:
    points = [Point(60.0 * at, mean, mean, mean) for at, mean in enumerate(means) if mean is not None]
    assert spark(points, Past(0.0, 60.0 * len(means), 60.0, {})) == bars
