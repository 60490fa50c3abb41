"""The gateway as its supervisor sees it: a child that says Hello, beats, tells who looks, and ends."""

from __future__ import annotations

import contextlib
import signal
import socket
import statistics
import time
from itertools import pairwise
from pathlib import Path

import pytest

from ncs_cluster.messages import CameraGone, Failed, FromGateway, GatewayOpened, Heartbeat, Hello, OpenGateway, Stop, Watch
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.testing.children import running
from ncs_cluster.testing.control import some_status
from ncs_cluster.testing.gateway import GATEWAY, Site, site
from ncs_cluster.types import CameraName


def asked(runtime_dir: Path, host: str = "127.0.0.1", port: int = 0, token: str | None = None) -> OpenGateway:
    return OpenGateway(GatewaySpec(host, port, token), str(runtime_dir), simulated=True)


def test_it_says_hello_then_where_it_listens_then_beats(tmp_path: Path) -> None:
    with running(GATEWAY, FromGateway) as child:
        assert isinstance(child.receive(), Hello)
        child.send(asked(tmp_path))
        opened = child.expect(GatewayOpened)
        assert opened.host == "127.0.0.1"
        assert opened.port > 0
        child.expect(Heartbeat)
        child.expect(Heartbeat)


def test_a_port_in_use_is_one_clear_permanent_failure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, running(GATEWAY, FromGateway) as child:
        port = taken.getsockname()[1]
        child.send(asked(tmp_path, port=port))
        failed = child.expect(Failed)
        assert (failed.reason, failed.permanent) == ("open", True)
        assert f"port {port}" in failed.detail
        assert "--listen" in failed.detail
        assert "\n" not in failed.detail
        assert child.process.wait(60) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_without_a_token_it_refuses_the_network(tmp_path: Path, host: str) -> None:
    with running(GATEWAY, FromGateway) as child:
        child.send(asked(tmp_path, host=host))
        failed = child.expect(Failed)
        assert failed.permanent
        assert "token" in failed.detail
        assert child.process.wait(60) == 1


def test_stop_ends_it_even_while_people_look(running_site: Site) -> None:
    with socket.create_connection(("127.0.0.1", running_site.port)) as viewer:
        viewer.sendall(f"GET /cameras/cam0.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\n\r\n".encode())
        running_site.until_watched("cam0", 1)
        running_site.child.send(Stop())
        assert running_site.child.process.wait(60) == 0


def test_streams_that_wait_for_news_end_without_a_line_in_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As on Ctrl-C with the page open: the camera has stopped, so neither a picture nor a status follows."""
    with site(tmp_path) as quiet, contextlib.ExitStack() as visitors:
        for path in ("/cameras/cam0.mjpg", "/api/live"):
            visitor = visitors.enter_context(socket.create_connection(("127.0.0.1", quiet.port), timeout=60))
            visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{quiet.port}\r\n\r\n".encode())
            assert visitor.recv(12) == b"HTTP/1.1 200"
        quiet.child.send(Stop())
        assert quiet.child.process.wait(60) == 0
    assert capfd.readouterr().err == ""


def test_it_is_gone_when_its_supervisor_is(tmp_path: Path) -> None:
    with running(GATEWAY, FromGateway) as child:
        child.send(asked(tmp_path))
        child.expect(GatewayOpened)
        child.channel.close()
        assert child.process.wait(60) == 0


def test_ctrl_c_is_not_its_business(running_site: Site) -> None:
    running_site.child.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert running_site.get("/healthz").status == 200


def test_a_silent_daemon_costs_the_truth_not_the_heartbeat(tmp_path: Path) -> None:
    """The page still loads, health says no, and the loop never waits."""
    with site(tmp_path) as opened:
        assert opened.get("/healthz").status == 200
        opened.control.mute = True
        until_s = time.monotonic() + 60
        while opened.get("/healthz").status == 200:
            assert time.monotonic() < until_s
        assert opened.get("/").status == 200
        assert opened.get("/api/status").status == 503
        assert opened.get("/metrics").body.count(b"\nncs_cluster_up 0.0") == 1
        with contextlib.suppress(TimeoutError):
            while True:
                opened.child.receive(0.0)
        beats_s = []
        for _ in range(4):
            opened.child.expect(Heartbeat)
            beats_s.append(time.monotonic())
        assert statistics.median(after - before for before, after in pairwise(beats_s)) < 3.0
        opened.control.mute = False
        while opened.get("/healthz").status != 200:
            assert time.monotonic() < until_s


def test_a_daemon_that_is_not_there_is_said_by_name(tmp_path: Path) -> None:
    with running(GATEWAY, FromGateway) as child:
        child.send(asked(tmp_path))
        with_nobody = Site(child, None, child.expect(GatewayOpened))  # type: ignore[arg-type]
        answer = with_nobody.get("/api/status")
        assert answer.status == 503
        assert "not running" in answer.json["error"]


def test_a_camera_is_watched_exactly_while_somebody_looks(running_site: Site) -> None:
    """Once for both, and after the last has left with a few seconds of grace."""
    assert running_site.get("/cameras/cam0.jpg").status == 200
    with socket.create_connection(("127.0.0.1", running_site.port)) as viewer:
        viewer.sendall(f"GET /cameras/cam0.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\n\r\n".encode())
        assert viewer.recv(10)
        running_site.until_watched("cam0", 1)
    running_site.until_watched("cam0", 0)
    assert running_site.watched["cam0"] == [1, 0]


def test_a_camera_learns_whether_somebody_looks_at_all_its_pictures(running_site: Site) -> None:
    def told() -> list[tuple[int, bool]]:
        return [(each.viewers, each.streamed) for each in running_site.child.received if isinstance(each, Watch)]

    assert running_site.get("/cameras/cam0.jpg").status == 200
    assert told() == [(1, False)]
    with socket.create_connection(("127.0.0.1", running_site.port), timeout=60) as viewer:
        viewer.sendall(f"GET /cameras/cam0.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\n\r\n".encode())
        assert viewer.recv(10)
        assert running_site.get("/cameras/cam0.jpg").status == 200
    running_site.until_watched("cam0", 0)
    assert told() == [(1, False), (1, True), (2, True), (1, True), (1, False), (0, False)]


def test_a_camera_that_is_gone_ends_its_pictures(running_site: Site) -> None:
    with socket.create_connection(("127.0.0.1", running_site.port), timeout=60) as viewer:
        viewer.sendall(
            f"GET /cameras/cam0.mjpg HTTP/1.1\r\nHost: 127.0.0.1:{running_site.port}\r\nConnection: close\r\n\r\n".encode()
        )
        running_site.until_watched("cam0", 1)
        running_site.control.status = some_status(cameras=())
        assert running_site.get("/healthz").status == 200
        running_site.child.send(CameraGone(CameraName("cam0")))
        while viewer.recv(65536):
            pass
    assert running_site.get("/cameras/cam0.jpg").status == 404
