"""--overflow and [overflow]: what is sent, what is taken, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ncs_cluster.config import load
from ncs_cluster.errors import ConfigError
from ncs_cluster.specs import Settings

SERVER = ["--nats", "nats://pi", "--set", "nats.node=attic"]


def loaded(*argv: str) -> Settings:
    return load(["--backend", "simulated", "--no-web", *argv], {})


@pytest.mark.parametrize(("role", "sends", "takes"), [("send", 1, 0), ("receive", 0, 1), ("both", 1, 1)])
def test_a_role_makes_a_pool_that_stands_for_neighbours_an_intake_of_their_frames_or_both(
    role: str, sends: int, takes: int
) -> None:
    settings = loaded(*SERVER, "--overflow", role)
    assert [pool.name for pool in settings.all_pools] == ["simulated", *["overflow"] * sends]
    assert [intake.name for intake in settings.intakes] == ["overflow"] * takes
    assert [stick.backend for stick in settings.sticks] == ["simulated"] * 4


def test_without_the_flag_nothing_is_sent_or_taken() -> None:
    settings = loaded(*SERVER)
    assert (settings.overflow, settings.intakes) == (None, [])


def test_the_share_of_the_link_is_told_as_bytes_and_the_server_as_nats_says() -> None:
    settings = loaded(*SERVER, "--overflow", "send", "--set", "overflow.link_mbit=8", "--set", "overflow.link_share=0.5")
    assert settings.overflow is not None
    (stick,) = settings.overflow.pool.sticks
    assert (stick.id, stick.port, settings.overflow.shown) == ("net-1", "nats://pi:4222", "nats://pi:4222")
    assert stick.options["bytes_per_s"] == 500_000.0
    assert (stick.options["url"], stick.options["node"]) == ("nats://pi:4222", "attic")


def test_no_secret_is_in_the_settings_of_a_stick_or_an_intake(tmp_path: Path) -> None:
    (tmp_path / "nats.password").write_text("canary-4711\n")
    (tmp_path / "nats.password").chmod(0o600)
    (tmp_path / "ncs-cluster.toml").write_text('[nats]\nurl = "nats://pi"\nuser = "attic"\npassword_file = "nats.password"\n')
    settings = loaded("--config", str(tmp_path / "ncs-cluster.toml"), "--overflow", "both")
    assert settings.overflow is not None
    assert "canary" not in repr((settings.overflow, settings.intakes))
    assert settings.intakes[0].options["password_file"] == str(tmp_path / "nats.password")
    assert settings.overflow.pool.sticks[0].options["password_file"] == str(tmp_path / "nats.password")


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--overflow", "send"], "--overflow: hosts find each other at a NATS server; give --nats nats://HOST too"),
        ([*SERVER, "--overflow", "send", "--graph", "none"], "--overflow: there is no graph, by which hosts know what to do"),
        ([*SERVER, "--set", "overflow.quality=80"], "--set overflow.quality: role is missing; give role = "),
        ([*SERVER, "--overflow", "sideways"], "--overflow: must be"),
        (
            [*SERVER, "--overflow", "send", "--set", "pools.overflow.backend=simulated", "--set", "pools.a.backend=openvino"],
            '--set pools.overflow.backend: "overflow" is the name of the pool of --overflow',
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(argv: list[str], line: str) -> None:
    base = ["--no-web"] if "pools.overflow.backend=simulated" in argv else ["--backend", "simulated", "--no-web"]
    with pytest.raises(ConfigError) as refused:
        load([*base, *argv], {})
    assert "\n" not in str(refused.value)
    assert line in str(refused.value)


def test_neighbours_are_no_backend_of_a_pool() -> None:
    with pytest.raises(ConfigError, match="neighbours"):
        load(["--backend", "neighbours", "--no-web"], {})
