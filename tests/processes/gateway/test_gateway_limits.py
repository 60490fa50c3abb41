"""Visitors who dawdle, flood or never read cost the others nothing."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from pathlib import Path

import pytest

from ncs_cluster.messages import Warned
from ncs_cluster.processes.gateway.server import MAX_CONNECTIONS, REPLACE_IDLE_FROM, REQUEST_S, STALL_S
from ncs_cluster.processes.gateway.visitors import BURST, PER_S, REPORT_S, WrongTokens, network
from ncs_cluster.processes.gateway.web import MAX_STREAMS_EACH
from ncs_cluster.testing.gateway import TOKEN, Site, site

pytestmark = pytest.mark.slow


def connect(site: Site, source: str = "127.0.0.1") -> socket.socket:
    """A connection of the visitor `source`: every address 127.x.x.x is this machine's."""
    return socket.create_connection(("127.0.0.1", site.port), 4 * max(REQUEST_S, STALL_S), source_address=(source, 0))


def ask(client: socket.socket, method: str, path: str, *headers: str) -> http.client.HTTPResponse:
    """Send a request; the answer with its body, except of a stream."""
    client.sendall("\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode())
    answer = http.client.HTTPResponse(client, method=method)
    answer.begin()
    if answer.length is not None:
        answer.read()
    return answer


def test_three_hundred_half_sent_requests_leave_room_for_a_whole_one(running_site: Site) -> None:
    with contextlib.ExitStack() as open_sockets:
        for _ in range(300):
            half = open_sockets.enter_context(connect(running_site))
            with contextlib.suppress(OSError):
                half.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(5):
            assert running_site.get("/healthz").status == 200


def test_a_request_that_drips_is_cut_off(running_site: Site) -> None:
    """One byte now and then does not extend the deadline."""
    with connect(running_site) as dripping:
        began_s = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in b"GET / HTTP/1.1\r\nX: " + b"x" * 1000:
                dripping.sendall(bytes([byte]))
                time.sleep(0.2)
        assert time.monotonic() - began_s < 4 * REQUEST_S


def test_who_never_reads_is_no_viewer_for_long(running_site: Site) -> None:
    with connect(running_site) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(f"GET /cameras/cam0.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\n\r\n".encode())
        running_site.until_watched("cam0", 1)
        running_site.until_watched("cam0", 0, timeout_s=8 * STALL_S)


def test_open_streams_never_take_the_last_place(running_site: Site) -> None:
    with contextlib.ExitStack() as open_sockets:
        for _ in range(REPLACE_IDLE_FROM + 20):
            viewer = open_sockets.enter_context(connect(running_site))
            with contextlib.suppress(OSError):
                viewer.sendall(f"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\n\r\n".encode())
        assert running_site.get("/healthz").status == 200


def test_requests_that_wait_never_shut_out_health_or_page(tmp_path: Path) -> None:
    """No camera draws, so that each snapshot is waited for."""
    with site(tmp_path) as quiet, contextlib.ExitStack() as open_sockets:
        for _ in range(2 * MAX_CONNECTIONS):
            waiting = open_sockets.enter_context(connect(quiet))
            waiting.sendall(b"GET /cameras/cam0.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for path in ("/healthz", "/", "/api/status"):
            assert quiet.get(path).status == 200


def test_a_hundred_wrong_logins_at_once_shut_out_nobody(guarded_site: Site) -> None:
    login = (
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\n"
    )
    with contextlib.ExitStack() as open_sockets:
        for _ in range(100):
            open_sockets.enter_context(connect(guarded_site)).sendall(login + b"token=x")
        assert guarded_site.get("/healthz").status == 200
        assert guarded_site.get("/login").status == 200


@pytest.mark.parametrize("sent", ["", "GET /cameras/cam0.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n"], ids=["silent", "waiting"])
def test_a_flood_of_one_visitor_closes_its_own_connections_and_no_other(tmp_path: Path, sent: str) -> None:
    with site(tmp_path) as quiet, contextlib.ExitStack() as open_sockets:
        idle, viewer = (open_sockets.enter_context(connect(quiet)) for _ in range(2))
        assert ask(idle, "GET", "/healthz").status == 200
        stream = ask(viewer, "GET", "/api/live")
        began_s = time.monotonic()
        for _ in range(2 * MAX_CONNECTIONS):
            open_sockets.enter_context(connect(quiet, "127.0.0.2")).sendall(sent.encode())
        if time.monotonic() - began_s < 4:  # an idle connection is kept for 5 s
            assert ask(idle, "GET", "/healthz").status == 200
        quiet.control.add_event("still here")
        while b"still here" not in (line := stream.readline()):
            assert line


def test_silent_newcomers_replace_each_other_and_not_a_client_that_has_asked(tmp_path: Path) -> None:
    with site(tmp_path) as quiet, contextlib.ExitStack() as open_sockets:
        asked = open_sockets.enter_context(connect(quiet))
        for _ in range(3):
            assert ask(asked, "GET", "/healthz").status == 200
            for _ in range(REPLACE_IDLE_FROM):
                open_sockets.enter_context(connect(quiet))


def test_one_visitor_has_at_most_its_share_of_the_streams(running_site: Site) -> None:
    with contextlib.ExitStack() as open_sockets:

        def stream(source: str) -> int:
            return ask(open_sockets.enter_context(connect(running_site, source)), "GET", "/api/live").status

        answers = [stream("127.0.0.2") for _ in range(40)]
        assert answers == [200] * MAX_STREAMS_EACH + [429] * (40 - MAX_STREAMS_EACH)
        assert stream("127.0.0.1") == 200


def test_wrong_tokens_are_bounded_by_visitor_and_the_owner_is_told_once(guarded_site: Site) -> None:
    def bearer(source: str, token: str, *headers: str) -> http.client.HTTPResponse:
        with connect(guarded_site, source) as client:
            return ask(client, "GET", "/metrics", f"Authorization: Bearer {token}", "Connection: close", *headers)

    assert bearer("127.0.0.2", "a guess").status == 401
    until_s = time.monotonic() + 60
    while (answer := bearer("127.0.0.2", "a guess")).status == 401:
        assert time.monotonic() < until_s
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert bearer("127.0.0.1", TOKEN).status == 200
    assert bearer("127.0.0.2", TOKEN, "X-Forwarded-For: 203.0.113.7").status == 200
    until_s = time.monotonic() + 60
    while not (told := [each.text for each in guarded_site.child.received if isinstance(each, Warned)]):
        assert time.monotonic() < until_s
        time.sleep(0.1)
    assert len(told) == 1
    assert told[0].endswith("from 127.0.0.2")
    assert TOKEN not in told[0]


def test_a_program_with_an_old_token_never_exhausts_its_attempts() -> None:
    wrong = WrongTokens()
    for second in range(600):
        assert wrong.wait_s("pi", second) == 0
        wrong.count("pi", second)
    for _ in range(int(BURST)):
        wrong.count("pi", 600.0)
    assert 0 < wrong.wait_s("pi", 600.0) <= 1 / PER_S
    assert wrong.wait_s("another", 600.0) == 0
    assert wrong.wait_s("pi", 601.0) == 0


def test_wrong_tokens_are_reported_together() -> None:
    wrong = WrongTokens()
    assert wrong.report(0.0) is None
    wrong.count("192.168.1.9", 0.0)
    assert wrong.report(1.0) == "1 wrong token from 192.168.1.9"
    for visitor in ("192.168.1.9", "192.168.1.8", "192.168.1.9"):
        wrong.count(visitor, 2.0)
    assert wrong.report(REPORT_S) is None
    assert wrong.report(1.0 + REPORT_S) == "3 wrong tokens from 2 addresses, most of them from 192.168.1.9"
    assert wrong.report(10 * REPORT_S) is None


def test_the_addresses_of_one_ipv6_network_are_one_visitor() -> None:
    assert network("2001:db8:1:2::5") == network("2001:db8:1:2:ffff::1") == "2001:db8:1:2::"
    assert network("2001:db8:1:3::5") != network("2001:db8:1:2::5")
    assert network("::ffff:192.0.2.7") == "192.0.2.7"
    assert network("fe80::1%eth0") == "fe80::"


HALVES = [
    b"Content-Length: 100\r\n\r\ntoken=x",
    b"Content-Length: 100\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\ntok",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\ntoken\r\nzz\r\n",
    b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n",
    b"Content-Length: -1\r\n\r\nx",
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\ntoken=x",
    b'Content-Length: 18\r\n\r\n{"stick":"\\ud800"}',
]


@pytest.mark.parametrize("token", [None, TOKEN], ids=["open", "token"])
def test_half_a_request_leaves_no_line_in_the_log(tmp_path: Path, token: str | None, capfd: pytest.CaptureFixture[str]) -> None:
    with site(tmp_path, token=token) as opened:
        for path in ("/login", "/api/switch", "/api/trouble", "/", "/healthz", "/cameras/cam0.mjpg", "/nothing"):
            kind = "application/x-www-form-urlencoded" if path == "/login" else "application/json"
            bearer = f"Authorization: Bearer {token}\r\n" if token else ""
            for method in ("POST", "GET", "PUT"):
                head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}Content-Type: {kind}\r\n"
                for half in HALVES:
                    with connect(opened) as client:
                        client.sendall(head.encode() + half)
                        client.shutdown(socket.SHUT_WR)
                        client.settimeout(0.02)
                        with contextlib.suppress(OSError):
                            client.recv(100)
        assert opened.get("/healthz").status == 200
    assert capfd.readouterr().err == ""
