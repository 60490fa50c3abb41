"""Moments in the past as an operator writes them."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.cli.moment import NoMoment, earlier

NOW = datetime(2025, 3, 14, 15, 9, 26).timestamp()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2025, 3, 14, 15, 7, 56)),
        ("15m", datetime(2025, 3, 14, 14, 54, 26)),
        ("15 min", datetime(2025, 3, 14, 14, 54, 26)),
        ("2h", datetime(2025, 3, 14, 13, 9, 26)),
        ("3d", datetime(2025, 3, 11, 15, 9, 26)),
        (" 1w ", datetime(2025, 3, 7, 15, 9, 26)),
        ("15:09", datetime(2025, 3, 14, 15, 9)),
        ("15:09:27", datetime(2025, 3, 13, 15, 9, 27)),
        ("22:30", datetime(2025, 3, 13, 22, 30)),
        ("2025-01-31", datetime(2025, 1, 31)),
        ("2025-01-31 22:30", datetime(2025, 1, 31, 22, 30)),
        ("2025-01-31T22:30:05", datetime(2025, 1, 31, 22, 30, 5)),
    ],
)
def test_each_form_is_read(text: str, moment: datetime) -> None:
    assert earlier(text, NOW) == moment.timestamp()


def test_a_zone_is_respected() -> None:
    assert earlier("1970-01-01T01:00:00+01:00", NOW) == 0.0


@given(st.text(max_size=30) | st.from_regex(r"\d{1,12}[a-z]|\d\d:\d\d|\d{4}-\d\d-\d\d", fullmatch=True))
def test_any_text_is_a_moment_or_refused_in_one_line(text: str) -> None:
    said = ""
    try:
        assert isinstance(earlier(text, time.time()), float)
    except NoMoment as error:
        said = str(error)
    assert said.isprintable()
