"""The soak of everybody who uses the sticks at once, short. Only content counts: rates are for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.needs import need_module
from tests.soak import programs

pytestmark = pytest.mark.slow


def test_each_program_gets_the_answers_of_its_own_pictures_whoever_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need_module("zmq")
    monkeypatch.setattr(programs, "LIVE", 0.0)
    assert programs.soak(0.4, 5, tmp_path) == 0
    said = capsys.readouterr().out
    assert said.count("wrong 0") == 5, said
