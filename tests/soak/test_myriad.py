"""The soak of sticks, short enough for every day."""

from __future__ import annotations

import pytest

from tests.needs import need_compiler
from tests.soak import myriad

pytestmark = pytest.mark.slow


def test_some_lives_of_four_sticks_leave_nothing_behind_and_mix_nothing() -> None:
    need_compiler()
    assert myriad.main(16) == 0
