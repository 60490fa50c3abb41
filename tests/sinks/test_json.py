"""The JSON text of a record, byte for byte."""

from __future__ import annotations

import json
import struct
from typing import Any

import msgspec
import pytest

from ncs_cluster.sinks._json import SCHEMA, encode
from ncs_cluster.types import Classified, Detection, Outcome, Record

HEAD = b'{"schema":1,"camera":"door","frame":17,"captured_at":1760000000.123457,'
ALL = b'"item":null,"stick":"sim-1","graph":"demo",'
RECORD = Record("door", 17, 1760000000.12345678, None, "sim-1", "demo", 0.05, Outcome())


def text(**fields: Any) -> bytes:
    return encode(msgspec.structs.replace(RECORD, **fields))


def test_the_text_of_a_result_without_detections() -> None:
    assert text(latency_s=0.053126) == HEAD + ALL + b'"latency_ms":53.13,"detections":[]}'
    assert SCHEMA == 1


def test_the_text_of_a_detection_rounds_its_figures() -> None:
    box = (0.123456, 0.234567, 0.345678, 0.456789)
    assert text(outcome=Outcome([Detection("ball", 3, 0.97126, box, 1.23456, 1.34567)])) == (
        HEAD + ALL + b'"latency_ms":50.0,"detections":[{"label":"ball","label_id":3,"score":0.9713,'
        b'"box":[0.12346,0.23457,0.34568,0.45679],"distance_m":1.235,"true_distance_m":1.346}]}'
    )


def test_the_text_of_a_detection_without_a_distance_says_null_and_names_no_true_distance() -> None:
    assert text(outcome=Outcome([Detection("ball", 3, 1.0, (0.0, 0.25, 0.5, 1.0))])) == (
        HEAD + ALL + b'"latency_ms":50.0,"detections":[{"label":"ball","label_id":3,"score":1.0,'
        b'"box":[0.0,0.25,0.5,1.0],"distance_m":null}]}'
    )


def test_the_text_of_a_classification_names_its_classes_in_their_order() -> None:
    classes = [Classified("cat", 2, 0.81236), Classified("dog", 1, 0.1)]
    assert text(outcome=Outcome(classes=classes)) == (
        HEAD + ALL + b'"latency_ms":50.0,"detections":[],"classes":[{"label":"cat","label_id":2,"score":0.8124},'
        b'{"label":"dog","label_id":1,"score":0.1}]}'
    )


def test_the_text_of_a_frame_that_was_given_up_says_why() -> None:
    given_up = text(item="a.png", stick=None, graph="faces", latency_s=None, outcome=Outcome(error="cannot be read"))
    assert given_up == (
        HEAD + b'"item":"a.png","stick":null,"graph":"faces","latency_ms":null,"detections":[],"error":"cannot be read"}'
    )


@pytest.mark.parametrize("item", ["ä \U0001f600", 'a"b\\c', "two\nlines\r\u2028", "\x00\x1f"])
def test_the_text_is_one_line_of_utf_8_whatever_a_file_is_called(item: str) -> None:
    written = text(item=item)
    assert b"\n" not in written
    assert b"\r" not in written
    assert json.loads(written.decode())["item"] == item


def test_the_text_of_a_feature_vector_gives_each_float32_back_exactly() -> None:
    values = [0.1, -3.4028235e38, 1e-45, 16777217.0, 0.0]
    features = struct.pack("<5f", *values)
    told = json.loads(text(outcome=Outcome(features=features)))["features"]
    assert struct.pack("<5f", *told) == features


def test_the_text_names_the_pictures_size_and_the_frames_number_in_its_film_where_they_are_known() -> None:
    assert text(size=(4000, 3000), item_frame=7, item_fps=30000 / 1001) == HEAD + ALL + (
        b'"latency_ms":50.0,"detections":[],"size":[4000,3000],"item_frame":7,"item_fps":29.97003}'
    )
