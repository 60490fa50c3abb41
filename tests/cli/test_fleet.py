"""`ncsctl fleet status` at a real NATS server, with entries of other versions and of nobody."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from msgspec.structs import replace

import ncs_cluster
from ncs_cluster.cli import show_fleet
from ncs_cluster.fleet.bucket import Host, Hosts
from ncs_cluster.fleet.entry import Entry, Other, encoded, entry_of
from tests.cli import asking
from tests.nats_server import nats_server
from tests.sinks.onebroker import ONE
from tests.sinks.onefleet import PASSWORD, USERS, announced, in_fleet
from tests.sinks.test_mqtt_access import certificate
from tests.waiting import until


def ncsctl(*words: str) -> CompletedProcess[str]:
    return asking.ncsctl("fleet", "status", *words)


def entry(node: str, **more: object) -> Entry:
    return replace(entry_of(ONE, node, None), version=ncs_cluster.__version__, **more)


def text(lines: show_fleet.Lines) -> list[str]:
    return ["".join(cell.text for cell in line).rstrip() for line in lines]


@pytest.mark.slow
def test_hosts_are_listed_with_those_of_another_version_and_what_is_no_entry(tmp_path: Path) -> None:
    with nats_server(tmp_path) as place, announced(place):
        place.until(lambda found: found.get("pi", {}).get("drained") is False, "the entry")
        odd = {
            "attic": encoded(
                entry(
                    "attic", headroom_fps=-3.5, sticks_present=4, sticks_usable=3, state="degraded", reasons=["a\x1b[2J is absent"]
                )
            ),
            "cellar": encoded(entry("cellar", protocol=2)),
            "odd": b'{"node": "odd\\u001b[31m"}',
            "older": encoded(entry("older")).replace(ncs_cluster.__version__.encode(), b"0.0.9"),
        }
        done = []
        for form in ([], ["--json"]):
            # an entry is gone after 15 s
            for key, payload in odd.items():
                place.put(key, payload)
            done.append(ncsctl("--nats", place.url, *form))
        shown, document = done
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines()}
    version = ncs_cluster.__version__
    assert (shown.returncode, shown.stderr) == (1, "")
    assert rows["HOST"] == ["HOST", "VERSION", "STATE", "STICKS", "HOTTEST", "RATE", "HEADROOM", "AGE"]
    assert rows["pi"][:8] == ["pi", "0.1.0", "ok", "1/1", "40.0", "°C", "20.0/s", "-"]
    assert rows["attic"][1:8] == [version, "degraded", "3/4", "40.0", "°C", "20.0/s", "-3.5/s"]
    assert rows["cellar"][:3] == ["cellar", version, "unreadable"]
    assert rows["odd"][:3] == ["odd", "-", "unreadable"]
    remarks = shown.stdout.splitlines()[6:]
    assert remarks == [
        "attic: a [2J is absent",
        "cellar: speaks protocol 2 of the fleet, and this ncsctl 1; use the newer ncsctl",
        "odd: what stands under its name is no entry of ncs_cluster",
        f"older: version 0.0.9, and this ncsctl is {version}",
    ]
    assert "\x1b" not in shown.stdout + document.stdout
    hosts = {each["node"]: each for each in json.loads(document.stdout)["hosts"]}
    assert hosts["pi"]["entry"] == json.loads(encoded(entry_of(in_fleet(ONE), "pi", None)))
    assert hosts["cellar"]["unreadable"] == {"protocol": 2, "version": version}


@pytest.mark.slow
def test_a_reader_with_the_rights_of_the_page_sees_the_hosts_and_a_wrong_password_is_one_line(tmp_path: Path) -> None:
    right, wrong, settings = tmp_path / "right", tmp_path / "wrong", tmp_path / "ncs-cluster.toml"
    right.write_text(PASSWORD)
    wrong.write_text("canary-4712")
    for path in (right, wrong):
        path.chmod(0o600)
    with nats_server(tmp_path, *USERS) as place, announced(place, user="pi", password=PASSWORD):
        place.until(lambda found: "pi" in found, "the entry")
        settings.write_text(f'[nats]\nurl = "{place.url}"\nuser = "reader"\npassword_file = "right"\n')
        good = ncsctl("--nats", place.url, "--user", "reader", "--password-file", str(right))
        configured = ncsctl("--config", str(settings))
        bad = ncsctl("--nats", place.url, "--user", "reader", "--password-file", str(wrong))
    assert [(each.returncode, each.stdout.splitlines()[1].split()[:3]) for each in (good, configured)] == [
        (0, ["pi", "0.1.0", "ok"])
    ] * 2
    refused = f"ncsctl: the NATS server {place.url} cannot be used: it does not accept the user and password\n"
    assert (bad.returncode, bad.stdout, bad.stderr) == (1, "", refused)


@pytest.mark.slow
def test_what_is_missing_is_told_in_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    said = [
        ncsctl("--config", str(empty)),
        ncsctl("--nats", "nats://u:canary@pi"),
        ncsctl("--nats", "nats://pi", "--user", "reader"),
        ncsctl("--nats", "nats://127.0.0.1:1"),
    ]
    assert [each.stderr for each in said] == [
        "ncsctl: no NATS server is named; give --nats nats://HOST, or set url in [nats] (docs/fleet.md)\n",
        "ncsctl: --nats must be nats://HOST[:PORT] or tls://HOST[:PORT]; user and password stand in [nats]\n",
        "ncsctl: --user and --password-file belong together; give both\n",
        "ncsctl: the NATS server nats://127.0.0.1:1 cannot be used: Connection refused\n",
    ]


def test_an_old_entry_is_gone_and_its_reasons_are_not_repeated() -> None:
    old = Host("pi", 12.0, entry("pi", reasons=["sim-1 is hot"]))
    lines = show_fleet.hosts(Hosts([old, Host("new", 1.0, Other())], 3))
    assert text(lines)[1].split()[2] == "gone"
    assert text(lines)[1].split()[-2:] == ["12", "s"]
    assert text(lines)[3:] == ["new: what stands under its name is no entry of ncs_cluster", "3 more hosts are left out"]
    assert text(show_fleet.hosts(Hosts([], 0))) == ["no host is announced at this server"]


@pytest.mark.slow
def test_a_server_with_tls_is_used_by_daemon_and_reader_and_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with nats_server(tmp_path, f'tls {{ cert_file: "{cert}", key_file: "{key}" }}') as place:
        place.url = place.url.replace("nats://", "tls://")
        with announced(place, ca_file=str(cert)) as opened:
            with announced(place, node="other") as stranger:
                until(lambda: stranger.trouble(), "the refusal")
            shown = ncsctl("--nats", place.url, "--ca-file", str(cert))
        assert opened.trouble() is None
    assert [line.split()[:3] for line in shown.stdout.splitlines()[1:]] == [["pi", "0.1.0", "ok"]]
    assert str(stranger.trouble()).startswith(f"the NATS server {place.url} cannot be used: its certificate is not accepted: self")
