"""`ncsctl events`: what is chosen of the daemon's events, and how it is printed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ncs_cluster.cli.events import show_events
from ncs_cluster.cli.moment import NoMoment
from ncs_cluster.control_messages import AskEvents
from ncs_cluster.testing.control import FakeControl, control

AGES_S = {"a day": 86_400, "three hours": 10_800, "an hour": 3600, "a minute": 60, "just now": 0}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeControl]:
    with control(tmp_path) as fake:
        for text, age_s in AGES_S.items():
            for level in ("info", "warning", "error"):
                fake.add_event(f"{level} {text}", level=level)
                fake.events[-1] = replace(fake.events[-1], at=time.time() - age_s)
        yield fake


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.split("stick sim-1   ")[1] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("per_reply", [1, 2, 10_000])
def test_since_asks_for_older_replies_until_one_reaches_back_far_enough(
    daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str], per_reply: int
) -> None:
    daemon.per_reply = per_reply
    assert show_events(str(tmp_path), follow=False, since="2h") == 0
    expected = [f"{level} {text}" for text in ("an hour", "a minute", "just now") for level in ("info", "warning", "error")]
    assert printed(capsys) == expected
    oldest = min(request.before or len(daemon.events) for request in daemon.requests if isinstance(request, AskEvents))
    assert oldest >= 6, "it does not ask beyond what it prints"


def test_a_level_stands_for_itself_and_the_heavier_ones_and_reaches_back_to_all_that_is_kept(
    daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.per_reply = 4
    show_events(str(tmp_path), follow=False, level="warning")
    assert printed(capsys) == [f"{level} {text}" for text in AGES_S for level in ("warning", "error")]
    show_events(str(tmp_path), follow=False, level="error", since="90m")
    assert printed(capsys) == ["error an hour", "error a minute", "error just now"]


def test_json_is_one_event_on_each_line_with_all_its_fields(
    daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.add_event("two\nlines\x1b[2J", level="error")
    show_events(str(tmp_path), follow=False, json=True, since="30m", level="error")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["error a minute", "error just now", "two\nlines\x1b[2J"]
    last = daemon.events[-1]
    assert lines[-1] == {"id": 16, "at": last.at, "level": "error", "who": "stick sim-1", "text": last.text, "name": None}


def test_without_a_choice_it_prints_one_reply(daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.per_reply = 2
    show_events(str(tmp_path), follow=False)
    assert printed(capsys) == ["warning just now", "error just now"]
    assert len(daemon.requests) == 1


def test_a_daemon_that_does_not_know_before_is_not_asked_for_ever(
    daemon: FakeControl, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.per_reply = 2
    answer = daemon._answer

    def old(request: object) -> object:
        return answer(AskEvents(request.after) if isinstance(request, AskEvents) else request)  # type: ignore[arg-type]

    monkeypatch.setattr(daemon, "_answer", old)
    show_events(str(tmp_path), follow=False, level="info")
    assert printed(capsys) == ["warning just now", "error just now"]


def test_a_text_that_is_no_moment_is_refused_before_the_daemon_is_asked(tmp_path: Path) -> None:
    with pytest.raises(NoMoment, match=r"'yesterday' is no moment in the past; write it as 90s, 15m"):
        show_events(str(tmp_path), follow=False, since="yesterday")
