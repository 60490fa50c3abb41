"""What the gateway answers, over real HTTP."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ncs_cluster.control_messages import ChangeStick
from ncs_cluster.messages import AskFault, AskSwitch
from ncs_cluster.status import LoadStatus
from ncs_cluster.testing.control import some_status
from ncs_cluster.testing.gateway import Site, site


def server_sent(site: Site, wanted: set[str]) -> dict[str, Any]:
    """The first event of each kind wanted from /api/live."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.request("GET", "/api/live")
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    seen: dict[str, Any] = {}
    while wanted - set(seen):
        line = response.readline().decode().strip()
        if line.startswith("event: "):
            seen.setdefault(line[7:], json.loads(response.readline().decode().removeprefix("data: ")))
    response.close()
    connection.close()
    return seen


def test_the_status_is_the_daemons_own_document(running_site: Site) -> None:
    assert running_site.get("/api/status").body == msgspec.json.encode(running_site.control.status)


def test_fields_of_a_newer_daemon_are_passed_on(running_site: Site) -> None:
    running_site.control.document = {**msgspec.to_builtins(running_site.control.status), "jobs": []}
    assert running_site.get("/api/status").body == msgspec.json.encode(running_site.control.document)


def test_a_daemon_whose_status_lacks_a_field_is_told_of_and_the_page_lives(running_site: Site) -> None:
    running_site.control.document = {**msgspec.to_builtins(running_site.control.status)}
    del running_site.control.document["machine"]
    until_s = time.monotonic() + 60
    while (answer := running_site.get("/api/status")).status == 200:
        assert time.monotonic() < until_s, "the page still shows the old status"
    assert answer.status == 503
    assert "ncs-clusterd is of another version: Object missing required field `machine`" in answer.json["error"]
    assert "ncs_cluster_up 0.0" in running_site.get("/metrics").body.decode()


def test_events_after_an_id_are_the_newer_ones(running_site: Site) -> None:
    for text in ("one", "two", "three"):
        running_site.control.add_event(text)
    assert [event["text"] for event in running_site.get("/api/events?after=1").json] == ["two", "three"]
    for nonsense in ("many", "-1", "9" * 5000):
        assert running_site.get(f"/api/events?after={nonsense}").status == 400


def test_ready_and_alive_are_different_things(running_site: Site) -> None:
    healthy = some_status()
    daemon = replace(healthy.daemon, ready=False, state="down", reasons=["every stick is too hot", "camera cam0 is away"])
    running_site.control.status = replace(healthy, daemon=daemon)
    assert "retry-after" not in running_site.get("/readyz").headers
    load = LoadStatus(30.0, 0.0, overloaded=True, limited_by="heat", retry_after_s=42)
    running_site.control.status = replace(healthy, daemon=daemon, load=load)
    ready = running_site.get("/readyz")
    assert (ready.status, ready.headers["retry-after"]) == (503, "42")
    assert ready.body == b"every stick is too hot\ncamera cam0 is away\n"
    assert running_site.get("/healthz").status == 200


def test_live_begins_with_what_was_and_goes_on_with_what_is(running_site: Site) -> None:
    running_site.control.add_event("a stick was found")
    seen = server_sent(running_site, {"hello", "status"})
    assert [event["text"] for event in seen["hello"]["events"]] == ["a stick was found"]
    assert set(seen["hello"]["history"]) == {"sim-1", "sim-2", "sim-3", "sim-4"}
    assert seen["hello"]["history"]["sim-1"][-1][1:] == [45.0, True]
    assert seen["status"]["clusters"]["active"] == ["sim-1", "sim-2"]


def test_what_the_daemon_refuses_is_said_in_its_words(running_site: Site) -> None:
    assert running_site.post("/api/switch").json == {"text": "switched to sim-3, sim-4"}
    running_site.control.refusal = "there is only one cluster"
    answer = running_site.post("/api/switch")
    assert (answer.status, answer.json) == (409, {"error": "there is only one cluster"})


def test_trouble_reaches_the_daemon_with_its_stick(running_site: Site) -> None:
    assert running_site.post("/api/trouble", {"kind": "unplug", "stick": "sim-2"}).status == 200
    assert AskFault("unplug", "sim-2") in running_site.control.requests  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [{}, {"kind": "segfault"}, {"kind": ["heat"]}, {"kind": "heat", "stick": 3}, [], "x"])
def test_trouble_nobody_knows_is_refused(running_site: Site, body: Any) -> None:
    assert running_site.request("POST", "/api/trouble", json.dumps(body), Content_Type="application/json").status == 400
    assert not any(isinstance(asked, AskFault) for asked in running_site.control.requests)


def test_half_a_surrogate_pair_is_refused(running_site: Site) -> None:
    body = '{"kind": "unplug", "stick": "\\ud800"}'
    assert running_site.request("POST", "/api/trouble", body, Content_Type="application/json").status == 400


def test_with_real_sticks_there_is_no_way_to_make_trouble(tmp_path: Path) -> None:
    with site(tmp_path, simulated=False) as opened:
        assert opened.post("/api/trouble", {"kind": "heat"}).status == 404


def test_looking_never_changes_anything(running_site: Site) -> None:
    for path in ("/api/switch", "/api/trouble", "/api/stick"):
        assert running_site.get(path).status == 405
    assert not any(isinstance(asked, (AskSwitch, AskFault, ChangeStick)) for asked in running_site.control.requests)


def test_the_page_is_whole_and_comes_from_here_alone(running_site: Site) -> None:
    page = running_site.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert page.headers["x-content-type-options"] == "nosniff"
    scripts = ("app.js", "cameras.js", "cards.js", "dom.js", "line.js", "ring.js", "stick_actions.js", "twins.js")
    for name in (*scripts, "style.css", "icon.svg"):
        answer = running_site.get(f"/static/{name}")
        assert answer.status == 200
        assert running_site.get(f"/static/{name}", If_None_Match=answer.headers["etag"]).status == 304
        outside = answer.body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"http:" not in outside
        assert b"https:" not in outside


@pytest.mark.parametrize(
    "path",
    [
        "/static/../web.py",
        "/static/%2e%2e/web.py",
        "/static/..%2fweb.py",
        "/static/",
        "/cameras/../../etc/passwd.jpg",
        "/cameras/%00.jpg",
    ],
)
def test_a_name_is_looked_up_and_never_a_path(running_site: Site, path: str) -> None:
    assert running_site.get(path).status == 404


def test_head_of_a_stream_ends(running_site: Site) -> None:
    for path in ("/api/live", "/cameras/cam0.mjpg"):
        assert running_site.request("HEAD", path).status == 200
