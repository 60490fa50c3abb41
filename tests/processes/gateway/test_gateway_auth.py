"""Authentication, host check and cross-site check: the rules alone, then over real HTTP."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ncs_cluster.messages import AskSwitch
from ncs_cluster.processes.gateway.auth import Authenticator
from ncs_cluster.processes.gateway.hosts import Hosts, host_name
from ncs_cluster.processes.gateway.server import CannotListen
from ncs_cluster.processes.gateway.tokens import SESSION_S, Tokens
from ncs_cluster.processes.gateway.visitors import BURST, PER_S
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.testing.gateway import TOKEN, VIEWER_TOKEN, Answer, Site, site

FORM = "application/x-www-form-urlencoded"


def authenticator(token: str | None = TOKEN, host: str = "127.0.0.1", *allowed: str) -> Authenticator:
    return Authenticator(GatewaySpec(host, 8080, token, list(allowed)))


def test_without_a_token_only_this_machine_is_served() -> None:
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        assert GatewaySpec(host, 8080).local
        authenticator(None, host)
    for host in ("0.0.0.0", "::", "192.168.1.7", "raspberrypi", ""):
        with pytest.raises(CannotListen, match="token"):
            authenticator(None, host)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"), ("LocalHost:8080", "localhost"), ("127.0.0.1:80", "127.0.0.1"), ("[::1]:8080", "::1"),
        ("", None), (None, None), ("[::1", None), ("evil.example", "evil.example"),
    ],
)  # fmt: skip
def test_the_port_is_no_part_of_a_hosts_name(header: str | None, name: str | None) -> None:
    assert host_name(header) == name


def test_a_host_is_known_by_its_names_and_by_the_address_that_was_called() -> None:
    hosts = Hosts("0.0.0.0", ["cluster.example"])
    for host in (
        "localhost:8080",
        "127.0.0.1",
        "[::1]:1",
        "cluster.example:443",
        socket.gethostname(),
        f"{socket.gethostname()}.local",
    ):
        assert hosts.accepts(host)
    assert hosts.accepts("192.168.1.7:8080", "192.168.1.7")
    assert hosts.accepts("192.168.1.7:8080", "::ffff:192.168.1.7")
    for host in ("evil.example", "0.0.0.0", "192.168.1.8", "localhost.evil.example", "", "127.0.0.1.evil.example"):
        assert not hosts.accepts(host, "192.168.1.7")


def test_an_origin_is_the_host_called_or_a_name_or_address_of_this_machine() -> None:
    """A reverse proxy on this machine calls 127.0.0.1; the browser's Origin is the name or address that the proxy answers to."""
    hosts = Hosts("0.0.0.0", ["cams.example"])
    for origin in (
        "https://cams.example",
        "https://CAMS.example:8443",
        "http://localhost:3000",
        "http://127.0.0.2",
        f"http://{socket.gethostname()}.local",
        "http://192.168.1.7:8080",
    ):
        assert hosts.accepts_origin(origin, "192.168.1.7:8080"), origin
    for origin in (
        "https://evil.example",
        "https://cams.example.evil.example",
        "https://cams.example@evil.example",
        "https://192.0.2.1",
        "https://0.0.0.0",
        "ftp://cams.example",
        "null",
        "cams.example",
        "https://",
        "",
    ):
        assert not hosts.accepts_origin(origin, "192.168.1.7:8080"), origin


def test_a_session_lasts_its_time_and_dies_with_its_token() -> None:
    tokens = Tokens(TOKEN)
    cookie = tokens.new_session(now=1000.0)
    assert TOKEN not in cookie
    assert Tokens(TOKEN).session(cookie, 1000.0) == tokens.page
    assert tokens.session(cookie, 999.0 + SESSION_S)
    assert not tokens.session(cookie, 1001.0 + SESSION_S)
    assert tokens.new_session(now=1000.0) != cookie
    credential = tokens.page
    assert tokens.holds(credential)
    tokens.set_page("another token")
    assert not tokens.session(cookie, 1000.0)
    assert not tokens.holds(credential)


def test_a_session_that_was_touched_is_none() -> None:
    cookie = Tokens(TOKEN).new_session(now=1000.0)
    expires, number, signature = cookie.split(".")
    for forged in (
        f"{int(expires) + 1}.{number}.{signature}",
        f"{expires}.{number}.",
        "",
        "..",
        f"{number}.{signature}",
        cookie + "0",
        "é.é.é",
    ):
        assert not Tokens(TOKEN).session(forged, 1000.0)


def test_after_too_many_wrong_tokens_a_right_one_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever guesses does not learn from the answer that one was right."""
    now_s = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    rules = authenticator()

    def tried(token: str, address: str = "192.168.1.9", **headers: str) -> bool:
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        request = Request({"type": "http", "client": (address, 1), "headers": raw})
        return rules.try_token(request, token, rules.tokens.opens_page) is not None

    assert tried(TOKEN)
    assert [tried("wrong") for _ in range(int(BURST))] == [False] * int(BURST)
    with pytest.raises(HTTPException) as refused:
        tried(TOKEN)
    assert refused.value.status_code == 429
    assert tried(TOKEN, "192.168.1.8")
    assert not tried("wrong", "127.0.0.1", x_forwarded_for="203.0.113.7, 192.168.1.7")
    with pytest.raises(HTTPException):
        tried(TOKEN, "127.0.0.1", x_forwarded_for="203.0.113.7, 192.168.1.9")
    with pytest.raises(HTTPException):
        tried(TOKEN, x_forwarded_for="203.0.113.7")  # only a proxy on this machine is believed
    now_s += 1 / PER_S
    assert tried(TOKEN)


def test_no_token_fits_where_none_is_wanted() -> None:
    assert not Tokens(None).opens_page("")
    assert not Tokens(None).opens_pictures("")
    assert not Tokens(TOKEN).opens_page("")
    assert Tokens(TOKEN).opens_page(TOKEN)
    assert not Tokens(TOKEN, VIEWER_TOKEN).opens_page(VIEWER_TOKEN)
    assert not Tokens(TOKEN, VIEWER_TOKEN).opens_pictures(TOKEN)
    assert Tokens(None).holds(None)
    assert not Tokens(TOKEN).holds(None)


def test_a_strangers_domain_reads_nothing(running_site: Site) -> None:
    for path in ("/", "/api/status", "/healthz", "/static/app.js"):
        assert running_site.request("GET", path, host="rebound.example").status == 421
    assert running_site.request("GET", "/", host=f"localhost:{running_site.port}").status == 200


@pytest.mark.parametrize("host", ["localhost/static/", "localhost/healthz?", "localhost#/login", "localhost\\x", "a@localhost"])
def test_a_host_header_that_holds_a_path_is_refused(guarded_site: Site, host: str) -> None:
    for path in ("/api/status", "/static/app.js"):
        assert guarded_site.request("GET", path, host=host).status == 421


def test_without_the_token_only_health_is_told(guarded_site: Site) -> None:
    assert guarded_site.get("/healthz").status == 200
    assert guarded_site.get("/readyz").status == 200
    for path in ("/api/status", "/api/events", "/api/live", "/metrics", "/cameras/cam0.jpg", "/cameras/cam0.mjpg", "/nothing"):
        answer = guarded_site.get(path)
        assert answer.status == 401
        assert TOKEN.encode() not in answer.body
    assert guarded_site.post("/api/switch").status == 401
    assert not any(isinstance(asked, AskSwitch) for asked in guarded_site.control.requests)


def test_a_program_shows_its_token_each_time(guarded_site: Site) -> None:
    assert guarded_site.get("/metrics", Authorization=f"Bearer {TOKEN}").status == 200
    assert guarded_site.post("/api/switch", Authorization=f"bearer {TOKEN}").status == 200
    for wrong in (f"Bearer {TOKEN}x", "Bearer ", TOKEN, f"Basic {TOKEN}"):
        assert guarded_site.get("/metrics", Authorization=wrong).status == 401


def cookie_of(answer: Answer) -> str:
    """The cookie that was set, after checking that no script can read it, no other site can use it, and that it is for the folder
    of the address that the browser called."""
    value, *attributes = answer.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict"} <= set(attributes)
    assert not any(each.startswith("Path") for each in attributes)
    assert TOKEN not in value
    return value


def test_a_person_logs_in_once(guarded_site: Site) -> None:
    assert guarded_site.get("/").headers["location"] == "login"
    assert b"<form" in guarded_site.get("/login").body
    answer = guarded_site.request("POST", "/login", f"token={TOKEN}", Content_Type=FORM)
    assert (answer.status, answer.headers["location"]) == (303, "./")
    cookie = cookie_of(answer)
    assert guarded_site.get("/", Cookie=cookie).status == 200
    assert guarded_site.get("/api/status", Cookie=cookie).status == 200
    assert guarded_site.post("/api/switch", Cookie=cookie, Origin=guarded_site.url).status == 200


def test_an_address_with_the_token_logs_in_and_is_left_at_once(guarded_site: Site) -> None:
    answer = guarded_site.get(f"/?token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, "./")
    assert guarded_site.get("/", Cookie=cookie_of(answer)).status == 200


def test_a_wrong_token_opens_nothing(guarded_site: Site) -> None:
    for answer in (guarded_site.get("/?token=wrong"), guarded_site.request("POST", "/login", "token=wrong", Content_Type=FORM)):
        assert answer.headers["location"] == "login#wrong"
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9", "Sec_Fetch_Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": FORM}, 415),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Content_Type": "application/json; charset=utf-8"}, 200),
    ],
)
def test_a_change_comes_from_this_page_or_from_a_program(running_site: Site, headers: dict[str, str], status: int) -> None:
    assert running_site.post("/api/switch", **headers).status == status
    assert any(isinstance(asked, AskSwitch) for asked in running_site.control.requests) == (status == 200)


def test_a_body_is_short_whatever_it_says_of_its_length(running_site: Site) -> None:
    assert running_site.post("/api/switch", {"x": "y" * 70_000}).status == 413
    connection = http.client.HTTPConnection("127.0.0.1", running_site.port, timeout=60)
    connection.request("POST", "/api/switch", iter([b"x" * 40_000] * 2), {"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_configured_name_is_let_in(tmp_path: Path) -> None:
    with site(tmp_path, allowed_hosts=("cluster.example",)) as opened:
        assert opened.request("GET", "/", host="cluster.example").status == 200
