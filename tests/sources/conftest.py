"""Two network cameras for tests: MJPEG over HTTP, and RTSP with JPEG over RTP (RFC 2326, RFC 2435) inside its own connection."""

from __future__ import annotations

import base64
import http.server
import itertools
import socketserver
import struct
import threading
import time
from typing import Callable, Iterator, List, TypeVar

import cv2
import numpy as np
import pytest

WIDTH, HEIGHT = 160, 120
FPS = 30
ALLOWED = "Basic " + base64.b64encode(b"admin:s3cret").decode()


def jpeg(brightness: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), brightness, np.uint8))[1].tobytes()


class HttpCamera(http.server.ThreadingHTTPServer):
    """Serves MJPEG over HTTP at 30 frames per second; the picture's brightness is `brightness`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.brightness = 50
        self.size = (WIDTH, HEIGHT)
        self.parts = 0
        self.bad: Callable[[bytes], tuple[str, bytes]] | None = None
        """Type and content of each `every`-th part, from a picture."""
        self.every = 5
        self.connections = 0
        self.film = b""
        """Served again and again at /film."""
        self.silent = threading.Event()
        self.gone = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/video.mjpg"

    def stop(self) -> None:
        """Any number of times."""
        if self.gone.is_set():
            return
        self.gone.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    server: HttpCamera

    def do_GET(self) -> None:
        if self.path.startswith("/private") and self.headers.get("Authorization") != ALLOWED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.server.connections += 1
        self.send_response(200)
        if self.path.startswith("/film"):
            self.send_header("Content-Type", "video/mpeg")
            self.end_headers()
            self.play_film()
            return
        if self.path == "/snap.jpeg":
            data = jpeg(self.server.brightness, *self.server.size)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        if self.path == "/text":
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<h1>welcome</h1>" * 100)
            return
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while not self.server.gone.is_set():
            if not self.server.silent.is_set():
                kind, data = "image/jpeg", jpeg(self.server.brightness, *self.server.size)
                self.server.parts += 1
                if self.server.bad is not None and self.server.parts % self.server.every == 0:
                    kind, data = self.server.bad(data)
                head = f"--frame\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + data + b"\r\n")
                except OSError:
                    return
            time.sleep(1 / FPS)

    def play_film(self) -> None:
        while not self.server.gone.is_set():
            try:
                self.wfile.write(self.server.film)
            except OSError:
                return
            time.sleep(1 / FPS)

    def log_message(self, *_: object) -> None:
        pass


class RtspCamera(socketserver.ThreadingTCPServer):
    """Serves rtsp://admin:s3cret@127.0.0.1:PORT/stream."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), RtspSession)
        self.brightness = 50
        self.silent = threading.Event()
        self.gone = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, login: str = "admin:s3cret") -> str:
        return f"rtsp://{login}@127.0.0.1:{self.server_address[1]}/stream"

    def stop(self) -> None:
        """Any number of times."""
        if self.gone.is_set():
            return
        self.gone.set()
        self.shutdown()
        self.server_close()


class RtspSession(socketserver.StreamRequestHandler):
    server: RtspCamera

    def handle(self) -> None:
        while True:
            lines = []
            while (line := self.rfile.readline().decode().strip()) != "":
                lines.append(line)
            if not lines:
                return
            heads = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
            method, cseq = lines[0].split()[0], heads.get("cseq", "0")
            if heads.get("authorization") != ALLOWED and method != "OPTIONS":
                self.answer(cseq, "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')
            elif method == "OPTIONS":
                self.answer(cseq, "200 OK", "Public: DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == "DESCRIBE":
                sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"
                self.answer(cseq, "200 OK", "Content-Type: application/sdp", body=sdp)
            elif method == "SETUP":
                self.answer(cseq, "200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1")
            elif method == "PLAY":
                self.answer(cseq, "200 OK", "Session: 1")
                self.play()
                return
            else:
                return

    def answer(self, cseq: str, status: str, *heads: str, body: str = "") -> None:
        length = [f"Content-Length: {len(body)}"] if body else []
        text = "\r\n".join([f"RTSP/1.0 {status}", f"CSeq: {cseq}", *heads, *length, "", body])
        self.wfile.write(text.encode())

    def play(self) -> None:
        sequence = itertools.count()
        for frame in itertools.count():
            if self.server.gone.is_set():
                return
            if not self.server.silent.is_set():
                try:
                    for packet in rtp_packets(jpeg(self.server.brightness), frame * 90_000 // FPS, sequence):
                        self.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)
                except OSError:
                    return
            time.sleep(1 / FPS)


def rtp_packets(data: bytes, timestamp: int, sequence: itertools.count[int]) -> list[bytes]:
    """A 4:2:0 JPEG in RTP: its tables in the first packet, its scan cut into pieces."""
    at, tables = 2, b""
    while data[at + 1] != 0xDA:
        length = struct.unpack_from(">H", data, at + 2)[0]
        if data[at + 1] == 0xDB:
            tables += data[at + 5 : at + 2 + length]
        at += 2 + length
    scan = data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] : -2]
    packets = []
    for offset in range(0, len(scan), 1200):
        last = offset + 1200 >= len(scan)
        head = struct.pack(">BBHII", 0x80, 26 | (0x80 if last else 0), next(sequence) & 0xFFFF, timestamp & 0xFFFFFFFF, 7)
        head += struct.pack(">II", offset, 0x01FF0000 | (WIDTH // 8) << 8 | HEIGHT // 8)  # type 1, Q 255
        if offset == 0:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        packets.append(head + scan[offset : offset + 1200])
    return packets


@pytest.fixture
def http_camera() -> Iterator[Callable[..., HttpCamera]]:
    """Makes HTTP cameras, on a port of choice; the test's end stops them."""
    yield from _made(HttpCamera)


@pytest.fixture
def rtsp_camera() -> Iterator[Callable[..., RtspCamera]]:
    """Makes RTSP cameras, on a port of choice; the test's end stops them."""
    yield from _made(RtspCamera)


Camera = TypeVar("Camera", HttpCamera, RtspCamera)


def _made(kind: Callable[[int], Camera]) -> Iterator[Callable[..., Camera]]:
    made: List[Camera] = []

    def make(port: int = 0) -> Camera:
        made.append(kind(port))
        return made[-1]

    yield make
    for camera in made:
        camera.stop()
