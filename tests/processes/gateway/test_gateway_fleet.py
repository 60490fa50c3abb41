"""GET /api/fleet and /fleet: all hosts at a real NATS server, and who may see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ncs_cluster.config import load
from ncs_cluster.fleet.entry import encoded, entry_of
from ncs_cluster.testing.gateway import TOKEN, Site, site
from tests.nats_server import NatsServer, nats_server
from tests.sinks.onebroker import ONE
from tests.sinks.onefleet import PASSWORD, USERS, announced, in_fleet
from tests.waiting import until


def options(place: NatsServer, **more: Any) -> dict[str, Any]:
    return {"url": place.url, "user": None, "password": None, "ca_file": None, "seed": None, "jwt": None, **more}


def test_hosts_are_listed_as_ncsctl_has_them_again_after_the_server_was_away(tmp_path: Path) -> None:
    with nats_server(tmp_path) as place, site(tmp_path, fleet=options(place)) as opened:
        assert opened.get("/api/fleet").json == {"hosts": [], "left_out": 0}
        assert b'href="fleet">hosts' in opened.get("/").body
        with announced(place, page="http://pi:8080/"):
            place.until(lambda found: found.get("pi", {}).get("drained") is False, "the entry")
            until(lambda: opened.get("/api/fleet").json.get("hosts"), "the host")
            (host,) = opened.get("/api/fleet").json["hosts"]
            assert (host["node"], host["gone"], host["drained"], host["unreadable"]) == ("pi", False, False, None)
            assert host["entry"] == json.loads(encoded(entry_of(in_fleet(ONE), "pi", "http://pi:8080/")))
            assert b"fleet.js" in opened.get("/fleet").body
            place.kill()
            until(lambda: opened.get("/api/fleet").status == 503, "that the server is away")
            assert opened.get("/api/fleet").json["error"].startswith(f"the NATS server {place.url} cannot be used: ")
            place.start()
            until(lambda: opened.get("/api/fleet").json.get("hosts"), "the host, again")


def test_a_user_without_a_readers_rights_is_told_so_without_the_password(tmp_path: Path) -> None:
    for name in ("pi", "reader"):
        (tmp_path / name).mkdir()
    with nats_server(tmp_path, *USERS) as place:
        with (
            announced(place, user="pi", password=PASSWORD),
            site(tmp_path / "pi", fleet=options(place, user="pi", password=PASSWORD)) as opened,
        ):
            place.until(lambda found: "pi" in found, "the entry")
            answer = opened.get("/api/fleet")
            assert (answer.status, "permissions violation" in answer.json["error"]) == (503, True)
            assert PASSWORD.encode() not in answer.body
        with site(tmp_path / "reader", fleet=options(place, user="reader", password=PASSWORD)) as opened:
            assert opened.get("/api/fleet").status == 200


def test_without_a_server_there_is_no_such_page(running_site: Site) -> None:
    assert [running_site.get(path).status for path in ("/fleet", "/api/fleet")] == [404, 404]
    assert b'href="fleet" hidden' in running_site.get("/").body


def test_the_page_and_the_hosts_need_the_token(tmp_path: Path) -> None:
    nowhere = {"url": "nats://127.0.0.1:1", "user": None, "password": None, "ca_file": None, "seed": None, "jwt": None}
    with site(tmp_path, token=TOKEN, fleet=nowhere) as opened:
        assert opened.get("/api/fleet").status == 401
        assert (opened.get("/fleet").status, opened.get("/fleet").headers["location"]) == (303, "login")
        assert opened.get("/api/fleet", authorization=f"Bearer {TOKEN}").status == 503


def test_the_settings_of_the_server_reach_the_page_and_show_no_password(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    words = ["--backend", "simulated", "--graph", "demo", "--nats", "nats://pi", "--set", "nats.user=pi"]
    found = load([*words, "--set", f"nats.password_file={secret}"], {}).gateway
    assert found is not None
    assert (found.fleet["url"], found.fleet["password"]) == ("nats://pi:4222", PASSWORD)
    assert PASSWORD not in repr(found)
    without = load(words[:4], {}).gateway
    assert without is not None
    assert without.fleet == {}
