"""ncsctl reload: what has changed in one line, or why nothing has."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from ncs_cluster.cli import parser
from ncs_cluster.client import Refused
from ncs_cluster.control_messages import SETTINGS_REFUSED, AskReload, Reloaded
from ncs_cluster.errors import NotRunning
from ncs_cluster.testing.control import control


def reload(runtime_dir: Path) -> int:
    given: argparse.Namespace = parser.make().parse_args(["--runtime-dir", str(runtime_dir), "reload"])
    code: int = given.run(given)
    return code


def test_what_has_changed_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with control(tmp_path) as daemon:
        daemon.reloaded = Reloaded(["camera door added", "threshold 0.5 -> 0.4"], ["--fps has no effect"])
        assert reload(tmp_path) == 0
        assert capsys.readouterr() == ("camera door added; threshold 0.5 -> 0.4; nothing else\n", "ncsctl: --fps has no effect\n")
        daemon.reloaded = Reloaded([])
        assert reload(tmp_path) == 0
        assert capsys.readouterr() == ("no difference\n", "")
        assert daemon.requests == [AskReload(), AskReload()]


def test_settings_that_are_refused_are_exit_code_2_and_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with control(tmp_path) as daemon:
        daemon.refusal, daemon.code = "FILE:3: sticks: must be\x1b[2J more", SETTINGS_REFUSED
        assert reload(tmp_path) == 2
        assert capsys.readouterr() == ("", "ncsctl: the new settings are not applied: FILE:3: sticks: must be [2J more\n")


def test_a_user_who_may_not_and_a_daemon_that_is_not_there_are_told_as_ever(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        reload(tmp_path)
    with control(tmp_path) as daemon:
        daemon.refusal = "only root and the daemon's own user may give it new settings"
        with pytest.raises(Refused, match=r"^only root and the daemon's own user may give it new settings$"):
            reload(tmp_path)
