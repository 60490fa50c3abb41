"""The gateway behind a real nginx that has the lines of docs/gateway.md, at the root and below a path."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from ncs_cluster.messages import AskSwitch
from ncs_cluster.testing.gateway import TOKEN, Site, site
from tests.nginx import locations, nginx

NAME = "cams.example.com"
FORM = "application/x-www-form-urlencoded"


class Visitor:
    """A browser's requests: they name the proxy, and where they come from."""

    def __init__(self, opened: Site, port: int, root: str, closing: contextlib.ExitStack) -> None:
        self.site, self.root, self._port, self._closing = opened, root, port, closing

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> http.client.HTTPResponse:
        """`path`: relative to the page's address."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        sent = {"Host": NAME, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request(method, urljoin(self.root, path), body, sent)
        self._closing.callback(connection.close)
        return self._closing.enter_context(connection.getresponse())

    def post(self, path: str, body: str, kind: str, **headers: str) -> http.client.HTTPResponse:
        origin = {"Origin": f"https://{NAME}", "Sec_Fetch_Site": "same-origin", "Content_Type": kind}
        return self.ask("POST", path, body, **{**origin, **headers})


@pytest.fixture(params=[0, 1], ids=["root", "path"])
def visitor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Visitor]:
    location = locations()[request.param]
    root = location.split()[1]
    (folder := tmp_path / "nginx").mkdir()
    with site(tmp_path, token=TOKEN, allowed_hosts=(NAME,)) as opened, nginx(folder, location, opened.port) as port:
        opened.live()
        with contextlib.ExitStack() as closing:
            yield Visitor(opened, port, root, closing)


def test_a_person_logs_in_and_switches(visitor: Visitor) -> None:
    page = visitor.ask("GET", "./")
    assert urljoin(visitor.root, page.headers["location"]) == f"{visitor.root}login"
    answer = visitor.post("login", f"token={TOKEN}", FORM)
    assert answer.status == 303
    assert urljoin(f"{visitor.root}login", answer.headers["location"]) == visitor.root
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert visitor.ask("GET", "./", Cookie=cookie).status == 200
    switched = visitor.post("api/switch", "{}", "application/json", Cookie=cookie)
    assert json.load(switched) == {"text": "switched to sim-3, sim-4"}
    assert visitor.post("api/trouble", '{"kind": "heat"}', "application/json", Cookie=cookie).status == 200


def test_another_site_changes_nothing(visitor: Visitor) -> None:
    bearer = f"Bearer {TOKEN}"
    for headers in ({"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
        answer = visitor.post("api/switch", "{}", "application/json", Authorization=bearer, **headers)
        assert answer.status == 403
        assert "--allowed-host" in json.load(answer)["error"]
    assert not any(isinstance(asked, AskSwitch) for asked in visitor.site.control.requests)


def test_events_and_pictures_come_as_they_are_made(visitor: Visitor) -> None:
    """No buffer of the proxy holds them back."""
    bearer = f"Bearer {TOKEN}"
    live = visitor.ask("GET", "api/live", Authorization=bearer)
    assert live.readline() == b"event: hello\n"
    pictures = visitor.ask("GET", "cameras/cam0.mjpg", Authorization=bearer)
    seen = b""
    while seen.count(b"\xff\xd8\xff") < 3:
        seen += pictures.read1(65536)
    visitor.site.until_watched("cam0", 1)


def test_every_address_that_is_sent_is_relative(visitor: Visitor) -> None:
    bearer = f"Bearer {TOKEN}"
    for path in ("./", "login", "static/app.js", "static/cards.js", "static/style.css"):
        answer = visitor.ask("GET", path, Authorization=bearer)
        assert answer.status == 200
        text = answer.read().decode().replace("http://www.w3.org/2000/svg", "")
        for beginning in ('="/', '("/', "url(/", "`/", "://"):
            assert beginning not in text, path
