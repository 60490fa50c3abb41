"""Feature vectors as HDF5, read back by h5py and by h5dump."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncs_cluster.errors import ConfigError
from ncs_cluster.types import Outcome, Record
from tests.needs import need_module, need_program
from tests.sinks.onejob import NAMES, film, item, job, record, vector, whole

h5py = need_module("h5py")


def made(folder: Path, *records: Record, **options: Any) -> Any:
    whole("hdf5", folder, records, **options)
    return h5py.File(folder / "results.hdf5", "r")


def texts(data: Any) -> list[str]:
    return list(data.asstr()[:])


def test_rows_are_vectors_in_the_order_of_frames_and_failures_stand_apart(tmp_path: Path) -> None:
    records = [record(frame, features=True, failed=frame == 2) for frame in range(5)]
    attributes = {"model": "person-reidentification-retail-0288", "layer": "output/1", "list_sha256": "ab" * 32, "ü": "猫"}
    with made(tmp_path, *records, film("f.mp4", 5, 9, Outcome(features=vector(5))), attributes=attributes) as file:
        expected = np.array([np.frombuffer(vector(frame), "<f4") for frame in (0, 1, 3, 4, 5)])
        np.testing.assert_array_equal(file["feats"][:], expected)
        assert file["feats"].dtype == np.float32
        assert texts(file["names"]) == [*[item(frame) for frame in (0, 1, 3, 4)], "f.mp4"]
        assert list(file["frames"][:]) == [0, 1, 3, 4, 5]
        assert list(file["item_frames"][:]) == [-1, -1, -1, -1, 9]
        assert list(file["failures/frames"][:]) == [2]
        assert texts(file["failures/names"]) == [item(2)]
        assert texts(file["failures/errors"]) == ['frame 2: "three", sticks\ndied']
        assert dict(file.attrs) == attributes


def test_h5dump_reads_the_vectors_and_names(tmp_path: Path) -> None:
    h5dump = need_program("h5dump", "hdf5-tools")
    made(tmp_path, *[record(frame, features=True) for frame in range(3)], attributes={"model": "m"}).close()

    def dumped(*asked: str) -> str:
        command = [h5dump, *asked, "-y", "-w", "0", str(tmp_path / "results.hdf5")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    values = dumped("-d", "/feats").partition("DATA {")[2].partition("}")[0].replace(",", " ").split()
    assert [float(value) for value in values] == [value for frame in range(3) for value in np.frombuffer(vector(frame), "<f4")]
    assert all(f'"{item(frame)}"' in dumped("-d", "/names") for frame in range(2))
    assert "STRSIZE H5T_VARIABLE" in dumped("-d", "/names")
    assert "CSET H5T_CSET_UTF8" in dumped("-d", "/names")
    assert '"m"' in dumped("-a", "/model")


def test_float16_halves_the_file_and_rounds_as_numpy_does(tmp_path: Path) -> None:
    values = np.array([0.1, 65504.0, 1e6], "<f4")
    with made(tmp_path, film("f.mp4", 0, 3, Outcome(features=values.tobytes())), dtype="float16") as file:
        assert file["feats"].dtype == np.float16
        np.testing.assert_array_equal(file["feats"][0], [np.float16(0.1), np.float16(65504), np.inf])


def test_unusual_names_come_back_as_they_were_but_for_a_zero_byte(tmp_path: Path) -> None:
    nul = film("a\0b", 20, 1, Outcome(features=vector(1)))
    with made(tmp_path, *[record(frame, features=True) for frame in range(len(NAMES))], nul) as file:
        assert texts(file["names"]) == [*NAMES, "a\\x00b"]


def test_more_rows_than_a_block_are_whole_and_in_order(tmp_path: Path) -> None:
    count = 10_000
    with made(tmp_path, *[film("f", n, n, Outcome(features=vector(n, 2))) for n in range(count)]) as file:
        np.testing.assert_array_equal(file["frames"][:], np.arange(count))
        np.testing.assert_array_equal(file["feats"][:, 0], np.arange(count))
        assert file["names"].shape == (count,)


def test_a_job_without_vectors_has_empty_datasets(tmp_path: Path) -> None:
    with made(tmp_path) as file:
        assert {name: file[name].shape for name in ("feats", "names", "frames", "failures/frames")} == {
            "feats": (0, 0),
            "names": (0,),
            "frames": (0,),
            "failures/frames": (0,),
        }


def test_the_memory_of_finish_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        sink = job("hdf5", folder)
        sink.open(0, None)
        for frame in range(count):
            sink.write(Record("job", frame, 1.7e9, "a.jpg", "s", "g", 0.1, Outcome(features=bytes(4096))))
        tracemalloc.start()
        sink.finish()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        sink.close()
        return most

    few, many = peak(3_000), peak(12_000)
    assert many < few * 1.5


def test_without_h5py_it_is_refused_before_the_job_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = job("hdf5", tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"^format hdf5 needs h5py \(.*\): pip install 'ncs-cluster\[hdf5\]'$"):
        sink.open(0, None)


@pytest.mark.parametrize("attributes", [{"": "x"}, {"a/b": "x"}, {"a": "x\0"}, {"a": "x" * 60_001}])
def test_attributes_that_hdf5_cannot_hold_are_refused(tmp_path: Path, attributes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^attributes"):
        job("hdf5", tmp_path, attributes=attributes)
