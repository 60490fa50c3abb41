"""Network cameras, against real servers on this machine: streams, silence, loss, return, and no password anywhere."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any, Callable

import cv2
import numpy as np
import pytest

from ncs_cluster.errors import SourceError
from ncs_cluster.sources._secret import redacted
from ncs_cluster.sources.base import Planes
from ncs_cluster.sources.rtsp import Options, Rtsp
from tests.sources.films import DECODES, grey, interlaced

WIDTH, HEIGHT = 160, 120


@pytest.fixture
def camera(http_camera: Callable[..., Any]) -> Any:
    return http_camera()


def planes(width: int = WIDTH, height: int = HEIGHT) -> Planes:
    return Planes(np.zeros((height, width, 3), np.uint8))


def drain(source: Rtsp) -> None:
    for _ in range(100):
        source.read(planes())


def until(source: Rtsp, brightness: int) -> None:
    """Read until the picture has this brightness; at most a minute."""
    into, end = planes(), time.monotonic() + 60
    while abs(float(into.colour.mean()) - brightness) > 4:
        assert time.monotonic() < end
        source.read(into)


def test_frames_of_a_network_camera_arrive_in_the_slot(camera: Any) -> None:
    source = Rtsp(Options(camera.url))
    info = source.open()
    assert (info.width, info.height, info.finite, info.ordered) == (WIDTH, HEIGHT, False, False)
    until(source, 50)
    captured = source.read(planes())
    assert captured is not None
    assert (captured.width, captured.height) == (WIDTH, HEIGHT)
    assert 0 <= time.monotonic() - captured.captured_s < 60
    source.close()


def test_the_newest_frame_wins_however_long_the_reader_was_away(camera: Any) -> None:
    source = Rtsp(Options(camera.url))
    source.open()
    until(source, 50)
    time.sleep(0.5)
    camera.brightness = 200
    time.sleep(1.0)
    into = planes()
    # far fewer than have come: on a busy machine the newest may be some frames old
    for _ in range(3):
        source.read(into)
    assert into.colour.mean() == pytest.approx(200, abs=4)
    source.close()


def test_a_frame_smaller_than_the_slot_lies_at_its_start(camera: Any) -> None:
    source = Rtsp(Options(camera.url))
    source.open()
    into = planes(2 * WIDTH, HEIGHT)
    source.read(into)
    used = WIDTH * HEIGHT * 3
    assert into.colour.reshape(-1)[:used].mean() == pytest.approx(50, abs=4)
    assert not into.colour.reshape(-1)[used:].any()
    source.close()


@pytest.mark.skipif(cv2.__version__ < "4.13", reason="this OpenCV loses the stream for a moment, or shows garbage")
def test_a_camera_that_changes_its_size_is_scaled_to_the_one_it_opened_with(camera: Any) -> None:
    source = Rtsp(Options(camera.url))
    source.open()
    camera.size, camera.brightness = (320, 240), 120
    until(source, 120)
    info = source.open()
    assert (info.width, info.height) == (320, 240)
    source.close()


def test_a_silent_camera_is_reported_after_its_timeout_and_works_again_when_reopened(camera: Any) -> None:
    source = Rtsp(Options(camera.url, read_timeout_s=1.5))
    source.open()
    camera.silent.set()
    with pytest.raises(SourceError, match=r"no frame for 1\.5 s|stopped giving frames") as silence:
        drain(source)
    assert not silence.value.permanent
    camera.silent.clear()
    source.open()
    until(source, 50)
    source.close()


def test_a_camera_that_goes_and_comes_back_is_lost_and_found(http_camera: Callable[..., Any]) -> None:
    camera = http_camera()
    port = camera.server_address[1]
    source = Rtsp(Options(camera.url, open_timeout_s=3, read_timeout_s=2))
    source.open()
    camera.stop()
    with pytest.raises(SourceError) as lost:
        drain(source)
    assert not lost.value.permanent
    with pytest.raises(SourceError, match=r"no answer from 127\.0\.0\.1"):
        source.open()
    again = http_camera(port)
    again.brightness = 120
    source.open()
    until(source, 120)
    source.close()


def test_a_user_and_password_open_the_stream_and_are_shown_nowhere(camera: Any, capfd: pytest.CaptureFixture[str]) -> None:
    address = camera.url.replace("http://", "http://admin:s3cret@").replace("/video", "/private/video")
    source = Rtsp(Options(address))
    info = source.open()
    assert "s3cret" not in info.description
    assert "127.0.0.1" in info.description
    source.close()
    with pytest.raises(SourceError, match="check the path, user and password") as refused:
        Rtsp(Options(address.replace("s3cret", "wr0ng"))).open()
    assert "wr0ng" not in repr(refused.value)
    written = "".join(capfd.readouterr())
    assert "s3cret" not in written
    assert "wr0ng" not in written


def test_an_rtsp_camera_is_read_lost_found_again_and_its_password_kept(
    rtsp_camera: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    camera = rtsp_camera()
    port = camera.server_address[1]
    source = Rtsp(Options(camera.url(), open_timeout_s=5, read_timeout_s=2))
    info = source.open()
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    assert info.description.startswith(f"rtsp://***@127.0.0.1:{port}/stream")
    until(source, 50)
    camera.brightness = 180
    until(source, 180)
    with pytest.raises(SourceError, match="check the path, user and password"):
        Rtsp(Options(camera.url("admin:wr0ng"), open_timeout_s=5)).open()
    camera.stop()
    with pytest.raises(SourceError, match="the stream ended"):
        drain(source)
    again = rtsp_camera(port)
    again.brightness = 120
    source.open()
    until(source, 120)
    again.silent.set()
    with pytest.raises(SourceError, match=r"stopped giving frames|no frame for 2 s"):
        drain(source)
    source.close()
    written = "".join(capfd.readouterr())
    assert "s3cret" not in written
    assert "wr0ng" not in written


@pytest.mark.parametrize(
    "bad",
    [
        lambda picture: ("image/jpeg", bytes(len(picture))),
        lambda picture: ("image/jpeg", b""),
        lambda picture: ("image/jpeg", b"<html>busy</html>"),
        lambda picture: ("text/html", b"<html>busy</html>"),
    ],
    ids=["zeros", "empty", "a page called jpeg", "a page"],
)
def test_a_part_that_is_no_picture_costs_itself_alone(camera: Any, bad: Callable[[bytes], tuple[str, bytes]]) -> None:
    source = Rtsp(Options(camera.url, snapshot_interval_s=0.01))
    source.open()
    camera.bad = bad
    until(source, 50)
    before = camera.parts
    while camera.parts < before + 30:
        into = planes()
        source.read(into)
        assert into.colour.mean() == pytest.approx(50, abs=4)
    source.close()


def test_a_camera_that_gives_nothing_that_can_be_decoded_is_called_so(camera: Any) -> None:
    source = Rtsp(Options(camera.url, read_timeout_s=1.5))
    source.open()
    camera.every = 1
    camera.bad = lambda picture: ("image/jpeg", bytes(len(picture)))
    with pytest.raises(SourceError, match=r"no frame for 1\.5 s: \d+ in a row cannot be decoded"):
        drain(source)
    source.close()


def test_an_address_of_single_pictures_is_asked_again_and_again(camera: Any) -> None:
    source = Rtsp(Options(camera.url.replace("/video.mjpg", "/snap.jpeg"), snapshot_interval_s=0.05))
    info = source.open()
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    for brightness in (50, 120, 200):
        camera.brightness = brightness
        until(source, brightness)
    assert camera.connections >= 4
    camera.stop()
    with pytest.raises(SourceError, match=r"no answer from|gives no stream"):
        drain(source)
    source.close()


def film_planes() -> Planes:
    return planes(64, 48)


@pytest.mark.parametrize("progressive", [(), (0, 1, 2)], ids=["all frames", "some frames"])
def test_an_interlaced_camera_gives_its_pictures(camera: Any, tmp_path: Path, progressive: tuple[int, ...]) -> None:
    """OpenCV since 4.13 says that it has read them, and gives black or the frame before."""
    if not DECODES:
        pytest.skip("this OpenCV decodes no interlaced video")
    camera.film = Path(interlaced(tmp_path / "a.m2v", progressive)).read_bytes()
    # what FFmpeg's filters would take for the ends of options and filters
    source = Rtsp(Options(camera.url.replace("/video.mjpg", r"/film?a=b,c;[d]:'\e")))
    for _ in range(2):
        assert source.open()[:2] == (64, 48)
        seen, into = set(), film_planes()
        for _ in range(100):
            source.read(into)
            number = (float(into.colour.mean()) - grey(0)) / 25.5
            assert abs(number - round(number)) < 0.1
            seen.add(round(number))
        assert seen == set(range(8))
    source.close()


@pytest.mark.skipif(cv2.__version__ < "4.13", reason="this OpenCV gives interlaced frames as they are")
def test_interlaced_frames_that_cannot_be_converted_are_never_shown(
    camera: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ncs_cluster.sources._live.has_filters", lambda: False)
    address = camera.url.replace("/video.mjpg", "/film")
    camera.film = Path(interlaced(tmp_path / "a.m2v")).read_bytes()
    with pytest.raises(SourceError, match=r": interlaced or of another size, which OpenCV .* cannot convert"):
        Rtsp(Options(address)).open()
    camera.film = Path(interlaced(tmp_path / "a.m2v", progressive=(0,))).read_bytes()
    source, into = Rtsp(Options(address)), film_planes()
    source.open()
    for _ in range(20):
        into.colour[:] = 0
        source.read(into)
        assert into.colour.mean() == pytest.approx(grey(0), abs=2)
    source.close()


def test_a_web_page_is_no_stream(camera: Any) -> None:
    with pytest.raises(SourceError, match="gives no") as refused:
        Rtsp(Options(camera.url.replace("/video.mjpg", "/text"), open_timeout_s=3)).open()
    assert "\n" not in refused.value.detail


def test_a_server_that_accepts_and_says_nothing_does_not_hang_us() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        source = Rtsp(Options(f"rtsp://127.0.0.1:{mute.getsockname()[1]}/", open_timeout_s=1.0))
        start = time.monotonic()
        with pytest.raises(SourceError):
            source.open()
        # FFmpeg's own patience is 30 s
        assert time.monotonic() - start < 20
        source.close()


@pytest.mark.parametrize("url", ["rtsp://", "nonsense", "http://[bad/", "rtsp://host:99999/"])
def test_what_is_no_address_is_refused_for_good(url: str) -> None:
    with pytest.raises(SourceError, match="not a stream address") as refused:
        Rtsp(Options(url)).open()
    assert refused.value.permanent


@pytest.mark.parametrize("patience", [{"open_timeout_s": 0.0}, {"read_timeout_s": 60.0}])
def test_a_patience_that_makes_no_sense_is_refused(patience: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be within"):
        Options("rtsp://cam/", **patience)


def test_closing_from_another_thread_wakes_a_waiting_read(camera: Any) -> None:
    source = Rtsp(Options(camera.url, read_timeout_s=15))
    source.open()
    camera.silent.set()
    closer = threading.Timer(0.3, source.close)
    closer.start()
    with pytest.raises(SourceError, match="closed"):
        drain(source)
    closer.join()
    source.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://admin:pw@cam/1", "rtsp://***@cam/1"),
        ("rtsp://admin:p@w:1@10.0.0.2:554/a?b=1", "rtsp://***@10.0.0.2:554/a?b=***"),
        ("http://cam/user=admin_password=1234_channel=1/x", "http://cam/user=***/x"),
        ("http://cam/v?pwd=1234&high#pw", "http://cam/v?pwd=***&***"),
        ("http://[bad/pw", "***"),
        ("rtsp://cam/plain", "rtsp://cam/***"),
        ("rtsp://10.0.0.7/live/geheim", "rtsp://10.0.0.7/live/***"),
        ("rtmp://cam/live/abcd-1234", "rtmp://cam/live/***"),
        ("rtsp://cam/stream1", "rtsp://cam/stream1"),
        ("rtsp://cam/Streaming/Channels/101", "rtsp://cam/Streaming/Channels/101"),
        ("rtsp://cam/h264Preview_01_main", "rtsp://cam/h264Preview_01_main"),
        ("http://cam/axis-cgi/mjpg/video.cgi", "http://cam/axis-cgi/mjpg/video.cgi"),
        ("http://cam/snap.jpeg", "http://cam/snap.jpeg"),
        ("rtsp://cam/1234", "rtsp://cam/***"),
        ("rtsp//admin:geheim@cam/1", "rtsp//***@cam/1"),
        ("rtsp:/admin:geheim@cam/live/geheim", "rtsp:/***@cam/live/***"),
        ("rtsp:admin:geheim@cam", "***@cam"),
        ("rtsp//geheim@cam", "rtsp//***@cam"),
        ("admin:geheim@cam", "***@cam"),
        ("holiday@home/film.mp4", "holiday@home/film.mp4"),
        ("/media/me@home/film.mp4", "/media/me@home/film.mp4"),
        ("rtsp://admin:se/cret@10.0.0.7/x", "rtsp://***@10.0.0.7/x"),
        ("rtsp://admin:pa#ss@10.0.0.7/x", "rtsp://***@10.0.0.7/x"),
        ("rtsp://admin:12?34@10.0.0.7:554/x", "rtsp://***@10.0.0.7:554/x"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_secret(url: str, shown: str) -> None:
    assert redacted(url) == shown
