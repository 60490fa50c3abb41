"""A token that is replaced while the gateway runs, and the token for pictures alone."""

from __future__ import annotations

import base64
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncs_cluster.messages import AskSwitch, TokenReplaced, Warned
from ncs_cluster.processes.gateway import visitors
from ncs_cluster.testing.gateway import TOKEN, VIEWER_TOKEN, Answer, Site, site
from tests.waiting import until

NEW = "another-token-of-some-length"
FORM = "application/x-www-form-urlencoded"
PAUSE_S = 1 / visitors.PER_S
"""Between two tries of a token: more wrong ones than PER_S lock the visitor out."""


def put(path: Path, token: str) -> Path:
    """Replace the file at once: the gateway may look between two writes."""
    fresh = path.with_suffix(".new")
    fresh.write_text(token + "\n")
    fresh.chmod(0o600)
    return fresh.replace(path)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Site]:
    token, viewer = put(tmp_path / "token", TOKEN), put(tmp_path / "viewer", VIEWER_TOKEN)
    with site(tmp_path, token=TOKEN, viewer_token=VIEWER_TOKEN, token_file=token, viewer_token_file=viewer) as running:
        running.live()
        yield running


def bearer(opened: Site, token: str, path: str = "/metrics") -> int:
    return opened.get(path, Authorization=f"Bearer {token}").status


def told(opened: Site, kind: type) -> list[object]:
    return [message for message in opened.child.received if isinstance(message, kind)]


def stream(opened: Site, path: str, headers: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", opened.port), timeout=60)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n".encode())
    assert client.recv(12) == b"HTTP/1.1 200"
    return client


def ends(client: socket.socket) -> bool:
    """Whether the server closes the connection, or ends its response, within the socket's time-out."""
    last = b""
    while (received := client.recv(1 << 20)) and not (last + received).endswith(b"\r\n0\r\n\r\n"):
        last = received[-8:]
    return True


def goes_on(client: socket.socket) -> bool:
    """Whether the server has not closed the connection: what has come so far is read without an end."""
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while client.recv(1 << 20):
            pass
        return False
    return True


# -- replaced


def test_a_replaced_token_counts_at_once_and_sessions_and_streams_of_the_old_one_end(opened: Site, tmp_path: Path) -> None:
    login = opened.request("POST", "/login", f"token={TOKEN}", Content_Type=FORM)
    cookie = login.headers["set-cookie"].partition(";")[0]
    assert opened.get("/", Cookie=cookie).status == 200
    with (
        stream(opened, "/api/live", f"Cookie: {cookie}") as live,
        stream(opened, "/cameras/cam0.mjpg", f"Authorization: Bearer {TOKEN}") as pictures,
        stream(opened, f"/cameras/cam0.mjpg?token={VIEWER_TOKEN}", "Accept: */*") as viewer,
    ):
        put(tmp_path / "token", NEW)
        until(lambda: bearer(opened, NEW) == 200, pause_s=PAUSE_S)
        assert bearer(opened, TOKEN) == 401
        assert opened.get("/", Cookie=cookie).headers["location"] == "login"
        assert opened.get("/api/status", Cookie=cookie).status == 401
        assert ends(live)
        assert ends(pictures)
        assert goes_on(viewer)
    until(lambda: told(opened, TokenReplaced))
    assert told(opened, TokenReplaced) == [TokenReplaced(NEW, False)]
    assert NEW not in repr(told(opened, TokenReplaced))


def test_a_replaced_token_for_pictures_ends_its_streams_alone(opened: Site, tmp_path: Path) -> None:
    with (
        stream(opened, f"/cameras/cam0.mjpg?token={VIEWER_TOKEN}", "Accept: */*") as viewer,
        stream(opened, "/cameras/cam0.mjpg", f"Authorization: Bearer {TOKEN}") as pictures,
    ):
        put(tmp_path / "viewer", NEW)
        until(lambda: opened.get(f"/cameras/cam0.jpg?token={NEW}").status == 200, pause_s=PAUSE_S)
        assert opened.get(f"/cameras/cam0.jpg?token={VIEWER_TOKEN}").status == 401
        assert ends(viewer)
        assert goes_on(pictures)
    assert bearer(opened, TOKEN) == 200


@pytest.mark.parametrize("text", ["", "short", VIEWER_TOKEN], ids=["empty", "short", "the other file's"])
def test_a_file_that_holds_no_token_changes_nothing_and_the_owner_is_told_once(opened: Site, tmp_path: Path, text: str) -> None:
    put(tmp_path / "token", text)
    until(lambda: told(opened, Warned))
    time.sleep(1.5)
    assert len(told(opened, Warned)) == 1
    assert f"the token stays as it was: {tmp_path / 'token'}" in str(told(opened, Warned)[0])
    assert bearer(opened, TOKEN) == 200


def test_a_gateway_that_starts_late_takes_the_token_that_is_in_the_file(tmp_path: Path) -> None:
    with site(tmp_path, token=TOKEN, token_file=put(tmp_path / "token", NEW)) as opened:
        until(lambda: bearer(opened, NEW) == 200, pause_s=PAUSE_S)
        assert bearer(opened, TOKEN) == 401


# -- for pictures alone


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_the_token_for_pictures_opens_them_in_the_address_as_a_password_and_as_a_bearer(opened: Site) -> None:
    for path in ("/cameras/cam0.jpg", "/cameras/cam0.mjpg"):
        assert opened.request("HEAD", path).status == 401
        for headers in (
            {"Authorization": basic("", VIEWER_TOKEN)},
            {"Authorization": basic("any", VIEWER_TOKEN)},
            {"Authorization": basic(VIEWER_TOKEN, "")},
            {"Authorization": f"Bearer {VIEWER_TOKEN}"},
        ):
            assert opened.request("HEAD", path, **headers).status == 200, headers
        answer = opened.request("HEAD", f"{path}?token={VIEWER_TOKEN}")
        assert answer.status == 200
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert opened.get(f"/cameras/cam0.jpg?token={VIEWER_TOKEN}").body[:3] == b"\xff\xd8\xff"


def test_it_opens_nothing_else(opened: Site) -> None:
    for path in ("/", "/api/status", "/api/events", "/api/live", "/metrics", "/nothing"):
        for answer in (
            opened.get(f"{path}?token={VIEWER_TOKEN}"),
            opened.get(path, Authorization=basic("", VIEWER_TOKEN)),
            opened.get(path, Authorization=f"Bearer {VIEWER_TOKEN}"),
        ):
            assert answer.status == 401 or answer.headers["location"].startswith("login"), path
            assert "set-cookie" not in answer.headers
    for path in ("/api/switch", "/api/trouble", "/cameras/cam0.jpg"):
        for answer in (
            opened.post(f"{path}?token={VIEWER_TOKEN}", {"kind": "heat"}),
            opened.post(path, {"kind": "heat"}, Authorization=f"Bearer {VIEWER_TOKEN}"),
        ):
            assert answer.status in (401, 429)
    login = opened.request("POST", "/login", f"token={VIEWER_TOKEN}", Content_Type=FORM)
    assert "set-cookie" not in login.headers
    assert not any(isinstance(asked, AskSwitch) for asked in opened.control.requests)


def test_the_pages_own_token_is_taken_in_no_address_and_as_no_password(opened: Site) -> None:
    assert opened.get(f"/cameras/cam0.jpg?token={TOKEN}").status == 401
    assert opened.get("/cameras/cam0.jpg", Authorization=basic("", TOKEN)).status == 401
    for nonsense in ("Basic", "Basic ???", "Basic w6k=", "Basic " + "A" * 4000):
        assert opened.get("/cameras/cam0.jpg", Authorization=nonsense).status == 401


def challenges(answer: Answer) -> str:
    return answer.headers["www-authenticate"]


def test_a_player_is_asked_for_a_password_and_the_page_never_is(opened: Site) -> None:
    assert challenges(opened.get("/cameras/cam0.mjpg")).startswith("Basic")
    assert challenges(opened.get("/cameras/cam0.mjpg", Cookie="ncs_session=of.an.old.token")) == "Bearer"
    assert challenges(opened.get("/api/status")) == "Bearer"


def test_no_token_is_logged(opened: Site, capfd: pytest.CaptureFixture[str]) -> None:
    for token in (VIEWER_TOKEN, "a-wrong-token-of-some-length"):
        opened.get(f"/cameras/cam0.jpg?token={token}")
        opened.get(f"/?token={token}")
        opened.get(f"/nothing?token={token}")
    until(lambda: told(opened, Warned))
    assert "token-" not in str(told(opened, Warned))
    assert capfd.readouterr().err == ""
