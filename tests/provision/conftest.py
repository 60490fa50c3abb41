"""A real HTTP server on this machine that serves files well, or badly in the ways networks do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Site:
    """What the server has, how it misbehaves, and what was asked of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.status: list[int] = []
        """Answers before any file is served."""
        self.ranges = True
        self.cut_after: int | None = None
        """Bytes of a body after which each connection is cut."""
        self.length = True
        """False: the body's length is not told, and it never ends."""
        self.asked: list[tuple[str, str, str]] = []
        """(path, Range, Authorization) of each request."""
        self.url = ""


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.asked.append((self.path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
        if site.status:
            self._plain(site.status.pop(0))
        elif self.path in site.redirects:
            self._plain(302, Location=site.redirects[self.path])
        elif self.path not in site.files:
            self._plain(404)
        else:
            self._file(site)

    def _file(self, site: Site) -> None:
        data = site.files[self.path]
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if site.ranges and self.headers["Range"] else 0
        if start >= len(data) > 0:
            self._plain(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if site.length:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        try:
            if site.cut_after is not None:
                self.wfile.write(data[start : start + site.cut_after])
            else:
                self.wfile.write(data[start:])
                while not site.length:
                    self.wfile.write(bytes(1 << 16))
        except OSError:
            pass
        self.close_connection = True

    def _plain(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *about: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": made}))
    server.daemon_threads = False
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
