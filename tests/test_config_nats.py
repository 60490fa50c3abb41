"""`--nats` and `[nats]`: what becomes of them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.config import load
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import SinkSpec

BASE = ("--backend", "simulated", "--graph", "demo", "--runtime-dir", "/tmp/here")


def sinks(*flags: str, **more: Any) -> list[SinkSpec]:
    return load([*BASE, *flags], {}, **more).sinks


def refusal(*flags: str) -> str:
    with pytest.raises(ConfigError, match=r"^[^\n]+$") as refused:
        sinks(*flags)
    return str(refused.value)


def test_a_server_is_told_of_the_daemon_under_the_name_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "attic.example")
    (found,) = sinks("--nats", "nats://pi", "--listen", "127.0.0.1:8123")
    assert (found.kind, found.name, found.shown) == ("fleet", "fleet", "nats://pi:4222")
    assert found.options == {
        "url": "nats://pi:4222",
        "node": "attic",
        "user": None,
        "password": None,
        "ca_file": None,
        "seed": None,
        "jwt": None,
        "page": "http://127.0.0.1:8123/",
        "runtime_dir": "/tmp/here",
    }


def test_nobody_is_told_without_a_server_or_of_a_job() -> None:
    assert sinks() == []
    assert sinks("--nats", "nats://pi", job=True) == []


def test_the_password_is_read_from_its_file_and_is_in_no_text(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary-4711\n")
    secret.chmod(0o600)
    flags = ("--nats", "tls://pi:4333", "--set", "nats.user=attic", "--set", f"nats.password_file={secret}")
    (found,) = sinks(*flags)
    assert (found.options["user"], found.options["password"], found.options["url"]) == ("attic", "canary-4711", "tls://pi:4333")
    assert "canary" not in repr(found)
    secret.chmod(0o644)
    assert refusal(*flags).endswith(f"{secret} can be read by everybody; chmod o-rwx {secret}")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--nats", "pi"), "must be nats://HOST[:PORT] or tls://HOST[:PORT]"),
        (("--nats", "nats://u:canary@pi"), "user and password stand in [nats]"),
        (("--set", "nats.node=pi"), 'is missing; give the server\'s address: url = "nats://HOST", or --nats nats://HOST'),
        (("--nats", "nats://pi", "--set", "nats.node=a.b"), "may hold letters, digits, _ and - only, 64 at most"),
        (("--nats", "nats://pi", "--set", "nats.user=u"), "user and password belong together; set password_file too"),
        (("--nats", "nats://pi", "--set", "nats.ca_file=/etc/hostname"), "is for TLS; begin the url with tls://"),
        (("--nats", "tls://pi", "--set", "nats.ca_file=/dev/null"), "/dev/null holds no certificate in PEM form"),
        (("--nats", "tls://pi", "--set", "nats.ca_file=/none"), "/none cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(flags: tuple[str, ...], said: str) -> None:
    line = refusal(*flags)
    assert said in line
    assert "canary" not in line
