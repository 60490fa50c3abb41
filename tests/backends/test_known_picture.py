"""The known picture is the same everywhere, and a stick whose answer to it changes, or is none, is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from ncs_cluster.backends._known_picture import KnownAnswer, draw


def outputs(*values: float) -> dict[str, np.ndarray]:
    return {"out": np.array([values], np.float32)}


@pytest.mark.parametrize("dtype", ["u1", "<f2", "<f4", "<i4"])
def test_the_picture_has_the_same_values_in_every_type(dtype: str) -> None:
    values = np.zeros(300 * 300 * 3, dtype)
    draw(values)
    assert values[:6].tolist() == [158, 60, 218, 120, 23, 181]
    assert (values.min(), values.max()) == (0, 255)
    assert 120 < float(values.astype(np.float64).mean()) < 135


def test_the_first_answer_is_the_reference_and_small_differences_are_the_devices() -> None:
    known = KnownAnswer()
    assert known.fingerprint() == []
    assert known.judge(outputs(1.0, -4.0, 0.0)) is None
    assert known.judge(outputs(1.05, -4.0, 0.02)) is None
    assert known.judge(outputs(1.2, -4.0, 0.0)) == "another answer than at first (output out)"
    assert known.fingerprint() == pytest.approx([-1.0, 5 / 3, 4.0])


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ((0.0, 0.0), "nothing but zeros"),
        ((1.0, float("nan")), "values that are no numbers"),
        ((1.0, float("inf")), "values that are no numbers"),
    ],
)
def test_an_answer_that_is_none_is_no_reference(values: tuple[float, ...], wrong: str) -> None:
    known = KnownAnswer()
    assert known.judge(outputs(*values)) == wrong
    assert known.judge(outputs(1.0, 2.0)) is None
    assert known.judge(outputs(*values)) is not None


def test_one_output_of_zeros_beside_another_is_an_answer() -> None:
    known = KnownAnswer()
    assert known.judge({"none": np.zeros((1, 4), np.float32), "some": np.ones((1, 4), np.float32)}) is None
    assert known.judge({"none": np.full((1, 4), 0.01, np.float32), "some": np.ones((1, 4), np.float32)}) is not None
