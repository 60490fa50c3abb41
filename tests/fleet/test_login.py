"""nkeys and credentials files at a real NATS server, with the rights of docs/fleet.md, and files that hold neither."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.config import load
from ncs_cluster.errors import ConfigError
from ncs_cluster.fleet.login import Key, as_file, credentials, nkey
from tests.cli.test_fleet import ncsctl
from tests.fleet.onekey import Site, pair
from tests.nats_server import nats_server
from tests.sinks.onefleet import USERS, announced
from tests.sinks.test_fleet import trouble
from tests.waiting import until

BASE = ("--backend", "simulated", "--graph", "demo", "--runtime-dir", "/tmp/here", "--nats", "nats://pi")


def file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def rights(user: str) -> list[str]:
    """What a user of docs/fleet.md may publish to."""
    block = "\n".join(USERS).partition(f"user: {user},")[2].partition("] }")[0]
    found: list[str] = json.loads(re.sub(r"\s+", " ", block.partition("publish: ")[2].partition("]")[0] + "]"))
    return found


def test_an_nkey_has_the_rights_of_its_user_and_another_key_is_refused(tmp_path: Path) -> None:
    ours, reader, stranger = pair(), pair(), pair()
    lines = "\n".join(USERS)
    for user, key in (("pi", ours), ("reader", reader)):
        lines = re.sub(rf'user: {user}, password: "[^"]*"', f"nkey: {key.public}", lines)
    with nats_server(tmp_path, lines) as place, announced(place, seed=ours.seed) as opened:
        assert list(place.until(lambda found: "pi" in found, "the entry")) == ["pi"]
        assert opened.trouble() is None
        shown = ncsctl("--nats", place.url, "--nkey-file", str(file(tmp_path / "reader.nk", reader.seed + "\n")))
        refused = trouble(place, seed=stranger.seed)
        foreign = trouble(place, seed=ours.seed, node="cellar")
    assert [line.split()[:3] for line in shown.stdout.splitlines()[1:]] == [["pi", "0.1.0", "ok"]]
    start = f"the NATS server {place.url} cannot be used: "
    assert refused == start + "it does not accept the key"
    assert foreign.startswith(start + "permissions violation for publish to")
    assert not [text for text in (refused, foreign) if stranger.seed in text or ours.seed in text]


def test_a_credentials_file_has_the_rights_that_its_jwt_names(tmp_path: Path) -> None:
    site = Site()
    ours = credentials(site.credentials("pi", rights("pi")))
    reader = file(tmp_path / "reader.creds", site.credentials("reader", rights("reader")))
    with nats_server(tmp_path, *site.lines) as place, announced(place, seed=ours.seed, jwt=ours.jwt) as opened:

        def listed() -> list[list[str]]:
            shown = ncsctl("--nats", place.url, "--credentials-file", str(reader))
            return [line.split()[:3] for line in shown.stdout.splitlines()[1:]]

        until(lambda: listed() == [["pi", "0.1.0", "ok"]], "the entry", pause_s=0.2)
        assert opened.trouble() is None
        foreign = trouble(place, seed=ours.seed, jwt=ours.jwt, node="cellar")
        # the JWT of one user and the seed of another
        refused = trouble(place, seed=pair().seed, jwt=ours.jwt)
    assert "cannot be used: permissions violation for publish to" in foreign
    assert refused == f"the NATS server {place.url} cannot be used: it does not accept the key"


def test_settings_name_the_file_and_show_nothing_of_it(tmp_path: Path) -> None:
    key = Key(pair().seed, "aaa.bbb.ccc")
    for name, text, jwt in (("nkey_file", f"{key.seed}\n", None), ("credentials_file", as_file(key), key.jwt)):
        settings = load([*BASE, "--set", f"nats.{name}={file(tmp_path / name, text)}"], {})
        (sink,) = settings.sinks
        assert (sink.options["seed"], sink.options["jwt"], sink.options["user"]) == (key.seed, jwt, None)
        assert key.seed not in repr(settings)


@pytest.mark.parametrize("text", ["", "SUA", "SA" + "A" * 56, "canary", "-----BEGIN NATS USER JWT-----\ncanary\n"])
def test_a_file_without_a_key_is_refused_without_a_part_of_it(text: str) -> None:
    for read in (nkey, credentials):
        with pytest.raises(ValueError, match=r"^[^\n]+; make one with: n[^\n]+$") as refused:
            read(text)
        assert "canary" not in str(refused.value)
        assert "AAA" not in str(refused.value)


def test_a_credentials_file_is_read_as_it_is_written() -> None:
    key = Key(pair().seed, "eyJ0.eyJq_-.c2ln")
    assert credentials(as_file(key)) == key
    assert repr(key) == "Key(...)"


@pytest.mark.parametrize(
    ("mode", "more", "said"),
    [
        (0o644, {}, "can be read by everybody; chmod o-rwx"),
        (0o600, {"nats.user": "pi"}, "user and password belong together; set password_file too"),
        (0o600, {"nats.credentials_file": "none.creds"}, "is a second way to log in beside nkey_file; remove one"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_with_the_remedy(tmp_path: Path, mode: int, more: dict[str, Any], said: str) -> None:
    path = file(tmp_path / "pi.nk", pair().seed)
    path.chmod(mode)
    words = [word for key, value in {"nats.nkey_file": path, **more}.items() for word in ("--set", f"{key}={value}")]
    with pytest.raises(ConfigError, match=r"^[^\n]+$") as refused:
        load([*BASE, *words], {})
    assert said in str(refused.value)
