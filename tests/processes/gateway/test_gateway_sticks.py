"""POST /api/stick: what the page asks of one stick, and who may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.control_messages import ChangeStick
from ncs_cluster.testing.gateway import TOKEN, VIEWER_TOKEN, Site, site


def asked(page: Site) -> list[ChangeStick]:
    return [request for request in page.control.requests if isinstance(request, ChangeStick)]


@pytest.mark.parametrize("verb", ["park", "work", "restart", "forget"])
def test_a_request_reaches_the_daemon_and_its_answer_the_page(running_site: Site, verb: str) -> None:
    answer = running_site.post("/api/stick", {"stick": "sim-2", "verb": verb, "why": "too loud"})
    assert (answer.status, answer.json) == (200, {"text": f"sim-2: {verb}"})
    assert asked(running_site) == [ChangeStick("sim-2", verb, "too loud")]
    running_site.control.refusal = "there is no stick 'sim-2'"
    answer = running_site.post("/api/stick", {"stick": "sim-2", "verb": verb})
    assert (answer.status, answer.json) == (409, {"error": "there is no stick 'sim-2'"})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"stick": "sim-1"},
        {"verb": "park"},
        {"stick": "sim-1", "verb": "burn"},
        {"stick": 1, "verb": "park"},
        {"stick": "sim-1", "verb": "park", "why": ["x"]},
        [],
        "x",
    ],
)
def test_a_malformed_request_is_refused(running_site: Site, body: Any) -> None:
    assert running_site.request("POST", "/api/stick", json.dumps(body), Content_Type="application/json").status == 400
    assert asked(running_site) == []


def test_it_needs_the_token_and_comes_from_this_page_or_a_program_and_as_json(tmp_path: Path) -> None:
    body = json.dumps({"stick": "sim-1", "verb": "park"})
    with site(tmp_path, token=TOKEN, viewer_token=VIEWER_TOKEN) as page:
        bearer, kind = {"Authorization": f"Bearer {TOKEN}"}, {"Content_Type": "application/json"}
        refused = {
            401: [kind, {**kind, "Authorization": f"Bearer {VIEWER_TOKEN}"}],
            403: [{**kind, **bearer, "Origin": "http://evil.example"}, {**kind, **bearer, "Sec_Fetch_Site": "cross-site"}],
            415: [bearer, {**bearer, "Content_Type": "text/plain"}],
        }
        for status, headers in refused.items():
            for each in headers:
                assert page.request("POST", "/api/stick", body, **each).status == status
        assert page.request("POST", "/api/stick", body, host="evil.example", **kind, **bearer).status == 421
        assert asked(page) == []
        assert page.request("POST", "/api/stick", body, **kind, **bearer).status == 200
        assert asked(page) == [ChangeStick("sim-1", "park")]
