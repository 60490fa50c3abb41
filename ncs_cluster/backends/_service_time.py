"""When a device that executes several requests at once began with one of them. Pure. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Sequence


def begun_s(submitted_s: float, answers_s: Sequence[float], executors: int) -> float:
    """Seconds on the clock of `submitted_s`. `answers_s`: times of earlier answers, oldest first.

    A device with `executors` executors begins with a request as soon as it is submitted and one of them is free: the one that gave
    the answer `executors` before this one.
    """
    return max(submitted_s, answers_s[-executors]) if 0 < executors <= len(answers_s) else submitted_s
