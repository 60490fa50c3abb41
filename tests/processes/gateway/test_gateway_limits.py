"""Visitors who dawdle, flood or never read cost the others nothing."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from ncs_cluster.processes.gateway.server import REPLACE_IDLE_FROM, REQUEST_S, STALL_S
from ncs_cluster.testing.gateway import Site

pytestmark = pytest.mark.slow


def connect(site: Site) -> socket.socket:
    return socket.create_connection(("127.0.0.1", site.port), timeout=4 * max(REQUEST_S, STALL_S))


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
