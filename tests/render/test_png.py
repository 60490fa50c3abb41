"""A JPEG as a PNG."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ncs_cluster.render.png import png_of


def test_the_pixels_are_those_of_the_jpeg() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (30, 41, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    made = png_of(jpeg)
    assert made[:8] == b"\x89PNG\r\n\x1a\n"
    shown, expected = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (made, jpeg))
    assert shown is not None
    assert expected is not None
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"<html>"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no picture"):
        png_of(data)
