"""The report as Markdown and as a picture."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from ncs_cluster.cli.bench.plot import COLOURS, png
from ncs_cluster.cli.bench.report import Heat, Row, Spread, Sustained
from ncs_cluster.cli.bench.table import markdown
from ncs_cluster.cli.bench.text import figure
from tests.cli.bench.figures import report, row, same

SERIAL = row("serial", 1, 1.0, 0.2, 30.0)
QUEUE = row(
    "queue",
    2,
    3.0,
    0.2,
    Spread(12.5, 12.0, 14.0),
    times_serial=2.4,
    break_even=35,
    efficiency=0.973,
    load=Spread(1.5, 1.0, 2.0),
    others=Spread(0.1, 0.0, 0.2),
)


def test_the_table_has_every_figure() -> None:
    text = markdown(report([SERIAL, QUEUE]))
    assert (
        re.sub(" +", " ", re.sub("-{3,}", "-", text))
        == """\
Graph demo, backend simulated, 300 pictures, scaled down to 1280x720 where larger. Median (least..most) of 3 repeats.
A Processor, 2 cores; Python 3.11.2; Linux; ncs_cluster 0.1.0; 2026-01-02T03:04:05+00:00.

| mode | devices | start, s | 2 pictures, s | 300 pictures, s | 2 with start, s | 300 with start, s | load / others |
| - | - | - | - | - | - | - | - |
| serial | 1 | 1.00 | 0.20 | 30.0 | 1.20 | 31.0 | 0.50 / 0% |
| queue | 2 | 3.00 | 0.20 | 12.5 (12.0..14.0) | 3.20 | 15.5 (15.0..17.0) | 1.50 (1.00..2.00) / 10% |

| mode | devices | pictures/s at 300 | beside serial | scaling | p50/p90/p99, ms | ahead from | same results | load / others |
| - | - | - | - | - | - | - | - | - |
| serial | 1 | 10.0 | - | - | 10.0/20.0/30.5 | - | yes | 0.50 / 0% |
| queue | 2 | 24.0 (21.4..25.0) | 2.40x | 97% | 10.0/20.0/30.5 | 35 pictures | yes | 1.50 (1.00..2.00) / 10% |

- serial: one picture after another on one device
- queue: ncs_cluster: several requests in flight on each device, pictures read meanwhile

**Use serial.**
"""
    )
    assert len({len(line) for line in text.splitlines() if line.startswith(("| mode", "| serial"))}) == 2


def test_failures_other_results_interruption_and_load_are_told() -> None:
    names = [f"{n}.png" for n in range(7)]
    failed = Row(mode="processes", devices=2, repeats=1, error="no permission")
    rows = [SERIAL, row("threads", 1, 1.0, 0.2, 40.0, repeats=1, differing=names, times_serial=0.75, others=same(0.8)), failed]
    text = markdown(report(rows, complete=False, pictures=20, sustained_error="unplugged"))
    assert "20 pictures, in turn, scaled" in text
    assert "Median (least..most) of 1 to 3 repeats.\n" in text
    assert re.search(r"\| never +\| 7 differ +\|", text)
    assert "\nOther results than the first row: threads, 1 device: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more\n" in text
    assert "\nFailed: processes, 2 devices, after 1 good run: no permission\n" in text
    assert "\nOther programs took up to 80% of a core meanwhile" in text
    assert "\nFailed: sustained work: unplugged\n" in text
    assert "\nInterrupted: later runs are missing.\n" in text


@pytest.mark.parametrize(
    ("heats", "words"),
    [
        ([], "no device reports a temperature"),
        ([Heat(1.0, {"cpu-1": None})], "no device reports a temperature"),
        (
            [Heat(1.0, {"a": 30.0, "b": None}), Heat(2.0, {"a": 71.6, "b": 40.0}), Heat(3.0, {"a": 70.0, "b": 41.0})],
            "a 30 to 70 °C, at most 72, b 40 to 41 °C, at most 41",
        ),
    ],
)
def test_sustained_work_is_told_with_its_temperatures(heats: list[Heat], words: str) -> None:
    run = Sustained(
        mode="queue",
        devices=2,
        seconds=120.0,
        pictures=3000,
        first_per_second=40.0,
        last_per_second=30.0,
        temperatures=heats,
        load=1.0,
        others=0.1,
    )
    rates = "40.0 pictures/s in the first tenth, 30.0 in the last (-25%)"
    assert f"\nSustained, queue, 2 devices, 120 s: {rates}; {words}; load 1.00, others' CPU 10%.\n" in markdown(
        report([SERIAL], sustained=run)
    )


@pytest.mark.parametrize(("value", "text"), [(0.0, "0.00"), (0.126, "0.13"), (9.999, "10.00"), (12.34, "12.3"), (1234.5, "1234")])
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_the_picture_shows_every_mode_in_its_colour() -> None:
    picture = cv2.imdecode(np.frombuffer(png(report([SERIAL, QUEUE])), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[2] == 3
    for mode, colour in COLOURS.items():
        pixels = int((np.abs(picture.astype(int) - colour).max(axis=2) <= 3).sum())
        assert (pixels > 1000) == (mode in ("serial", "queue")), f"{mode}: {pixels} pixels"


def test_a_bar_is_as_high_as_its_value() -> None:
    """Of two bars, one has 2.4 times the pixels of the other, of equal width."""
    picture = cv2.imdecode(np.frombuffer(png(report([SERIAL, QUEUE])), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    right = picture[110:, picture.shape[1] // 2 + 60 :].astype(int)
    heights = [int(((np.abs(right - COLOURS[mode]).max(axis=2) <= 3).sum(axis=1) >= 20).sum()) for mode in ("serial", "queue")]
    assert heights[1] / heights[0] == pytest.approx(2.4, rel=0.05)
