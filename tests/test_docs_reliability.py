"""The page of faults names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+)(?:\[[^\]]*\])?)?`", (ROOT / "docs" / "reliability.md").read_text())))


@pytest.mark.parametrize(("path", "test"), NAMED)
def test_a_test_that_repeats_a_fault_exists(path: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / path).read_text() if test else (ROOT / path).exists()
