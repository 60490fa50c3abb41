"""`ncsctl stick`: what it asks the daemon for, also in the spelling of earlier versions, which is in no help text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import describe
from ncs_cluster.cli import parser
from ncs_cluster.cli.sticks import NoStick
from ncs_cluster.client import Refused
from ncs_cluster.control_messages import ChangeStick
from ncs_cluster.testing.control import FakeControl, control


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeControl]:
    with control(tmp_path) as fake:
        yield fake


def ncsctl(place: Path, *words: str) -> int:
    given = parser.make().parse_args([*words, "--runtime-dir", str(place)])
    code: int = given.run(given)
    return code


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("stick park sim-2", ChangeStick("sim-2", "park")),
        ("stick park rear --reason loud", ChangeStick("rear", "park", "loud")),
        ("stick work sim-2", ChangeStick("sim-2", "work")),
        ("stick restart sim-2", ChangeStick("sim-2", "restart")),
        ("stick forget sim-2", ChangeStick("sim-2", "forget")),
        ("stick forget sim-2 --calibration", ChangeStick("sim-2", "forget", calibration=True)),
        ("stick rest rear --reason loud", ChangeStick("rear", "park", "loud")),
        ("forget sim-2 --calibration", ChangeStick("sim-2", "forget", calibration=True)),
    ],
)
def test_each_command_asks_for_what_it_says_and_prints_the_answer(
    line: str, asked: ChangeStick, daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ncsctl(tmp_path, *line.split()) == 0
    assert daemon.requests == [asked]
    assert capsys.readouterr().out == f"{asked.id}: {asked.verb}\n"


def test_a_refusal_is_the_daemons(daemon: FakeControl, tmp_path: Path) -> None:
    daemon.refusal = "sim-2 is absent: plug it in"
    with pytest.raises(Refused, match=r"^sim-2 is absent: plug it in$"):
        ncsctl(tmp_path, "stick", "restart", "sim-2")


def test_a_stick_is_identified_without_a_change_and_one_that_is_not_there_is_told(
    daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ncsctl(tmp_path, "stick", "identify", "sim-1") == 0
    assert capsys.readouterr().out == "sim-1 is at simulated port 1: it is not found at a USB port\n"
    with pytest.raises(NoStick, match=r"^there is no stick 'sim-9'; "):
        ncsctl(tmp_path, "stick", "identify", "sim-9")
    assert not any(isinstance(request, ChangeStick) for request in daemon.requests)


def test_spellings_of_earlier_versions_are_in_no_help_text(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for words in (["--help"], ["stick", "--help"]):
        with pytest.raises(SystemExit):
            parser.make().parse_args(words)
        shown.append(
            [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ") and line[4] != " "]
        )
    assert "stick" in shown[0]
    assert "forget" not in shown[0]
    assert {"park", "work", "restart", "identify", "forget"} <= set(shown[1])
    assert "rest" not in shown[1]
    with pytest.raises(SystemExit):
        parser.make().parse_args(["stick", "resd", "sim-1"])
    assert "rest?" not in capsys.readouterr().err


def test_spellings_of_earlier_versions_are_in_no_manual_page(tmp_path: Path) -> None:
    describe.man(tmp_path)
    page = (tmp_path / "ncsctl.1").read_text()
    assert "'ncsctl stick park'" in page
    assert "'ncsctl stick rest'" not in page
    assert "'ncsctl forget'" not in page
