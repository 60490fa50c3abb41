"""Feature vectors as an array of numpy."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from ncs_cluster.types import Outcome, Record
from tests.sinks.onejob import VECTOR, film, item, job, record, vector, whole


def lines(text: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_rows_are_vectors_in_the_order_of_frames_and_lines_name_them(tmp_path: Path) -> None:
    records = [record(frame, features=True, failed=frame == 2) for frame in range(6)]
    made = whole("npy", tmp_path, records)
    loaded = np.load(tmp_path / "results.npy", mmap_mode="r")
    expected = np.array([np.frombuffer(vector(frame), "<f4") for frame in (0, 1, 3, 4, 5)])
    np.testing.assert_array_equal(loaded, expected)
    assert loaded.dtype == np.float32
    assert lines(made["results.names.jsonl"]) == [
        {"frame": frame, "item": item(frame), "item_frame": None} for frame in (0, 1, 3, 4, 5)
    ]
    assert lines(made["results.failures.jsonl"]) == [
        {"frame": 2, "item": item(2), "item_frame": None, "error": 'frame 2: "three", sticks\ndied'}
    ]


def test_values_of_float32_are_exact(tmp_path: Path) -> None:
    values = [0.1, -3.4028235e38, 1e-45, 16777217.0, float("inf"), float("nan")]
    whole("npy", tmp_path, [film("f.mp4", 0, 3, Outcome(features=struct.pack("<6f", *values)))])
    assert np.load(tmp_path / "results.npy").tobytes() == struct.pack("<6f", *values)


def test_float16_rounds_as_numpy_does_and_what_is_too_large_is_infinite(tmp_path: Path) -> None:
    values = np.array([0.1, 65504.0, 1e6, -1e6], "<f4")
    whole("npy", tmp_path, [film("f.mp4", 0, 3, Outcome(features=values.tobytes()))], dtype="float16")
    loaded = np.load(tmp_path / "results.npy")
    assert loaded.dtype == np.float16
    np.testing.assert_array_equal(loaded[0], [np.float16(0.1), np.float16(65504), np.inf, -np.inf])


def test_a_frame_without_a_vector_or_with_another_length_is_a_failure(tmp_path: Path) -> None:
    outcomes = [Outcome(), Outcome(features=vector(1, 4)), Outcome(features=vector(2, 5)), Outcome(features=vector(3, 4))]
    made = whole("npy", tmp_path, [Record("job", n, 1.7e9, None, "s", "g", 0.1, each) for n, each in enumerate(outcomes)])
    assert np.load(tmp_path / "results.npy").tobytes() == vector(1, 4) + vector(3, 4)
    assert [(each["frame"], each["error"]) for each in lines(made["results.failures.jsonl"])] == [
        (0, "the graph gives no features; choose a format for detections"),
        (2, "5 features, where the first frame has 4"),
    ]


def test_the_length_of_the_first_vector_holds_for_a_writer_that_goes_on(tmp_path: Path) -> None:
    first = job("npy", tmp_path)
    first.open(0, None)
    token = first.write(record(0, features=True))
    first.close()
    second = job("npy", tmp_path)
    second.open(1, token)
    second.write(Record("job", 1, 1.7e9, None, "s", "g", 0.1, Outcome(features=vector(1, 3))))
    second.finish()
    second.close()
    assert np.load(tmp_path / "results.npy").shape == (1, VECTOR)


def test_a_job_without_frames_gives_an_empty_array(tmp_path: Path) -> None:
    made = whole("npy", tmp_path, [])
    assert np.load(tmp_path / "results.npy").shape == (0, 0)
    assert (made["results.names.jsonl"], made["results.failures.jsonl"]) == (b"", b"")


def test_shards_put_together_are_the_whole_array(tmp_path: Path) -> None:
    records = [record(frame, features=True, failed=frame in (2, 3)) for frame in range(7)]
    whole("npy", tmp_path / "one", records)
    whole("npy", tmp_path / "many", records, shard_size=2)
    shards = [np.load(tmp_path / "many" / f"results-0000{shard}.npy") for shard in range(4)]
    assert [len(each) for each in shards] == [2, 0, 2, 1]
    np.testing.assert_array_equal(np.concatenate(shards), np.load(tmp_path / "one" / "results.npy"))


def test_an_unknown_dtype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^dtype must be float32 or float16$"):
        job("npy", tmp_path, dtype="float64")
