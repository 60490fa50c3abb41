"""Live pictures: the newest one, encoded once, whoever looks and however slowly."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy
import pytest
from msgspec.structs import replace

from ncs_cluster.messages import MapPictures
from ncs_cluster.processes.gateway import pictures
from ncs_cluster.processes.gateway.pictures import Pictures
from ncs_cluster.testing.control import PictureWriter, some_status
from ncs_cluster.testing.gateway import Site, site
from ncs_cluster.types import CameraName
from tests.descriptors import open_descriptors


def parts(response: http.client.HTTPResponse, count: int) -> list[bytes]:
    """That many JPEGs of a multipart answer."""
    found = []
    while len(found) < count:
        while not (line := response.readline()).startswith(b"Content-Length"):
            assert line
        response.readline()
        found.append(response.read(int(line.split(b":")[1])))
    return found


def colour_of(jpeg: bytes) -> tuple[int, int, int]:
    """The commonest colour, BGR, roughly."""
    image = cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return tuple(int(value) for value in numpy.median(image.reshape(-1, 3), axis=0))  # type: ignore[return-value]


def test_a_stream_shows_pictures_that_move(running_site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running_site.port, timeout=60)
    connection.request("GET", "/cameras/cam0.mjpg")
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("multipart/x-mixed-replace")
    assert len(set(parts(response, 5))) == 5
    response.close()
    connection.close()


def test_a_snapshot_is_a_new_picture_of_the_right_size(running_site: Site) -> None:
    answer = running_site.get("/cameras/cam0.jpg")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    image = cv2.imdecode(numpy.frombuffer(answer.body, numpy.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (240, 320, 3)
    assert running_site.get("/cameras/cam0.jpg").body != answer.body


def test_a_camera_that_draws_nothing_says_why(tmp_path: Path) -> None:
    with site(tmp_path) as opened:
        status = some_status()
        away = replace(status.cameras[0], state="backoff", detail="cannot open /dev/video0")
        opened.control.status = replace(status, cameras=[away])
        answer = opened.get("/cameras/cam0.jpg")
        assert answer.status == 503
        assert answer.body == b"no picture: the camera is backoff (cannot open /dev/video0)\n"
        opened.control.status = replace(status, cameras=[replace(away, state="running", detail="")])
        assert opened.get("/cameras/cam0.jpg").body.endswith(b"the camera is running; ask again in a moment\n")
        assert opened.get("/cameras/other.jpg").status == 404


def test_a_camera_that_new_settings_have_just_added_is_known_at_once(tmp_path: Path) -> None:
    with site(tmp_path) as opened:
        assert opened.get("/api/status").json["cameras"][0]["name"] == "cam0"
        status = some_status(cameras=("cam0", "door"))
        opened.control.status = replace(status, cameras=[status.cameras[0], replace(status.cameras[1], state="starting")])
        answer = opened.get("/cameras/door.jpg")
        assert (answer.status, answer.body) == (503, b"no picture: the camera is starting\n")


def test_where_pictures_come_slowly_the_one_before_is_shown(tmp_path: Path) -> None:
    """As where each is drawn with its own results, and a result takes seconds."""
    with site(tmp_path) as opened, ThreadPoolExecutor(1) as pool:
        opened.live(pictures_per_s=0.001)
        first = pool.submit(opened.get, "/cameras/cam0.jpg")
        opened.until_watched("cam0", 1)
        opened.draw("cam0")
        assert first.result(20).status == 200
        again = opened.get("/cameras/cam0.jpg")
        assert (again.status, again.body) == (200, first.result().body)
        connection = http.client.HTTPConnection("127.0.0.1", opened.port, timeout=60)
        connection.request("GET", "/cameras/cam0.mjpg")
        response = connection.getresponse()
        assert parts(response, 1) == [first.result().body]
        response.close()
        connection.close()


def test_a_new_ring_takes_the_old_ones_place_under_open_eyes(running_site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running_site.port, timeout=60)
    connection.request("GET", "/cameras/cam0.mjpg")
    response = connection.getresponse()
    parts(response, 2)
    running_site.add_camera("cam0", 64, 48)
    shapes = [cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_COLOR).shape for jpeg in parts(response, 10)]  # type: ignore[union-attr]
    assert shapes[-1] == (48, 64, 3)
    response.close()
    connection.close()


def test_who_looks_before_the_camera_has_opened_sees_its_first_picture(tmp_path: Path) -> None:
    with site(tmp_path, cameras=()) as opened:
        opened.live()
        assert opened.get("/healthz").status == 200
        connection = http.client.HTTPConnection("127.0.0.1", opened.port, timeout=60)
        connection.request("GET", "/cameras/cam0.mjpg")
        response = connection.getresponse()
        assert response.status == 200
        opened.until_watched("cam0", 1)
        opened.add_camera("cam0")
        parts(response, 1)
        response.close()
        connection.close()


class Desk:
    """Pictures without a process: a writer on one side, lookers on the other."""

    def __init__(self) -> None:
        self.told = 0
        self.pictures = Pictures(on_watch=self._tell)
        self.writer = PictureWriter("cam0", 64, 48)
        self.pictures.map(self.writer.map, [os.dup(self.writer.fd)])

    def _tell(self) -> None:
        self.told += 1

    def draw(self, colour: tuple[int, int, int] = (0, 0, 0)) -> None:
        self.writer.draw(colour)
        self.pictures.ready("cam0")


def test_many_viewers_cost_one_encoding_each_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    real = pictures.encode_newest
    monkeypatch.setattr(pictures, "encode_newest", lambda ring, *more: (encoded.append(more[0]), real(ring, *more))[1])

    async def look() -> None:
        desk = Desk()
        with contextlib.ExitStack() as viewers:
            for _ in range(3):
                viewers.enter_context(desk.pictures.watch("cam0", stream=True))
            assert desk.pictures.watched() == {"cam0": (3, True)}
            waiting = [asyncio.create_task(desk.pictures.next("cam0", 0)) for _ in range(3)]
            await asyncio.sleep(0)
            desk.draw()
            seen = await asyncio.gather(*waiting)
            assert seen[0] is not None
            assert seen[0] is seen[1] is seen[2]
        desk.writer.close()

    asyncio.run(look())
    assert len(encoded) == 1


def test_who_is_slow_gets_the_newest_and_not_the_next() -> None:
    async def look() -> None:
        desk = Desk()
        with desk.pictures.watch("cam0", stream=True):
            for level in (20, 120, 220):
                desk.draw((level, level, level))
                before = desk.pictures.newest("cam0")
                await asyncio.wait_for(desk.pictures.next("cam0", before), 10)
            jpeg = await desk.pictures.next("cam0", 1)
            assert jpeg is not None
            assert jpeg.number == 3
            assert abs(colour_of(jpeg.data)[0] - 220) < 10
        desk.writer.close()

    asyncio.run(look())


async def shown(desk: Desk, first: int, count: int) -> list[int]:
    """Levels of so many pictures, as a viewer gets them who takes each at once."""
    levels = []
    for number in range(first, first + count):
        jpeg = await asyncio.wait_for(desk.pictures.next("cam0", number - 1), 10)
        assert jpeg is not None
        assert jpeg.number == number
        levels.append(round(colour_of(jpeg.data)[0], -1))
    return levels


def test_a_gateway_that_was_kept_waiting_skips_no_picture() -> None:
    """It hears of two pictures at once."""

    async def look() -> None:
        desk = Desk()
        with desk.pictures.watch("cam0", stream=True):
            desk.draw((20, 20, 20))
            assert await shown(desk, 1, 1) == [20]
            desk.draw((80, 80, 80))
            desk.draw((140, 140, 140))
            assert await shown(desk, 2, 2) == [80, 140]
        desk.writer.close()

    asyncio.run(look())


def test_pictures_of_an_earlier_viewers_time_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "IN_A_ROW_S", -1.0)

    async def look() -> None:
        desk = Desk()
        with desk.pictures.watch("cam0", stream=True):
            desk.draw((20, 20, 20))
            assert await shown(desk, 1, 1) == [20]
            desk.writer.draw((80, 80, 80))
            desk.draw((140, 140, 140))
            assert await shown(desk, 2, 1) == [140]
        desk.writer.close()

    asyncio.run(look())


def test_nobody_looking_means_nothing_is_encoded() -> None:
    async def look() -> None:
        desk = Desk()
        desk.draw()
        await asyncio.sleep(0.05)
        assert desk.pictures.newest("cam0") == 0
        desk.writer.close()

    asyncio.run(look())


def test_a_picture_overwritten_while_it_was_read_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer comes round during every encoding: better no picture than a torn one."""
    desk = Desk()
    desk.writer.draw()
    ring = desk.pictures._views["cam0"].ring
    assert ring is not None
    real = cv2.imencode

    def slowly(*arguments: object) -> object:
        for _ in range(4):
            desk.writer.draw()
        return real(*arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(cv2, "imencode", slowly)
    assert pictures.encode_newest(ring, 0) == (0, None)
    desk.writer.close()


def test_who_waits_for_a_camera_that_goes_is_told() -> None:
    async def look() -> None:
        desk = Desk()
        with desk.pictures.watch("cam0", stream=True):
            waiting = asyncio.create_task(desk.pictures.next("cam0", 0))
            await asyncio.sleep(0)
            desk.pictures.gone("cam0")
            assert await asyncio.wait_for(waiting, 60) is None
        assert "cam0" not in desk.pictures
        desk.writer.close()

    asyncio.run(look())


def test_a_ring_that_is_mapped_closes_its_descriptor() -> None:
    before = open_descriptors()

    async def look() -> None:
        desk = Desk()
        for _ in range(5):
            desk.pictures.map(MapPictures(CameraName("cam0"), 4, 64, 48), [os.dup(desk.writer.fd)])
        desk.writer.close()

    asyncio.run(look())
    assert open_descriptors() <= before + 2
