"""The sink that announces a daemon, before a real NATS server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.fleet.entry import encoded, entry_of
from ncs_cluster.sinks.fleet import Options
from tests.nats_server import NatsServer, nats_server
from tests.sinks.onebroker import ONE, Told
from tests.sinks.onefleet import PASSWORD, USERS, announced, in_fleet
from tests.sinks.onestatus import camera, status, stick
from tests.waiting import until


def trouble(place: NatsServer, **options: Any) -> str:
    with announced(place, **options) as opened:
        until(lambda: opened.trouble(), "the refusal")
        return str(opened.trouble())


def test_another_client_finds_the_entry_sees_what_changes_and_nothing_after_a_stop(tmp_path: Path) -> None:
    with nats_server(tmp_path) as place:
        daemon = Told()
        with announced(place, daemon, page="http://pi:8080/") as opened:
            found = place.until(lambda found: found.get("pi", {}).get("drained") is False, "the entry")
            assert found == {"pi": json.loads(encoded(entry_of(in_fleet(ONE), "pi", "http://pi:8080/")))}
            daemon.set(status([stick("sim-1", state="quarantined")], [camera("door")], reasons=["sim-1 hangs"]))
            found = place.until(lambda found: found["pi"]["state"] == "degraded", "the change")
            assert (found["pi"]["reasons"], found["pi"]["sticks"][0]["state"]) == (["sim-1 hangs"], "quarantined")
            assert opened.trouble() is None
        assert place.entries() == {}


def test_the_entry_is_there_again_after_a_restart_of_the_server(tmp_path: Path) -> None:
    with nats_server(tmp_path) as place, announced(place) as opened:
        place.until(lambda found: "pi" in found, "the entry")
        place.kill()
        until(lambda: opened.trouble(), "that the server is away")
        assert str(opened.trouble()).startswith(f"the NATS server {place.url} cannot be used: ")
        place.start()
        place.until(lambda found: "pi" in found, "the entry")
        until(lambda: opened.trouble() is None, "that all is well")


@pytest.mark.slow
def test_a_server_that_hangs_is_told_of_and_used_again_later(tmp_path: Path) -> None:
    with nats_server(tmp_path) as place, announced(place) as opened:
        place.until(lambda found: "pi" in found, "the entry")
        place.freeze()
        until(lambda: opened.trouble(), "that nothing is answered")
        assert opened.trouble() == f"the NATS server {place.url} cannot be used: it does not answer"
        place.thaw()
        until(lambda: opened.trouble() is None, "that all is well")


def test_each_refusal_is_one_line_without_the_password(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    with nats_server(tmp_path, *USERS) as place:
        wrong = trouble(place, user="pi", password="canary-4712")
        none = trouble(place)
        foreign = trouble(place, user="pi", password=PASSWORD, node="cellar")
        start = f"the NATS server {place.url} cannot be used: "
    assert wrong == none == start + "it does not accept the user and password"
    assert foreign.startswith(start + "permissions violation for publish to")
    with nats_server(bare, jetstream=False) as place:
        assert trouble(place).endswith("cannot be used: it has no JetStream; start nats-server with --jetstream")
    assert not [text for text in (wrong, none, foreign) if "canary" in text or "\n" in text]


def test_the_rights_of_the_page_suffice_for_making_the_bucket_the_entry_and_its_end(tmp_path: Path) -> None:
    with nats_server(tmp_path, *USERS) as place:
        with announced(place, user="pi", password=PASSWORD) as opened:
            assert list(place.until(lambda found: "pi" in found, "the entry")) == ["pi"]
            assert opened.trouble() is None
        assert place.entries() == {}


@pytest.mark.slow
def test_two_daemons_of_one_node_are_both_told_and_the_one_that_stays_keeps_its_entry(tmp_path: Path) -> None:
    said = "another daemon at {} has the node pi too; give one of them another by [nats] node"
    with nats_server(tmp_path) as place, announced(place, page="http://a/") as first:
        place.until(lambda found: "pi" in found, "the entry")
        with announced(place, page="http://b/") as second:
            until(lambda: first.trouble() == second.trouble() == said.format(place.url), "that there are two")
        place.until(lambda found: found.get("pi", {}).get("page") == "http://a/", "the entry of the one that stays")
        until(lambda: first.trouble() is None, "that it is alone again")


@pytest.mark.slow
def test_a_daemon_whose_status_cannot_be_had_is_told_of_no_longer(tmp_path: Path) -> None:
    with nats_server(tmp_path) as place:
        daemon = Told()
        with announced(place, daemon):
            place.until(lambda found: "pi" in found, "the entry")
            daemon.document = None
            place.until(lambda found: not found, "that the entry is gone by its age")


@pytest.mark.parametrize("options", [{"url": "nats://u:canary@pi"}, {"url": "nats://pi", "node": "a.>"}, {"url": "pi"}])
def test_other_options_are_refused_without_a_secret(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        Options(**options)
    assert "canary" not in str(refused.value)
