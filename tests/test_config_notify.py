"""`[notify]`: what becomes of it, and what is refused."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.config import load
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import SinkSpec

BASE = ("--backend", "simulated", "--graph", "demo", "--runtime-dir", "/tmp/here")
URL = "https://hooks.example.org/services/T1/canary-secret"


def sinks(*sets: str, **more: Any) -> list[SinkSpec]:
    return load([*BASE, *(word for each in sets for word in ("--set", each))], {}, **more).sinks


def refusal(*sets: str) -> str:
    with pytest.raises(ConfigError, match=r"^[^\n]+$") as refused:
        sinks(*sets)
    return str(refused.value)


def test_command_and_webhook_make_one_sink_that_gets_no_records_and_whose_secret_is_not_shown() -> None:
    (found,) = sinks('notify.command=["true", "-s", "$x; y"]', f"notify.webhook={URL}", "notify.hold_off_s=5")
    command = next(path for path in ("/usr/bin/true", "/bin/true") if Path(path).exists())
    assert (found.kind, found.name, found.records) == ("notify", "notify", False)
    assert found.options == {
        "command": [command, "-s", "$x; y"],
        "webhook": URL,
        "hold_off_s": 5.0,
        "timeout_s": 10.0,
        "host": socket.gethostname().partition(".")[0],
        "runtime_dir": "/tmp/here",
    }
    assert "canary" not in found.shown + repr(found)
    assert found.shown == "command true, https://hooks.example.org/***"


def test_without_the_table_and_in_a_job_there_is_no_sink_of_notifications() -> None:
    assert sinks() == []
    assert sinks('notify.command=["true"]', job=True) == []


def test_a_secret_address_stands_in_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text(URL + "\n")
    file.chmod(0o600)
    assert sinks(f"notify.webhook_file={file}")[0].options["webhook"] == URL
    file.write_text("canary-secret")
    said = refusal(f"notify.webhook_file={file}")
    assert said == "--set notify.webhook_file: must be an address that begins with https:// or http://"
    file.chmod(0o644)
    assert "can be read by everybody" in refusal(f"notify.webhook_file={file}")


NO_PROGRAM = "is no program that can be run; give its whole path"


@pytest.mark.parametrize(
    ("sets", "key", "because"),
    [
        (["notify.hold_off_s=5"], "hold_off_s", "command and webhook are missing; give one of them"),
        (["notify.webhook=hooks.example.org/x"], "webhook", "must be an address that begins with https:// or http://"),
        (['notify.command=["no-such-program"]'], "command", f"'no-such-program' {NO_PROGRAM}"),
        (['notify.command=["/etc/passwd"]'], "command", f"'/etc/passwd' {NO_PROGRAM}"),
        ([f"notify.webhook={URL}", "notify.webhook_file=x"], "webhook_file", "webhook names an address too; leave one of them out"),
    ],
)
def test_wrong_settings_of_notify_are_refused_in_one_line(sets: list[str], key: str, because: str) -> None:
    assert refusal(*sets) == f"--set notify.{key}: {because}"
