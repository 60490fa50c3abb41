"""The pages of faults and of security name tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

TEXT = "".join((ROOT / "docs" / name).read_text() for name in ("reliability.md", "security.md"))
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+)(?:\[[^\]]*\])?)?`", TEXT)))


@pytest.mark.parametrize(("path", "test"), NAMED)
def test_a_test_that_is_named_exists(path: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / path).read_text() if test else (ROOT / path).exists()
