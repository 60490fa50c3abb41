"""Pictures, while somebody watches."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

from ncs_cluster.specs import CameraSpec, GatewaySpec
from ncs_cluster.testing.daemon import Daemon, Status, sticks
from tests.benchmarks.house import bench, camera
from tests.benchmarks.table import Line


class Viewer:
    """Somebody who looks at the live picture."""

    pictures = 0
    """That have come whole."""


@contextmanager
def watched(daemon: Daemon) -> Iterator[Viewer]:
    """Somebody looks at the live picture."""
    seen = Viewer()
    with daemon.client() as client:
        where = urllib.parse.urlsplit(client.url()).netloc
    ended = threading.Event()

    def look() -> None:
        connection = http.client.HTTPConnection(where, timeout=60)
        connection.request("GET", "/cameras/cam0.mjpg")
        response = connection.getresponse()
        boundary = f"--{response.headers.get_param('boundary')}".encode()
        rest = b""
        while not ended.is_set():
            rest += response.read1(1 << 16)
            # the first boundary stands before the first picture
            *whole, rest = rest.split(boundary)
            seen.pictures += len(whole)
        connection.close()

    viewer = threading.Thread(target=look, daemon=True)
    viewer.start()
    yield seen
    ended.set()
    viewer.join(10.0)


def seen(picture: str, count: int, seconds: float) -> tuple[Status, float]:
    """The camera's status after so long under a viewer's eyes, and pictures per second as a share of frames per second."""
    spec = camera()
    spec = CameraSpec(spec.name, spec.source, spec.options, spec.shown, picture=picture, runtime=spec.runtime)
    with bench(sticks(count, latency_ms=100.0, heat=False), [spec], gateway=GatewaySpec("127.0.0.1", 0)) as house:
        house.daemon.until(lambda status: status["processes"][-1]["state"] == "running", "has its page")
        with watched(house.daemon):
            house.daemon.until(lambda status: status["cameras"][0]["picture_ms"]["p50"] is not None, "draws")
            rates = []
            until_s = time.monotonic() + seconds
            while time.monotonic() < until_s:
                time.sleep(1.0)
                status: Status = house.daemon.status()["cameras"][0]
                rates.append((status["preview_fps"], status["capture_fps"]))
        house.daemon.stop()
    rates = rates[2:]
    return status, sum(drawn for drawn, _ in rates) / sum(captured for _, captured in rates)


def drawn(quick: bool) -> Iterator[Line]:
    """Capture to drawn picture, four sticks, and the picture's rate when one stick cannot keep up."""
    seconds = 6.0 if quick else 15.0
    for mode in ("live", "exact"):
        status, _ = seen(mode, 4, seconds)
        p50 = status["picture_ms"]["p50"]
        if mode == "live":
            yield Line("capture to drawn picture, live, p50", "= result", "<= 15 ms", f"{p50:.1f} ms", p50 <= 15)
        else:
            result = status["latency_ms"]["p50"]
            measured = f"result + {p50 - result:.1f} ms ({p50:.1f} after {result:.1f})"
            yield Line("capture to drawn picture, exact, p50", "= result", "<= result + 5 ms", measured, p50 - result <= 5)
    status, share = seen("live", 1, seconds)
    measured = f"{share:.3f} of the camera's rate ({status['preview_fps']:.0f}/s)"
    yield Line("camera preview while saturated (N=1)", "drops 90 -> 70/s", "= the camera's own rate", measured, share >= 0.99)
