"""A child in a given state: for tests of exact actions."""

from __future__ import annotations

from ncs_cluster.core.child import Child
from ncs_cluster.core.events import Endpoint


def fresh() -> Child:
    return Child(Endpoint("worker", "1"), "default")


def healthy(now_s: float = 0.0) -> Child:
    child = fresh()
    child.start(now_s)
    child.hello(now_s)
    child.ready(now_s)
    return child
