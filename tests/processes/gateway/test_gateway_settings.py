"""GET /api/config and /config: the settings in effect with their origins, and who may see them."""

from __future__ import annotations

from pathlib import Path

from ncs_cluster.control_messages import AskSettings, Setting
from ncs_cluster.testing.gateway import TOKEN, VIEWER_TOKEN, Site, site

SETTINGS = [
    Setting("sticks", 4, "--sticks"),
    Setting("threshold", 0.4, "/etc/ncs-cluster/ncs-cluster.toml:4"),
    Setting("cameras.door.source", "rtsp://***@cam/stream", "/etc/ncs-cluster/ncs-cluster.toml:7"),
    Setting("token_file", None, "default"),
]


def test_every_setting_comes_with_its_value_and_what_has_set_it(running_site: Site) -> None:
    running_site.control.settings = SETTINGS
    assert running_site.get("/api/config").json == [
        {"key": "sticks", "value": 4, "origin": "--sticks"},
        {"key": "threshold", "value": 0.4, "origin": "/etc/ncs-cluster/ncs-cluster.toml:4"},
        {"key": "cameras.door.source", "value": "rtsp://***@cam/stream", "origin": "/etc/ncs-cluster/ncs-cluster.toml:7"},
        {"key": "token_file", "value": None, "origin": "default"},
    ]
    assert b"config.js" in running_site.get("/config").body


def test_a_daemon_that_has_none_to_show_says_why(running_site: Site) -> None:
    running_site.control.refusal = "this daemon was started by a program, which gives it its settings"
    answer = running_site.get("/api/config")
    assert (answer.status, answer.json) == (409, {"error": running_site.control.refusal})
    running_site.control.close()
    assert running_site.get("/api/config").status == 503


def test_they_need_the_token_and_the_page_leads_to_the_login(tmp_path: Path) -> None:
    with site(tmp_path, token=TOKEN, viewer_token=VIEWER_TOKEN) as opened:
        opened.control.settings = SETTINGS
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for path in ("/api/config", "/config"):
            assert opened.get(path, **bearer).status == 200
            assert opened.get(path, Authorization=f"Bearer {VIEWER_TOKEN}").status in (303, 401)
            assert opened.request("GET", path, host="evil.example", **bearer).status == 421
        assert opened.get("/api/config").status == 401
        answer = opened.get("/config")
        assert (answer.status, answer.headers["location"]) == (303, "login")
        assert len([request for request in opened.control.requests if isinstance(request, AskSettings)]) == 1
