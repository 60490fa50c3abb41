"""A request's latency is the device's, without its wait in the queue before it."""

import pytest

from ncs_cluster.backends._service_time import begun_s


def test_time_in_the_queue_is_left_out() -> None:
    """One answer each 100 ms, and two side by side each 100 ms; all were submitted at 0 s."""
    for executors, answers_s in ((1, [0.1, 0.2, 0.3, 0.4]), (2, [0.1, 0.101, 0.2, 0.201])):
        for number, answered_s in enumerate(answers_s):
            took_s = answered_s - begun_s(0.0, answers_s[:number], executors)
            assert took_s == pytest.approx(0.1, abs=0.002)


def test_a_request_to_an_idle_device_begins_at_once() -> None:
    assert begun_s(0.35, [0.1, 0.2, 0.3], 1) == 0.35
    assert begun_s(0.35, [0.1], 2) == 0.35
