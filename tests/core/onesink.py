"""A sink that has started or opened, and records for it."""

from __future__ import annotations

from ncs_cluster.core.actions import Spawn
from ncs_cluster.core.child import Limits
from ncs_cluster.core.events import SINK, Exited
from ncs_cluster.core.sinks import Sink
from ncs_cluster.specs import SinkSpec
from ncs_cluster.types import Outcome, Record
from tests.core.onecamera import FakeDaemon

SPEC = SinkSpec("jsonl", {"path": "results.jsonl"}, "results.jsonl")
DIED = Exited("exit code 1", 1)


def record(frame: int) -> Record:
    return Record("cam0", frame, 1.7e9, None, "sim-1", "demo", 0.05, Outcome())


def started(daemon: FakeDaemon | None = None) -> Sink:
    sink = Sink(SPEC, daemon or FakeDaemon(), Limits(silent_s=7.0))
    assert sink.child.start(0.0) == [Spawn(SINK, "default")]
    return sink
