"""Every format that people have is shown as it should be, or has its reason: colours, turns, sizes, headers, ends."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncs_cluster.errors import SourceError
from ncs_cluster.sources import _picture
from ncs_cluster.sources._header import header
from ncs_cluster.sources.images import Images, Options
from tests.sources.made_pictures import UNKNOWN, all_of, chunk, only, picture, write

# 16x8, one colour, written by another encoder as CMYK with Adobe's inverted inks
CMYK = (
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFBgSFBUU"
    "/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EABYAAQEBAAAAAAAAAAAAAAAAAAAICf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAOBEMATQBZAEsAAD8AsBCi"
    "FGqYA//Z"
)


# 32x16 as stored, left half white; EXIF says: turn by 90 degrees
TURNED = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoM"
    "DAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU"
    "FBQUFBQUFBQUFBQUFBT/wAARCAAQACADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAAkK/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/EABQBAQAAAAAA"
    "AAAAAAAAAAAAAAD/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCqYAMq4AP/2Q=="
)


def test_grey_transparent_and_deep_pictures_become_colour(tmp_path: Path) -> None:
    write(tmp_path / "1.png", np.full((30, 40), 90, np.uint8))
    write(tmp_path / "2.png", np.full((30, 40, 4), 90, np.uint8))
    write(tmp_path / "3.png", np.full((30, 40, 3), 90 * 257, np.uint16))
    for name in ("1.png", "2.png", "3.png"):
        captured, pixels = only(tmp_path / name)
        assert captured.error is None
        assert pixels.shape == (30, 40, 3)
        assert (pixels == 90).all()


def test_a_cmyk_picture_is_shown_in_its_colours(tmp_path: Path) -> None:
    (tmp_path / "print.jpg").write_bytes(base64.b64decode(CMYK))
    _, pixels = only(tmp_path)
    assert pixels.shape == (8, 16, 3)
    assert np.abs(pixels[4, 8].astype(int) - (41, 41, 201)).max() <= 3


def test_a_turned_picture_is_shown_upright(tmp_path: Path) -> None:
    (tmp_path / "phone.jpg").write_bytes(base64.b64decode(TURNED))
    captured, pixels = only(tmp_path)
    assert (captured.width, captured.height) == (16, 32)
    assert pixels[4, 8].min() > 200
    assert pixels[28, 8].max() < 50


CORNERS = np.zeros((16, 32, 3), np.uint8)


SEEN = [
    *(CORNERS, CORNERS[:, ::-1], CORNERS[::-1, ::-1], CORNERS[::-1]),
    *(CORNERS.swapaxes(0, 1), np.rot90(CORNERS, 3), np.rot90(CORNERS, 2).swapaxes(0, 1), np.rot90(CORNERS)),
]


def marked(suffix: str, orientation: int, order: str, prefix: bytes) -> bytes:
    """CORNERS as a file whose EXIF has this orientation, in either byte order."""
    data = cv2.imencode(suffix, CORNERS, [cv2.IMWRITE_JPEG_QUALITY, 100] if suffix == ".jpg" else [])[1].tobytes()
    exif = prefix + (b"II*\0" if order == "<" else b"MM\0*")
    exif += struct.pack(order + "IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    if suffix == ".jpg":
        return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + data[2:]
    if suffix == ".png":
        return data[:33] + chunk(b"eXIf", exif) + data[33:]
    extended = struct.pack("<4sIB3x", b"VP8X", 10, 8) + (31).to_bytes(3, "little") + (15).to_bytes(3, "little")
    content = b"WEBP" + extended + data[12:] + struct.pack("<4sI", b"EXIF", len(exif)) + exif + bytes(len(exif) % 2)
    return b"RIFF" + struct.pack("<I", len(content)) + content


@pytest.mark.parametrize(("suffix", "prefix"), [(".jpg", b"Exif\0\0"), (".png", b""), (".webp", b""), (".webp", b"Exif\0\0")])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_orientation_of_every_format_is_shown_upright(tmp_path: Path, suffix: str, prefix: bytes, order: str) -> None:
    for orientation in range(1, 9):
        path = tmp_path / f"{orientation}{suffix}"
        path.write_bytes(marked(suffix, orientation, order, prefix))
        _, pixels = only(path)
        wanted = SEEN[orientation - 1]
        assert pixels.shape == wanted.shape
        # the middle of each quarter, since lossy formats blur the edges
        for y in (pixels.shape[0] // 4, pixels.shape[0] * 3 // 4):
            for x in (pixels.shape[1] // 4, pixels.shape[1] * 3 // 4):
                assert abs(int(pixels[y, x, 0]) - int(wanted[y, x, 0])) < 12


def test_formats_beside_the_usual_ones_are_read_or_have_a_reason(tmp_path: Path) -> None:
    large = np.kron(CORNERS, np.ones((8, 8, 1), np.uint8))
    data = {suffix: cv2.imencode(suffix, large)[1].tobytes() for suffix in (".jpg", ".png", ".tif", ".ppm", ".jp2")}
    data |= {".jfif": data[".jpg"], ".jpe": data[".jpg"]}
    for suffix in (".gif", ".avif"):
        if cv2.haveImageWriter(f"a{suffix}"):
            data[suffix] = cv2.imencode(suffix, large)[1].tobytes()
    for suffix, content in data.items():
        (tmp_path / f"a{suffix}").write_bytes(content)
        _, pixels = only(tmp_path / f"a{suffix}")
        assert pixels.shape == large.shape
        assert np.abs(pixels[::127, ::255].astype(int) - CORNERS[::15, ::31]).max() <= 20, suffix
    (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "c.MP4").write_bytes(b"")
    for name in ("labels.txt", "1.xml", "2.xml", "Makefile", "odd.a\nb"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "elsewhere").symlink_to("/usr")
    source = Images(Options(str(tmp_path)))
    assert f"({len(data) + 2} pictures; left out: 2 .xml, 2 other files, 1 linked folders, 1 .txt)" in source.open().description
    seen = {captured.item: captured.error for captured in all_of(source)}
    assert {item: error for item, error in seen.items() if error is not None} == {
        "b.heic": f"b.heic: {UNKNOWN}",
        "c.MP4": "c.MP4: is a video: give it as a source of its own",
    }
    assert set(seen) == {f"a{suffix}" for suffix in data} | {"b.heic", "c.MP4"}


def test_a_photograph_of_a_hundred_million_pixels_is_decoded_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pixels would take 306 MB; an eighth of each side takes 5."""
    monkeypatch.setattr(_picture, "MOST_DECODED", 64 << 20)
    rows = cv2.imencode(".jpg", np.full((64, 12_000, 3), 130, np.uint8))[1].tobytes()
    (tmp_path / "wide.jpg").write_bytes(rows)
    photo = np.full((8500, 12_000), 90, np.uint8)
    photo[:, 6000:] = 180
    (tmp_path / "photo.jpg").write_bytes(cv2.imencode(".jpg", photo)[1].tobytes())
    captured, pixels = only(tmp_path / "photo.jpg")
    assert (captured.width, captured.height) == (1016, 720)
    assert np.abs(pixels[360, [100, 900], 0].astype(int) - (90, 180)).max() <= 2
    captured, pixels = only(tmp_path / "wide.jpg")
    assert (captured.width, captured.height) == (1280, 7)
    (tmp_path / "slow.jpg").write_bytes(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    with pytest.raises(SourceError, match="has 12000x8500 pixels, which take 291 MB, more than 64"):
        only(tmp_path / "slow.jpg")


def test_a_jpeg_that_declares_more_pixels_than_its_bytes_can_hold_is_truncated(tmp_path: Path) -> None:
    """The decoder would make grey of what is missing: 201 MB of it here."""
    data = cv2.imencode(".jpg", picture())[1].tobytes()
    at = data.index(b"\xff\xc0") + 5
    (tmp_path / "a.jpg").write_bytes(data[:at] + struct.pack(">HH", 65_500, 65_500) + data[at + 4 :])
    with pytest.raises(SourceError, match="is truncated: its end is missing"):
        only(tmp_path / "a.jpg")


@pytest.mark.parametrize("pixels", [np.zeros((4000, 4000), np.uint8), np.zeros((900, 900, 3), np.uint8)])
def test_a_jpeg_of_one_colour_is_as_short_as_one_can_be_and_whole(pixels: np.ndarray) -> None:
    for each in ([], [cv2.IMWRITE_JPEG_OPTIMIZE, 1], [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]):
        found = header(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 1, *each])[1].tobytes())
        assert found is not None
        assert found.whole


def test_a_zero_byte_between_the_segments_of_a_jpeg_is_passed_over(tmp_path: Path) -> None:
    data = cv2.imencode(".jpg", picture())[1].tobytes()
    at = 4 + struct.unpack_from(">H", data, 4)[0]
    (tmp_path / "a.jpg").write_bytes(data[:at] + b"\0" + data[at:])
    _, pixels = only(tmp_path / "a.jpg")
    assert np.abs(pixels.astype(int) - 90).max() <= 2


def test_a_bmp_of_os2_is_read_and_a_truncated_one_told(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (10, 8, 3), np.uint8)
    data = struct.pack("<2sI4xIIHHHH", b"BM", 26 + pixels.nbytes, 26, 12, 8, 10, 1, 24) + pixels[::-1].tobytes()
    (tmp_path / "a.bmp").write_bytes(data)
    _, shown = only(tmp_path / "a.bmp")
    assert (shown == pixels).all()
    (tmp_path / "a.bmp").write_bytes(data[:-30])
    with pytest.raises(SourceError, match="is truncated"):
        only(tmp_path / "a.bmp")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_headers_tell_the_size_and_whether_the_end_is_there(suffix: str) -> None:
    data = cv2.imencode(suffix, np.random.default_rng(0).integers(0, 255, (37, 51, 3), np.uint8))[1].tobytes()
    whole = header(data)
    assert whole is not None
    assert whole[:3] == (51, 37, True)
    cut = header(data[: len(data) // 2])
    assert cut is not None
    assert not cut.whole


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF\0\0\0\0WEBPVP8 ", b""]), st.binary(max_size=200))
def test_no_header_however_strange_raises(start: bytes, rest: bytes) -> None:
    found = header(start + rest)
    assert found is None or (found.width > 0 and found.height > 0)


def test_real_photographs_are_read(test_data: Path) -> None:
    seen = all_of(Images(Options(str(test_data / "media"))))
    assert len([captured for captured in seen if captured.error is None]) == 12
    assert {captured.error for captured in seen if captured.error} == {
        f"{name}: is a video: give it as a source of its own"
        for name in ("bottle-detection.mp4", "one-by-one-person-detection.mp4", "single_depth_color_640x480.bag")
    }
