"""`ncsctl stick` and `ncsctl forget`: what they ask the daemon for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
        ("stick rest sim-2", ChangeStick("sim-2", "rest")),
        ("stick rest rear --reason loud", ChangeStick("rear", "rest", "loud")),
        ("stick work sim-2", ChangeStick("sim-2", "work")),
        ("stick restart sim-2", ChangeStick("sim-2", "restart")),
        ("forget sim-2", ChangeStick("sim-2", "forget")),
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
